// The sessions that a round reads by: one that holds its snapshot and its locks, and a second one
// that sees the same, so that the server can work at two ranges of a big table at a time.
//
// The second one is never needed: where it is not to be had (too many connections, a lock that
// somebody waits for), a round is only slower.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connector/config.h"
#include "pg/sql_session.h"

namespace connector {

class DiffSessions {
 public:
  // `lock_pid`: of the session that holds the writer's lock. Throws pg::Error when the first one
  // has come to another server.
  DiffSessions(const Config& config, int lock_pid);

  pg::SqlSession& first() { return first_; }
  // Nothing unless join() has brought it into the first one's transaction.
  pg::SqlSession* second() { return joined_ ? &*second_ : nullptr; }

  // Both as the transactions of a round are.
  void begin();
  // `locks`: statements that the first one has run already. Does not wait long, since whoever
  // waits for the first one's locks may stand between.
  void join(const std::vector<std::string>& locks);
  void commit();

 private:
  void require_same_server(pg::SqlSession& session) const;

  const Config& config_;
  int lock_pid_;
  pg::SqlSession first_;
  std::optional<pg::SqlSession> second_;
  bool joined_ = false;
};

}  // namespace connector
