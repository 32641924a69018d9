// Wakes the one thread that waits, from any other: an eventfd, so that it can be polled beside the
// socket of the replication connection.
#pragma once

#include <atomic>
#include <chrono>

namespace connector {

class Wakeup {
 public:
  Wakeup();
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // From any thread.
  void notify() const;
  void request_stop();
  void request_reload();

  // From the thread that waits.
  int fd() const { return fd_; }
  void clear() const;
  bool stop_requested() const { return stop_.load(); }
  bool reload_requested() const { return reload_.load(); }
  bool take_reload() { return reload_.exchange(false); }
  // Returns early when a stop is requested.
  void wait_for(std::chrono::milliseconds duration) const;

 private:
  int fd_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> reload_{false};
};

}  // namespace connector
