#include "outbox/polled_catalog.h"

#include <fmt/format.h>

namespace outbox {
namespace {

// {0}: the table's oid.
constexpr const char* table_query = R"(
  SELECT c.oid, c.relkind::text AS kind,
         has_schema_privilege(n.oid, 'USAGE') AS may_use,
         has_table_privilege(c.oid, 'SELECT') AS may_select,
         has_table_privilege(c.oid, 'DELETE') AS may_delete,
         row_security_active(c.oid) AS hides_rows,
         c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS has_children
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = {0} AND c.relname = {1} AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))";

constexpr const char* column_query = R"(
  WITH RECURSIVE base(declared, type) AS (
       SELECT DISTINCT atttypid, atttypid FROM pg_attribute WHERE attrelid = {0} AND attnum > 0
        UNION ALL
       SELECT declared, typbasetype FROM base JOIN pg_type ON oid = type WHERE typtype = 'd')
  SELECT a.attname, format_type(a.atttypid, NULL) AS type, a.attnotnull,
         (SELECT bool_and(t.typtype IN ('d', 'e', 'c') OR t.typcategory = 'A'
                          OR t.typnamespace = 'pg_catalog'::regnamespace)
            FROM base JOIN pg_type t ON t.oid = base.type
           WHERE declared = a.atttypid) AS compares,
         coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS by_default,
         EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                                        JOIN pg_am m ON m.oid = x.relam
                  WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL
                    AND i.indkey[0] = a.attnum AND m.amname = 'btree') AS leads,
         EXISTS (SELECT FROM pg_index i
                  WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL
                    AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS is_unique
    FROM pg_attribute a
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = {0} AND a.attnum > 0 AND NOT a.attisdropped)";

}  // namespace

std::optional<PolledTableInfo> polled_table_info(pqxx::connection& sql, const PolledTable& table) {
  pqxx::nontransaction work(sql);
  const pqxx::result found = work.exec(
      fmt::format(fmt::runtime(table_query), work.quote(table.schema), work.quote(table.name)));
  if (found.empty()) return std::nullopt;
  PolledTableInfo info;
  info.kind = found[0]["kind"].c_str()[0];
  info.oid = found[0]["oid"].as<std::uint32_t>();
  info.may_use = found[0]["may_use"].as<bool>();
  info.may_select = found[0]["may_select"].as<bool>();
  info.may_delete = found[0]["may_delete"].as<bool>();
  info.hides_rows = found[0]["hides_rows"].as<bool>();
  info.has_children = found[0]["has_children"].as<bool>();
  const pqxx::result columns = work.exec(fmt::format(fmt::runtime(column_query), info.oid));
  for (const auto& column : columns) {
    const std::string name = column["attname"].c_str();
    if (name == table.id) {
      info.id_unique = column["is_unique"].as<bool>();
      info.id_not_null = column["attnotnull"].as<bool>();
      info.id_type = column["type"].c_str();
      info.id_compares = column["compares"].as<bool>();
    }
    if (name != "xid") continue;
    info.xid_type = column["type"].c_str();
    info.xid_default = column["by_default"].c_str();
    info.xid_not_null = column["attnotnull"].as<bool>();
    info.xid_index = column["leads"].as<bool>();
  }
  return info;
}

}  // namespace outbox
