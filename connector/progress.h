// Says how far long work has come: a line in the log every 10 s, or a bar where standard error is a
// terminal and the end is known. Says nothing while there is nothing to catch up with.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "pg/types.h"

namespace connector {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // `until`: where the work ends, when it does.
  Progress(std::optional<pg::Lsn> until, Clock::time_point now);
  ~Progress();  // ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `stored` records so far, all that commits before `at`. `wal_end` asks the server, and is called
  // at most every 10 s.
  void report(Clock::time_point now, std::uint64_t stored, pg::Lsn at,
              const std::function<pg::Lsn()>& wal_end);

 private:
  void draw(Clock::time_point now, std::uint64_t stored, pg::Lsn at);

  std::optional<pg::Lsn> until_;
  bool bar_;
  bool drawn_ = false;
  Clock::time_point began_;
  Clock::time_point next_;
  std::optional<pg::Lsn> from_;
  std::uint64_t said_ = 0;  // records at the last report
};

}  // namespace connector
