// Ctrl-C ends the verbs that follow something, and ends them well: with what is printed whole, and
// with 0.
#pragma once

#include <thread>

#include "connector/wakeup.h"

namespace connector {

// While it lives, SIGINT and SIGTERM become wakeup.request_stop(). Make it before the first thread
// (nats.c's included), so that no other one gets them. What still hangs in a system call one second
// later ends the process there, with 0.
class Interrupt {
 public:
  explicit Interrupt(Wakeup& wakeup);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  std::thread thread_;
};

}  // namespace connector
