#include "pg/writer_lock.h"

#include <fmt/format.h>
#include <poll.h>

#include <memory>
#include <new>
#include <utility>

#include "pg/connect.h"
#include "pg/conninfo.h"
#include "pg/error.h"

namespace pg {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds patience{10'000};
constexpr milliseconds ask_again{500};
constexpr milliseconds stale{1000};

}  // namespace

WriterLock WriterLock::open(const std::string& dsn) {
  WriterLock lock(connect(connect_params(dsn, Session::sql)));
  // The server must notice too when this end is gone: until then the lock is held.
  lock.exec(
      "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = "
      "3; "
      "SET idle_session_timeout = 0; SET statement_timeout = 0; SET tcp_user_timeout = 30000",
      patience);
  return lock;
}

bool WriterLock::try_acquire(std::int64_t key) {
  const PgResult result = exec(fmt::format("SELECT pg_try_advisory_lock({})", key), patience);
  return *PQgetvalue(result.get(), 0, 0) == 't';
}

void WriterLock::require() {
  const auto now = Clock::now();
  if (now - answered_ < ask_again) return;
  exec("SELECT 1", stale);
  if (Clock::now() - answered_ >= stale) {
    throw Error("the session that holds the writer's lock answers too late", "");
  }
}

void WriterLock::listen(const std::string& channel) {
  const std::unique_ptr<char, Closer<PQfreemem>> name(
      PQescapeIdentifier(connection_.get(), channel.data(), channel.size()));
  if (!name) fail(nullptr);
  exec(fmt::format("LISTEN {}", name.get()), patience);
}

bool WriterLock::take_notifications() {
  if (PQconsumeInput(connection_.get()) == 0) fail(nullptr);
  bool any = false;
  while (PGnotify* raw = PQnotifies(connection_.get())) {
    const std::unique_ptr<PGnotify, Closer<PQfreemem>> notification(raw);
    any = true;
  }
  return any;
}

// Several statements in one text are one result here: the last one's.
PgResult WriterLock::exec(const std::string& sql, milliseconds limit) {
  const auto asked = Clock::now();
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) fail(nullptr);
  PgResult last;
  while (true) {
    while (PQisBusy(connection_.get()) != 0) {
      const auto left = std::chrono::ceil<milliseconds>(asked + limit - Clock::now()).count();
      pollfd fd{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
      if (left <= 0 || poll(&fd, 1, static_cast<int>(left)) == 0) {
        throw Error(fmt::format("the session that holds the writer's lock has not answered within "
                                "{} ms",
                                limit.count()),
                    "");
      }
      if (PQconsumeInput(connection_.get()) == 0) fail(nullptr);
    }
    PgResult result(PQgetResult(connection_.get()));
    if (!result) break;
    last = std::move(result);
    const auto status = PQresultStatus(last.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail(last.get());
  }
  answered_ = asked;
  return last;
}

void WriterLock::fail(const PGresult* result) const {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  throw Error("PostgreSQL: " + trimmed(PQerrorMessage(connection_.get())),
              state == nullptr ? "" : state);
}

// How a lock on one bigint is shown: PostgreSQL's documentation, pg_locks.
std::optional<LockHolder> advisory_lock_holder(pqxx::connection& sql, std::int64_t key) {
  pqxx::nontransaction work(sql);
  const pqxx::result result = work.exec(fmt::format(R"(
    SELECT l.pid, extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS idle
      FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid::bigint = ({0}::bigint >> 32) & 4294967295
       AND l.objid::bigint = {0}::bigint & 4294967295)",
                                                    key));
  if (result.empty()) return std::nullopt;
  LockHolder holder{.pid = result[0]["pid"].as<int>(), .idle_seconds = {}};
  if (!result[0]["idle"].is_null()) holder.idle_seconds = result[0]["idle"].as<double>();
  return holder;
}

}  // namespace pg
