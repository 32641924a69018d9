// Follows what became of an order for snapshots: until the daemon has taken it, and then until it
// is over, with a bar. What is shown is what the daemon saves.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/snapshot_progress.h"
#include "connector/wakeup.h"
#include "connector/work_progress.h"
#include "publisher/connection.h"

namespace connector {

class SnapshotWatch {
 public:
  using Clock = std::chrono::steady_clock;

  SnapshotWatch(const Config& config, std::unique_ptr<pqxx::connection> sql,
                std::unique_ptr<publisher::Connection> nats, Wakeup& wakeup);

  // Prints what became of each table, and returns the exit code. `to_end`: else only until the
  // daemon has taken it, or none is there to do so.
  int follow(const std::string& id, bool to_end);

 private:
  // One table of the order, as it was seen last.
  struct Seen {
    SnapshotRequest request;
    TableSnapshot reading;
  };

  bool look(const std::string& id);
  bool daemon_is_there();
  void say_who_is_missing(Clock::time_point now);
  void say_taken() const;
  void show();
  bool over() const;
  int conclude() const;

  const Config& config_;
  Wakeup& wakeup_;
  std::unique_ptr<pqxx::connection> sql_;
  std::unique_ptr<publisher::Connection> nats_;
  std::vector<Seen> seen_;
  Clock::time_point next_check_;
  Clock::time_point next_word_;
  bool absent_ = false;  // when it was looked for last
  bool nats_lost_ = false;
  std::optional<WorkProgress> progress_;
};

}  // namespace connector
