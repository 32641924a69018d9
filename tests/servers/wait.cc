// Polling with a deadline. The interval grows from 5 to 20 ms, so that short waits are short and
// long ones leave the two cores to the servers.
#include "tests/servers/wait.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace servers {
namespace {

struct Poll {
  bool met = false;
  std::string last_error;
};

Poll poll_until(const std::function<bool()>& condition, Milliseconds deadline) {
  const auto end = Clock::now() + deadline;
  Milliseconds interval(5);
  Poll poll;
  while (true) {
    try {
      if (condition()) {
        poll.met = true;
        return poll;
      }
      poll.last_error.clear();
    } catch (const std::exception& error) {
      poll.last_error = error.what();
    }
    if (Clock::now() >= end) {
      return poll;
    }
    let_pass(interval);
    interval = std::min(interval + Milliseconds(1), Milliseconds(20));
  }
}

}  // namespace

void wait_until(const std::function<bool()>& condition, Milliseconds deadline,
                const std::string& what) {
  const Poll poll = poll_until(condition, deadline);
  if (poll.met) {
    return;
  }
  std::string message = "not within " + std::to_string(deadline.count()) + " ms: " + what;
  if (!poll.last_error.empty()) {
    message += " (last error: " + poll.last_error + ")";
  }
  throw std::runtime_error(message);
}

bool becomes_true(const std::function<bool()>& condition, Milliseconds period) {
  return poll_until(condition, period).met;
}

bool stays_true(const std::function<bool()>& condition, Milliseconds period) {
  return !poll_until([&] { return !condition(); }, period).met;
}

void let_pass(Milliseconds period) { std::this_thread::sleep_for(period); }

bool long_tests() {
  const char* value = std::getenv("WALFERRY_TEST_LONG");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace servers
