// The session that says who may write: one advisory lock, and whether it is still held.
//
// Without a slot nothing in PostgreSQL admits only one reader. So whoever holds this lock writes,
// and all others stand by. A lock ends with its session, and a process that was stopped and goes on
// would not notice: what it writes, it writes only while this session has answered lately.
//
// One thread. Every function throws pg::Error, also where the server does not answer in time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "pg/handles.h"

namespace pg {

class WriterLock {
 public:
  using Clock = std::chrono::steady_clock;

  static WriterLock open(const std::string& dsn);

  // True once it is held, for as long as the session lives. Works on a standby too, where it counts
  // among that server's sessions.
  bool try_acquire(std::int64_t key);

  // Returns when the session has answered something that was asked less than a second ago. To call
  // before each write costs a look at the clock, and twice a second a round trip.
  void require();

  // Hears what other sessions NOTIFY. socket() becomes readable when there is something.
  void listen(const std::string& channel);
  bool take_notifications();  // true: there were some
  int pid() const { return PQbackendPID(connection_.get()); }
  int socket() const { return PQsocket(connection_.get()); }

 private:
  explicit WriterLock(PgConnection connection) : connection_(std::move(connection)) {}
  PgResult exec(const std::string& sql, std::chrono::milliseconds limit);
  [[noreturn]] void fail(const PGresult* result) const;

  PgConnection connection_;
  Clock::time_point answered_{};  // when what was answered last was asked
};

// The session, of this server and database, that holds that advisory lock. Throws what libpqxx
// throws.
struct LockHolder {
  int pid = 0;
  std::optional<double>
      idle_seconds;  // since it asked something; nothing: not for this role to see
};
std::optional<LockHolder> advisory_lock_holder(pqxx::connection& sql, std::int64_t key);

}  // namespace pg
