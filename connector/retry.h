// What follows an error: another attempt after a pause, or the end of the process. Logs it.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <random>

#include "connector/remedy.h"
#include "connector/stop.h"
#include "connector/wakeup.h"

namespace connector {

// Jittered, growing by half: quick after a blip, patient in an outage.
class Backoff {
 public:
  std::chrono::milliseconds next();
  void reset() { current_ = shortest; }

 private:
  static constexpr std::chrono::milliseconds shortest{100};
  static constexpr std::chrono::milliseconds longest{30'000};
  std::chrono::milliseconds current_ = shortest;
  std::mt19937 random_{std::random_device{}()};
};

class Retry {
 public:
  // What remedy_for() says, less what is worth more than one attempt.
  Remedy judge(const std::exception& error);
  // Says what happened. The exit code, when trying again would not help; else it has waited.
  std::optional<Exit> after(const std::exception& error, const Remedy& remedy,
                            const Wakeup& wakeup);

  // Both sides were reached once.
  void reached() { reached_ = true; }
  // The attempt did some good: not before, since who may read, but not publish, gets far too.
  void worked();

 private:
  static constexpr int refusals_allowed = 3;

  Backoff backoff_;
  int refusals_ = 0;
  bool reached_ = false;
};

}  // namespace connector
