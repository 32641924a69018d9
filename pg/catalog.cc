#include "pg/catalog.h"

#include <fmt/format.h>

#include "pg/conninfo.h"
#include "pg/partition_tree.h"
#include "pg/writer_lock.h"

namespace pg {
namespace {

pqxx::result query(pqxx::connection& sql, const std::string& text) {
  pqxx::nontransaction work(sql);
  return work.exec(text);
}

std::optional<Lsn> lsn(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return parse_lsn(field.c_str());
}

// UPDATE and DELETE of a published table fail unless it has a usable replica identity: a primary
// key that is not deferrable, the chosen index, or FULL. For a partitioned table a key at the root
// counts alone, since a partition added later would have no other, and each partition that
// chose otherwise for itself must have what it chose.
std::string table_query() {
  return R"(
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition, c.relreplident,
         pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
         pg_catalog.has_table_privilege(c.oid, 'SELECT')
           AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS readable,
         NOT EXISTS (
           SELECT FROM (SELECT c.oid AS relid
                        UNION ALL
                        SELECT part.oid FROM )" +
         partition_tree("c.oid") + R"( t
                          JOIN pg_catalog.pg_class part ON part.oid = t.relid
                         WHERE c.relkind = 'p' AND part.relkind <> 'p') tree
             JOIN pg_catalog.pg_class leaf ON leaf.oid = tree.relid
            WHERE NOT CASE
              WHEN leaf.relreplident = 'f' AND leaf.relkind <> 'p' THEN true
              WHEN leaf.relreplident = 'n' AND leaf.relkind <> 'p' THEN false
              ELSE EXISTS (
                SELECT FROM pg_catalog.pg_index i
                 WHERE i.indrelid = leaf.oid AND i.indimmediate
                   AND (i.indisvalid OR leaf.relkind = 'p')
                   AND CASE WHEN leaf.relreplident = 'i' AND leaf.relkind <> 'p'
                            THEN i.indisreplident ELSE i.indisprimary END)
            END) AS has_identity
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') )";
}

TableInfo to_table(const pqxx::row& row) {
  TableInfo info;
  info.oid = row["oid"].as<std::uint32_t>();
  info.schema = row["nspname"].c_str();
  info.name = row["relname"].c_str();
  info.kind = row["relkind"].c_str()[0];
  info.partitioned = info.kind == 'p';
  info.partition = row["relispartition"].as<bool>();
  info.persistence = row["relpersistence"].c_str()[0];
  info.owned = row["owned"].as<bool>();
  info.readable = row["readable"].as<bool>();
  info.has_identity = row["has_identity"].as<bool>();
  info.identity = row["relreplident"].c_str()[0];
  return info;
}

constexpr const char* slot_query = R"(
  SELECT slot_name, plugin, database, active, active_pid, confirmed_flush_lsn, restart_lsn,
         wal_status, safe_wal_size, temporary, two_phase,
         CASE WHEN pg_is_in_recovery() THEN 0
              ELSE greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) END AS retained
    FROM pg_replication_slots)";

SlotInfo to_slot(const pqxx::row& row) {
  SlotInfo info;
  info.plugin = row["plugin"].as<std::string>("");
  info.database = row["database"].as<std::string>("");
  info.active = row["active"].as<bool>();
  info.active_pid = row["active_pid"].as<int>(0);
  info.confirmed = lsn(row["confirmed_flush_lsn"]);
  info.restart = lsn(row["restart_lsn"]);
  info.wal_status = row["wal_status"].as<std::string>("lost");
  if (!row["safe_wal_size"].is_null()) {
    const auto safe = row["safe_wal_size"].as<std::int64_t>();
    info.safe_wal_bytes = safe > 0 ? static_cast<std::uint64_t>(safe) : 0;
  }
  info.retained_bytes = row["retained"].as<std::uint64_t>(0);
  info.temporary = row["temporary"].as<bool>();
  info.two_phase = row["two_phase"].as<bool>();
  return info;
}

}  // namespace

std::unique_ptr<pqxx::connection> connect_sql(const std::string& dsn) {
  return std::make_unique<pqxx::connection>(conninfo(connect_params(dsn, Session::sql)));
}

ServerInfo server_info(pqxx::connection& sql) {
  const pqxx::result result = query(sql, R"(
    SELECT current_setting('server_version_num')::int AS version,
           current_setting('server_version') AS version_text,
           current_setting('wal_level') AS wal_level,
           current_setting('server_encoding') AS encoding,
           current_database() AS database, current_user AS username,
           pg_is_in_recovery() AS in_recovery,
           r.rolreplication OR r.rolsuper AS may_replicate,
           has_database_privilege(current_database(), 'CREATE') AS may_create,
           current_setting('max_replication_slots')::int
             - (SELECT count(*) FROM pg_replication_slots) AS free_slots,
           current_setting('max_wal_senders')::int
             - (SELECT count(*) FROM pg_stat_replication) AS free_senders,
           (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout,
           (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep
      FROM pg_roles r WHERE r.rolname = current_user)");
  const pqxx::row row = result[0];
  ServerInfo info;
  info.version = row["version"].as<int>();
  info.version_text = row["version_text"].c_str();
  info.wal_level = row["wal_level"].c_str();
  info.encoding = row["encoding"].c_str();
  info.database = row["database"].c_str();
  info.user = row["username"].c_str();
  info.in_recovery = row["in_recovery"].as<bool>();
  info.may_replicate = row["may_replicate"].as<bool>();
  info.may_create_publication = row["may_create"].as<bool>();
  info.free_slots = row["free_slots"].as<int>();
  info.free_senders = row["free_senders"].as<int>();
  info.sender_timeout_ms = row["timeout"].as<std::uint64_t>(0);
  info.max_slot_wal_keep_mb = row["keep"].as<std::int64_t>(-1);
  return info;
}

SystemIdentity system_identity(pqxx::connection& sql) {
  const pqxx::result result = query(sql, R"(
    SELECT (SELECT system_identifier FROM pg_control_system()) AS system,
           CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int
           END AS timeline,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                ELSE pg_current_wal_flush_lsn() END AS flushed)");
  const pqxx::row row = result[0];
  return {.system_id = row["system"].c_str(),
          .timeline = Timeline(row["timeline"].as<std::uint32_t>()),
          .wal_flushed = lsn(row["flushed"]).value_or(Lsn())};
}

bool holds_advisory_lock(pqxx::connection& sql, int pid, std::int64_t key) {
  const auto holder = advisory_lock_holder(sql, key);
  return holder && holder->pid == pid;
}

std::optional<SlotInfo> slot_info(pqxx::connection& sql, const std::string& slot) {
  const pqxx::result result =
      query(sql, fmt::format("{} WHERE slot_name = {}", slot_query, sql.quote(slot)));
  if (result.empty()) return std::nullopt;
  return to_slot(result[0]);
}

std::map<std::string, SlotInfo> slots_beginning(pqxx::connection& sql, const std::string& prefix) {
  const pqxx::result result =
      query(sql, fmt::format("{} WHERE starts_with(slot_name, {})", slot_query, sql.quote(prefix)));
  std::map<std::string, SlotInfo> slots;
  for (const auto& row : result) slots.emplace(row["slot_name"].c_str(), to_slot(row));
  return slots;
}

Lsn copy_slot(pqxx::connection& sql, const std::string& from, const std::string& to) {
  query(sql, fmt::format("SELECT pg_copy_logical_replication_slot({}, {})", sql.quote(from),
                         sql.quote(to)));
  const auto copy = slot_info(sql, to);
  return copy ? copy->confirmed.value_or(Lsn()) : Lsn();
}

Lsn flushed_wal_lsn(pqxx::connection& sql) {
  return parse_lsn(query(sql, "SELECT pg_current_wal_flush_lsn()")[0][0].c_str()).value();
}

Visibility current_visibility(pqxx::connection& sql) {
  return Visibility::parse(query(sql, "SELECT pg_current_snapshot()")[0][0].c_str()).value();
}

std::vector<TableInfo> tables_in_schema(pqxx::connection& sql, const std::string& schema) {
  const pqxx::result result =
      query(sql, fmt::format("{} AND n.nspname = {} AND NOT c.relispartition ORDER BY c.relname",
                             table_query(), sql.quote(schema)));
  std::vector<TableInfo> tables;
  for (const auto& row : result) tables.push_back(to_table(row));
  return tables;
}

std::optional<TableInfo> table(pqxx::connection& sql, const std::string& schema,
                               const std::string& name) {
  const pqxx::result result =
      query(sql, fmt::format("{} AND n.nspname = {} AND c.relname = {}", table_query(),
                             sql.quote(schema), sql.quote(name)));
  if (result.empty()) return std::nullopt;
  return to_table(result[0]);
}

std::vector<std::string> primary_key(pqxx::connection& sql, RelationId relation) {
  const pqxx::result result = query(sql, fmt::format(R"(
    SELECT a.attname FROM pg_index i
      CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = {} AND i.indisprimary AND k.place <= i.indnkeyatts
     ORDER BY k.place)",
                                                     relation.value));
  std::vector<std::string> columns;
  for (const auto& row : result) columns.emplace_back(row[0].c_str());
  return columns;
}

std::vector<std::string> column_types(pqxx::connection& sql, const Relation& relation) {
  std::string list;
  for (const Column& column : relation.columns) {
    list += fmt::format("{}({}::oid, {})", list.empty() ? "" : ", ", column.type.value,
                        column.modifier);
  }
  std::vector<std::string> types;
  if (list.empty()) return types;
  const pqxx::result result =
      query(sql, fmt::format("SELECT nullif(format_type(oid, modifier), repeat('?', 3)) "
                             "FROM (VALUES {}) AS wanted (oid, modifier)",
                             list));
  for (const auto& row : result) types.push_back(row[0].as<std::string>(""));
  return types;
}

void drop_slot(pqxx::connection& sql, const std::string& slot) {
  query(sql, fmt::format("SELECT pg_drop_replication_slot({})", sql.quote(slot)));
}

}  // namespace pg
