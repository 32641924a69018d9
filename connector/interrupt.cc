#include "connector/interrupt.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace connector {
namespace {

constexpr int over = SIGUSR1;  // from the destructor: nothing more to wait for

void wait_for_signals(Wakeup& wakeup, const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  if (signal == over) return;
  wakeup.request_stop();
  const timespec grace{.tv_sec = 1, .tv_nsec = 0};
  if (sigtimedwait(&signals, nullptr, &grace) != over) _exit(0);
}

}  // namespace

Interrupt::Interrupt(Wakeup& wakeup) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, over}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as EPIPE
  thread_ = std::thread([&wakeup, signals] { wait_for_signals(wakeup, signals); });
}

Interrupt::~Interrupt() {
  pthread_kill(thread_.native_handle(), over);
  thread_.join();
}

}  // namespace connector
