#include "connector/diff_sessions.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "connector/slotless.h"
#include "pg/error.h"
#include "pg/snapshot_table.h"

namespace connector {
namespace {

constexpr const char* begin_statement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

void settle(pg::SqlSession& session) {
  session.exec("SET LOCAL row_security = off");
  session.exec("SET LOCAL statement_timeout = 0");
  session.exec("SET LOCAL idle_in_transaction_session_timeout = 0");
  session.exec("SET LOCAL lock_timeout = '500ms'");
}

}  // namespace

DiffSessions::DiffSessions(const Config& config, int lock_pid)
    : config_(config), lock_pid_(lock_pid), first_(pg::SqlSession::open(config.source.dsn)) {
  require_same_server(first_);
}

// With several hosts in source.dsn, the tables might be read elsewhere than where the lock is.
void DiffSessions::require_same_server(pg::SqlSession& session) const {
  const pg::PgResult held = session.exec(
      fmt::format("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = {0} "
                  "AND objsubid = 1 AND classid::bigint = ({1}::bigint >> 32) & 4294967295 "
                  "AND objid::bigint = {1}::bigint & 4294967295",
                  lock_pid_, writer_lock_key(config_)));
  if (PQntuples(held.get()) == 0) {
    throw pg::Error("the two sessions have come to different servers", "");
  }
}

void DiffSessions::begin() {
  joined_ = false;
  first_.exec(begin_statement);
  settle(first_);
}

void DiffSessions::join(const std::vector<std::string>& locks) {
  const pg::PgResult exported = first_.exec("SELECT pg_catalog.pg_export_snapshot()");
  try {
    if (!second_) {
      second_.emplace(pg::SqlSession::open(config_.source.dsn));
      require_same_server(*second_);
    }
    second_->exec(begin_statement);
    second_->exec("SET TRANSACTION SNAPSHOT " +
                  pg::quote_text(std::string(pg::cell(exported, 0, 0))));
    settle(*second_);
    for (const std::string& lock : locks) second_->exec(lock);
    joined_ = true;
  } catch (const pg::Error& error) {
    spdlog::debug("the round is read by one session alone: {}", error.what());
    second_.reset();
  }
}

void DiffSessions::commit() {
  first_.exec("COMMIT");
  if (second()) second_->exec("COMMIT");
  joined_ = false;
}

}  // namespace connector
