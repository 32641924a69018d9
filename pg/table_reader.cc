#include "pg/table_reader.h"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "pg/connect.h"
#include "pg/conninfo.h"
#include "pg/error.h"
#include "pg/sql_session.h"

namespace pg {
namespace {

// What logicalrep_write_attrs() flags: the columns of the identity's index, under FULL every one.
constexpr const char* shape_query = R"(
  SELECT c.relreplident, a.attname, a.atttypid, a.atttypmod,
         c.relreplident = 'f' OR EXISTS (
           SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indimmediate
              AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident
                                      ELSE false END
              AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])) AS key
    FROM pg_catalog.pg_class c
    LEFT JOIN pg_catalog.pg_attribute a
      ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   WHERE c.oid = {} ORDER BY a.attnum)";

std::uint32_t number(const PGresult* result, int row, int column) {
  return static_cast<std::uint32_t>(std::strtoul(PQgetvalue(result, row, column), nullptr, 10));
}

Lsn lsn(const PGresult* result, int column) {
  return parse_lsn(PQgetvalue(result, 0, column)).value();
}

}  // namespace

TableReader TableReader::open(const std::string& dsn) {
  return TableReader(connect(connect_params(dsn, Session::sql)));
}

void TableReader::fail(const PGresult* result) const {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  throw Error("PostgreSQL, reading tables: " + trimmed(PQerrorMessage(connection_.get())),
              state == nullptr ? "" : state);
}

PgResult TableReader::run(const std::string& sql, ExecStatusType expected) {
  PgResult result(PQexec(connection_.get(), sql.c_str()));
  if (PQresultStatus(result.get()) != expected) fail(result.get());
  return result;
}

std::string TableReader::quoted(const std::string& name) const {
  const auto release = [](char* text) { PQfreemem(text); };
  const std::unique_ptr<char, decltype(release)> text(
      PQescapeIdentifier(connection_.get(), name.data(), name.size()), release);
  if (!text) fail(nullptr);
  return text.get();
}

void TableReader::lock(const std::vector<ReadTable>& tables) {
  run(no_transaction_timeout, PGRES_TUPLES_OK);
  run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", PGRES_COMMAND_OK);
  run("SET LOCAL row_security = off", PGRES_COMMAND_OK);
  run("SET LOCAL statement_timeout = 0", PGRES_COMMAND_OK);
  run("SET LOCAL idle_in_transaction_session_timeout = 0", PGRES_COMMAND_OK);
  for (const ReadTable& table : tables) {
    run(fmt::format("LOCK TABLE {}{}.{} IN ACCESS SHARE MODE", table.partitioned ? "" : "ONLY ",
                    quoted(table.schema), quoted(table.name)),
        PGRES_COMMAND_OK);
  }
}

// The first query of the transaction takes its snapshot, before the functions in it are called.
TableReader::Snapshot TableReader::look() {
  const PgResult seen =
      run("SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn()",
          PGRES_TUPLES_OK);
  const auto visible = Visibility::parse(PQgetvalue(seen.get(), 0, 0));
  if (!visible) throw ProtocolError("pg_current_snapshot() prints no snapshot");
  return {.visible = *visible, .after = lsn(seen.get(), 1)};
}

Relation TableReader::shape(const ReadTable& table) {
  const PgResult result =
      run(fmt::format(fmt::runtime(shape_query), table.id.value), PGRES_TUPLES_OK);
  Relation relation;
  relation.id = table.id;
  relation.schema = table.schema;
  relation.name = table.name;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    relation.identity = static_cast<ReplicaIdentity>(PQgetvalue(result.get(), row, 0)[0]);
    if (PQgetisnull(result.get(), row, 1) != 0) continue;  // a table without columns
    relation.columns.push_back({.name = PQgetvalue(result.get(), row, 1),
                                .type = TypeId(number(result.get(), row, 2)),
                                .modifier = static_cast<std::int32_t>(
                                    std::strtol(PQgetvalue(result.get(), row, 3), nullptr, 10)),
                                .key = PQgetvalue(result.get(), row, 4)[0] == 't'});
  }
  return relation;
}

// What a filter says of a row that it fails on may quote the row.
void TableReader::fail_filtered(const ReadTable& table, const PGresult* result) const {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  throw Error(fmt::format("reading table {}.{}: its where fails, with SQLSTATE {}", table.schema,
                          table.name, state == nullptr ? "unknown" : state),
              state == nullptr ? "" : state);
}

void TableReader::copy(const ReadTable& table, const Relation& shape, const std::string& where,
                       const std::function<void(std::string_view line)>& row) {
  std::string columns;
  for (const Column& column : shape.columns) {
    columns += (columns.empty() ? "" : ", ") + quoted(column.name);
  }
  const std::string sql =
      fmt::format("COPY (SELECT {} FROM {}{}.{}{}{}{}) TO STDOUT", columns,
                  table.partitioned ? "" : "ONLY ", quoted(table.schema), quoted(table.name),
                  where.empty() ? "" : " WHERE (", where, where.empty() ? "" : "\n)");
  const auto require = [&](const PgResult& result, ExecStatusType expected) {
    if (PQresultStatus(result.get()) == expected) return;
    where.empty() ? fail(result.get()) : fail_filtered(table, result.get());
  };
  require(PgResult(PQexec(connection_.get(), sql.c_str())), PGRES_COPY_OUT);
  while (true) {
    char* raw = nullptr;
    const int length = PQgetCopyData(connection_.get(), &raw, 0);
    const CopyBuffer line(raw);
    if (length < 0) break;  // the end, or an error: the result says which
    std::string_view text(raw, static_cast<std::size_t>(length));
    if (text.ends_with('\n')) text.remove_suffix(1);
    row(text);
  }
  require(PgResult(PQgetResult(connection_.get())), PGRES_COMMAND_OK);
  PQclear(PQgetResult(connection_.get()));  // the end of the command: nothing
}

void TableReader::end() { run("COMMIT", PGRES_COMMAND_OK); }

}  // namespace pg
