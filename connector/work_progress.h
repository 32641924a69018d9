// Says how far a verb's work has come: a bar where standard error is a terminal, a line in the log
// every 10 s elsewhere. Work that is done sooner says nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace connector {

class WorkProgress {
 public:
  using Clock = std::chrono::steady_clock;

  // `what` is done, `unit` counted: "reading stream CDC", "messages". `total` 0: not known.
  WorkProgress(std::string what, std::string unit, std::uint64_t total);
  ~WorkProgress();  // takes the bar away
  WorkProgress(const WorkProgress&) = delete;
  WorkProgress& operator=(const WorkProgress&) = delete;

  void report(std::uint64_t done);
  // The same in other words. `share`: from 0 to 1; nothing: not known.
  void show(std::optional<double> share, const std::string& words);

 private:
  std::string what_, unit_;
  std::uint64_t total_;
  bool bar_;
  bool drawn_ = false;
  Clock::time_point began_;
  Clock::time_point next_;
};

}  // namespace connector
