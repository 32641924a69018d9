// Ctrl-C ends the verbs that follow something, and ends them well: with what is printed whole, and
// with 0. Those whose result is worth nothing before it is whole end with 1, and say so.
#pragma once

#include <chrono>
#include <string>
#include <thread>

#include "connector/wakeup.h"

namespace connector {

// While it lives, SIGINT and SIGTERM become wakeup.request_stop(). Make it before the first thread
// (nats.c's included), so that no other one gets them. What still hangs in a system call one second
// later ends the process there, with 0.
class Interrupt {
 public:
  explicit Interrupt(Wakeup& wakeup);
  // The same, for a verb that looks at the wakeup and throws. What still hangs after `grace`
  // (0: whatever goes on) ends the process there, with 1 and these words in the log.
  Interrupt(Wakeup& wakeup, std::string unfinished,
            std::chrono::seconds grace = std::chrono::seconds(0));
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  std::thread thread_;
};

}  // namespace connector
