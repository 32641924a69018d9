#include "outbox/poller.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "pg/copy_text.h"
#include "pg/error.h"

namespace outbox {
namespace {

std::string quoted(const std::string& text, char quote) {
  std::string result(1, quote);
  for (const char c : text) {
    result += c;
    if (c == quote) result += c;
  }
  return result + quote;
}

// standard_conforming_strings may be off.
std::string literal(const std::string& text) {
  std::string result = "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += c;
    result += c;
  }
  return result + "'";
}

std::string identifier(const std::string& name) { return quoted(name, '"'); }

std::string relation(const PolledTable& table) {
  return identifier(table.schema) + "." + identifier(table.name);
}

pg::Visibility snapshot(const std::string& text) {
  auto seen = pg::Visibility::parse(text);
  if (!seen) throw pg::ProtocolError("\"" + text + "\" is no snapshot");
  return *seen;
}

// The bounds let the index be used.
std::string not_seen_by(const std::string& text) {
  return fmt::format("xid >= '{}'::xid8 AND NOT pg_visible_in_snapshot(xid, '{}'::pg_snapshot)",
                     snapshot(text).xmin(), text);
}

std::string seen_by(const std::string& text) {
  return fmt::format("xid < '{}'::xid8 AND pg_visible_in_snapshot(xid, '{}'::pg_snapshot)",
                     snapshot(text).xmax(), text);
}

std::string within(const Range& range) {
  return seen_by(range.upto) + (range.after.empty() ? "" : " AND " + not_seen_by(range.after));
}

std::string condition(const PolledTable& table, const Range& range,
                      const std::optional<std::string>& after_id,
                      const std::optional<std::string>& upto_id) {
  std::string text = within(range);
  if (after_id) text += fmt::format(" AND {} > {}", identifier(table.id), literal(*after_id));
  if (upto_id) text += fmt::format(" AND {} <= {}", identifier(table.id), literal(*upto_id));
  return text;
}

// The session is over, or about to be.
bool is_lost(const std::string& sqlstate) {
  return sqlstate.empty() || sqlstate.starts_with("08") || sqlstate.starts_with("57P");
}

std::uint64_t integer(std::string_view text) {
  return std::strtoull(std::string(text).c_str(), nullptr, 10);
}

}  // namespace

Poller Poller::open(const std::string& dsn) {
  pg::SqlSession session = pg::SqlSession::open(dsn);
  // Rows that a policy hides would be missing without a word: an error instead. A lock that
  // somebody holds on the table (ALTER) is not waited for with a statement open.
  // The server must notice too when this end is gone: until then what was claimed is.
  session.exec(
      "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = "
      "3; SET tcp_user_timeout = 30000; "
      "SET row_security = off; SET statement_timeout = 0; SET lock_timeout = '2s'; "
      "SET idle_session_timeout = 0; SET default_transaction_isolation = 'read committed'; "
      "SET default_transaction_read_only = off");
  return Poller(std::move(session));
}

bool Poller::same_server(int pid, std::int64_t key) {
  const pg::PgResult result = session_.exec(
      fmt::format("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = {0} "
                  "AND objsubid = 1 AND classid::bigint = ({1}::bigint >> 32) & 4294967295 "
                  "AND objid::bigint = {1}::bigint & 4294967295",
                  pid, key));
  return PQntuples(result.get()) > 0;
}

// One statement: all of it sees one snapshot, which pg_current_snapshot() prints.
Poller::Look Poller::look(const std::vector<PolledTable>& tables,
                          const std::vector<std::string>& after) {
  std::string sql = "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn()";
  for (std::size_t i = 0; i < tables.size(); ++i) {
    sql += fmt::format(", (SELECT xid FROM {}{} ORDER BY xid DESC LIMIT 1)", relation(tables[i]),
                       after[i].empty() ? "" : " WHERE " + not_seen_by(after[i]));
  }
  const pg::PgResult result = session_.exec(sql);
  Look look{.now = snapshot(std::string(pg::cell(result, 0, 0))),
            .highest = {},
            .wal_end = std::string(pg::cell(result, 0, 1))};
  for (int i = 2; i < PQnfields(result.get()); ++i) {
    if (PQgetisnull(result.get(), 0, i) != 0) continue;
    look.highest = std::max(look.highest.value_or(0), integer(pg::cell(result, 0, i)));
  }
  return look;
}

// A commit that waits for its record takes all before it to disk.
void Poller::make_durable(const std::string& wal_end) {
  const pg::PgResult result =
      session_.exec(fmt::format("SELECT pg_current_wal_flush_lsn() >= '{}'::pg_lsn", wal_end));
  if (pg::cell(result, 0, 0) == "t") return;
  session_.exec(
      "BEGIN; SET LOCAL synchronous_commit = local; "
      "SELECT pg_logical_emit_message(true, 'walferry.flush', ''); COMMIT");
}

std::vector<PolledColumn> Poller::columns(const PolledTable& table) {
  const pg::PgResult result = session_.exec(
      fmt::format("WITH RECURSIVE base(attnum, attname, declared, type) AS ("
                  "SELECT attnum, attname, atttypid, atttypid FROM pg_attribute "
                  "WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped "
                  "UNION ALL SELECT attnum, attname, declared, typbasetype FROM base "
                  "JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd') "
                  "SELECT attname, declared, bool_or(type = 'bytea'::regtype) FROM base "
                  "GROUP BY attnum, attname, declared ORDER BY attnum",
                  literal(relation(table))));
  std::vector<PolledColumn> columns;
  columns.reserve(static_cast<std::size_t>(PQntuples(result.get())));
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    columns.push_back(
        {.name = std::string(pg::cell(result, row, 0)),
         .type = pg::TypeId(static_cast<std::uint32_t>(integer(pg::cell(result, row, 1)))),
         .is_bytea = pg::cell(result, row, 2) == "t"});
  }
  return columns;
}

void Poller::begin(const PolledTable& table, const Range& range,
                   const std::optional<std::string>& after_id, std::uint64_t most) {
  std::vector<std::string> columns;
  for (const PolledColumn& column : table.columns) {
    columns.push_back(identifier(column.name));
  }
  columns_ = columns.size();
  type_.clear();
  if (table.typed) {
    type_ = std::to_string(table.columns[*table.typed].type.value);
    columns.push_back(fmt::format("pg_typeof({})::oid", columns[*table.typed]));
  }
  session_.begin_copy(fmt::format(
      "COPY (SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {}) TO STDOUT", fmt::join(columns, ", "),
      relation(table), condition(table, range, after_id, {}), identifier(table.id), most));
}

std::optional<pg::Row> Poller::next() {
  auto line = session_.copied();
  if (!line) return std::nullopt;
  if (line->ends_with('\n')) line->remove_suffix(1);
  pg::split_copy_line(*line, columns_ + (type_.empty() ? 0 : 1), unescaped_, row_);
  const auto* type = type_.empty() ? nullptr : std::get_if<std::string_view>(&row_.back());
  if (type != nullptr && *type != type_) {
    throw pg::Error("the payload of an outbox has been given another type", "");
  }
  return pg::Row(row_).first(columns_);
}

std::uint64_t Poller::count(const PolledTable& table, const Range& range,
                            const std::optional<std::string>& after_id,
                            const std::optional<std::string>& upto_id, std::uint64_t most) {
  const pg::PgResult result = session_.exec(fmt::format(
      "SELECT count(*) FROM (SELECT FROM {} WHERE {}{}) AS counted", relation(table),
      condition(table, range, after_id, upto_id), most == 0 ? "" : fmt::format(" LIMIT {}", most)));
  return integer(pg::cell(result, 0, 0));
}

std::uint64_t Poller::count_behind(const PolledTable& table, const std::string& seen,
                                   std::uint64_t most) {
  const pg::PgResult result = session_.exec(
      fmt::format("SELECT count(*) FROM (SELECT FROM {}{} LIMIT {}) AS counted", relation(table),
                  seen.empty() ? "" : " WHERE " + not_seen_by(seen), most));
  return integer(pg::cell(result, 0, 0));
}

// Ordered by the column itself: its bare name would be the text that is selected.
std::optional<std::string> Poller::id_at(const PolledTable& table, const Range& range,
                                         const std::optional<std::string>& after_id,
                                         std::uint64_t number) {
  const pg::PgResult result = session_.exec(fmt::format(
      "SELECT rows.{0}::text FROM {1} AS rows WHERE {2} ORDER BY rows.{0} OFFSET {3} LIMIT 1",
      identifier(table.id), relation(table), condition(table, range, after_id, {}), number - 1));
  if (PQntuples(result.get()) == 0) return std::nullopt;
  return std::string(pg::cell(result, 0, 0));
}

bool Poller::has(const PolledTable& table, std::uint64_t xid) {
  const pg::PgResult result = session_.exec(
      fmt::format("SELECT FROM {} WHERE xid = '{}'::xid8 LIMIT 1", relation(table), xid));
  return PQntuples(result.get()) > 0;
}

bool Poller::claim(const PolledTable& table, bool alone) {
  const pg::PgResult result = session_.exec(
      fmt::format("SELECT pg_try_advisory_lock{}(hashtextextended({}, 0))", alone ? "" : "_shared",
                  literal("walferry polls " + relation(table))));
  return pg::cell(result, 0, 0) == "t";
}

Poller::Removed Poller::remove(const PolledTable& table, const Range& range, std::uint64_t most) {
  constexpr const char* lock_not_available = "55P03";
  const std::string id = identifier(table.id);
  session_.exec("BEGIN; SET LOCAL lock_timeout = '200ms'");
  // A row that changes while its lock is waited for is looked at again by the outer condition
  // alone, which is a CASE so that it does not tempt the planner to look for rows by it.
  try {
    const pg::PgResult result = session_.exec(
        fmt::format("DELETE FROM {0} WHERE {1} IN (SELECT {1} FROM {0} WHERE {2} LIMIT {3}) "
                    "AND CASE WHEN {2} THEN true ELSE false END",
                    relation(table), id, within(range), most));
    session_.exec("COMMIT");
    return {.rows = integer(PQcmdTuples(result.get())), .refused = ""};
  } catch (const pg::Error& error) {
    if (is_lost(error.sqlstate())) throw;
    session_.exec("ROLLBACK");
    if (error.sqlstate() == lock_not_available) return {};
    // What follows the first line may name a row's key.
    const std::string_view what = error.what();
    return {.rows = {}, .refused = std::string(what.substr(0, what.find('\n')))};
  }
}

std::string trimmed(const pg::Visibility& now, std::uint64_t highest,
                    const std::optional<pg::Visibility>& before) {
  const std::uint64_t xmax = std::max(highest + 1, before ? before->xmax() : 0);
  if (xmax > now.xmax()) {
    throw pg::ProtocolError(
        fmt::format("transaction {} has rows, and has not begun", std::max(highest, xmax - 1)));
  }
  std::vector<std::uint64_t> running;
  for (const std::uint64_t xid : now.running()) {
    if (xid < xmax) running.push_back(xid);
  }
  return fmt::format("{}:{}:{}", running.empty() ? xmax : running.front(), xmax,
                     fmt::join(running, ","));
}

}  // namespace outbox
