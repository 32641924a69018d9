// walferry: PostgreSQL's committed row changes onto a NATS JetStream stream, each once, in order.
//
// The daemon's signals are blocked before anything that takes time, and before the first thread
// (nats.c's included), and received here by sigwait: one that comes early waits, where it would
// end the process or, as process 1 of a container, be lost. One thread of ours does all the work.
#include <fmt/format.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "connector/cli.h"
#include "connector/config.h"
#include "connector/log.h"
#include "connector/poll_verbs.h"
#include "connector/remedy.h"
#include "connector/supervise.h"
#include "connector/verbs.h"
#include "connector/wakeup.h"

namespace {

using connector::Exit;

// What drains may hang in a system call to a host that does not answer.
constexpr int hard_limit_s = 5;

sigset_t daemon_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGUSR1}) sigaddset(&signals, signal);
  return signals;
}

void block_daemon_signals() {
  const sigset_t signals = daemon_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int run_daemon(const connector::Config& config, const connector::RunCommand& command) {
  const sigset_t signals = daemon_signals();
  connector::Wakeup wakeup;
  std::atomic<int> code{static_cast<int>(Exit::failed)};
  std::jthread worker([&] {
    code = connector::supervise(config, command, wakeup);
    kill(getpid(), SIGUSR1);  // wakes sigwait below
  });
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGUSR1) break;
    if (signal == SIGHUP) {
      wakeup.request_reload();
    } else if (signal == SIGALRM) {
      spdlog::warn("a server does not answer: ending without waiting for it");
      _exit(static_cast<int>(Exit::done));
    } else {
      if (!wakeup.stop_requested()) spdlog::info("stopping: waiting for what is in flight");
      wakeup.request_stop();
      alarm(hard_limit_s);
    }
  }
  worker.join();
  return code;
}

struct RunVerb {
  const connector::Config& config;
  int operator()(const connector::RunCommand& command) const { return run_daemon(config, command); }
  int operator()(const connector::CheckCommand& command) const { return check(config, command); }
  int operator()(const connector::StatusCommand& command) const { return status(config, command); }
  int operator()(const connector::TailCommand& command) const {
    if (command.from_lsn) connector::require_slot(config, "tail --from-lsn");
    return tail(config, command);
  }
  int operator()(const connector::SeekCommand& command) const {
    connector::require_slot(config, "seek");
    return seek(config, command);
  }
  int operator()(const connector::MarkCommand& command) const {
    connector::require_slot(config, "mark");
    return mark(config, command);
  }
  int operator()(const connector::ReplayCommand& command) const {
    connector::require_slot(config, "replay");
    return replay(config, command);
  }
  int operator()(const connector::SnapshotCommand& command) const {
    connector::require_slot(config, "snapshot");
    return snapshot(config, command);
  }
  int operator()(const connector::VerifyCommand& command) const {
    connector::require_tables(config);
    return verify(config, command);
  }
  int operator()(const connector::TeardownCommand& command) const {
    return teardown(config, command);
  }
  int operator()(const connector::VersionCommand&) const { return static_cast<int>(Exit::done); }
};

int run(const connector::Invocation& invocation) {
  if (std::holds_alternative<connector::VersionCommand>(invocation.command)) {
    return connector::version();
  }
  if (std::holds_alternative<connector::RunCommand>(invocation.command)) block_daemon_signals();
  const connector::Config config = connector::load_config(invocation.config_file);
  connector::configure_logging(config.log);
  return std::visit(RunVerb{config}, invocation.command);
}

}  // namespace

int main(int argc, char** argv) {
  connector::start_logging();
  try {
    const auto parsed = connector::parse_command_line(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    return run(std::get<connector::Invocation>(parsed));
  } catch (const connector::ConfigError& error) {
    for (const std::string& problem : error.problems()) fmt::print(stderr, "{}\n", problem);
    return static_cast<int>(Exit::usage);
  } catch (const std::exception& error) {
    const connector::Remedy remedy = connector::remedy_for(error);
    spdlog::error("{}{}{}", connector::one_line(error.what()),
                  remedy.hint.empty() ? "" : ". What to do: ", remedy.hint);
    return static_cast<int>(remedy.code);
  }
}
