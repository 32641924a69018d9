#include "connector/interrupt.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <utility>

#include "connector/stop.h"

namespace connector {
namespace {

constexpr int over = SIGUSR1;  // from the destructor: nothing more to wait for

struct End {
  std::string unfinished;  // empty: it is a good one
  std::chrono::seconds grace;
};

void wait_for_signals(Wakeup& wakeup, const sigset_t& signals, const End& end) {
  int signal = 0;
  sigwait(&signals, &signal);
  if (signal == over) return;
  wakeup.request_stop();
  const timespec grace{.tv_sec = end.grace.count(), .tv_nsec = 0};
  if (end.grace.count() > 0 && sigtimedwait(&signals, nullptr, &grace) == over) return;
  if (end.unfinished.empty()) _exit(static_cast<int>(Exit::done));
  spdlog::error("{}", end.unfinished);
  spdlog::default_logger()->flush();
  _exit(static_cast<int>(Exit::failed));
}

}  // namespace

Interrupt::Interrupt(Wakeup& wakeup) : Interrupt(wakeup, "", std::chrono::seconds(1)) {}

Interrupt::Interrupt(Wakeup& wakeup, std::string unfinished, std::chrono::seconds grace) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, over}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as EPIPE
  thread_ = std::thread([&wakeup, signals, end = End{std::move(unfinished), grace}] {
    wait_for_signals(wakeup, signals, end);
  });
}

Interrupt::~Interrupt() {
  pthread_kill(thread_.native_handle(), over);
  thread_.join();
}

}  // namespace connector
