#include "connector/supervise.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "connector/log.h"
#include "connector/poll.h"
#include "connector/poll_verbs.h"
#include "connector/pump.h"
#include "connector/reload.h"
#include "connector/remedy.h"
#include "connector/retry.h"
#include "connector/session.h"
#include "pg/error.h"

namespace connector {
namespace {

class Supervisor {
 public:
  Supervisor(const Config& config, const RunCommand& command, Wakeup& wakeup)
      : config_(config),
        command_(command),
        wakeup_(wakeup),
        start_{.permissions = {.adopt = command.adopt,
                               .accept_gap = command.accept_gap,
                               .from_lsn = command.from_lsn},
               .wal_end = {}},
        until_(command.until_lsn) {}

  int run() {
    while (!wakeup_.stop_requested()) {
      try {
        take_changes();
        if (attempt()) break;
      } catch (const std::exception& error) {
        if (const auto code = fail(error)) return static_cast<int>(*code);
      }
    }
    spdlog::info("stopped");
    return static_cast<int>(Exit::done);
  }

 private:
  // Those that SIGHUP has brought. Within a session they have been looked at, and waited for its
  // end. Without one there is nothing to look at the servers with: only what may be needed to get
  // one is taken, and the rest is looked at then.
  void take_changes() {
    if (auto next = std::exchange(changed_, std::nullopt)) {
      config_ = std::move(*next);
    } else if (wakeup_.take_reload()) {
      const auto read = reload(config_);
      look_again_ = read.has_value();
      if (!read) return;
      config_.nats = read->nats;
      config_.log = read->log;
      spdlog::info("{} has changed: [nats] and [log] hold at once, the rest with the next session",
                   config_.file);
    } else {
      return;
    }
    configure_logging(config_.log);
  }

  // Whether the session must end for another configuration.
  bool look_for_changes(Session& session) {
    try {
      changed_ = reload(config_, session);
    } catch (...) {
      wakeup_.request_reload();  // once there is a connection again
      throw;
    }
    return changed_.has_value();
  }

  // True when the work is over.
  bool attempt() {
    const auto session = resync(config_, start_, wakeup_);
    if (!session) return wakeup_.stop_requested();
    streaming_ = session->spool.has_value();
    // What the operator allowed was for the gap that was there, not for one to come.
    start_.permissions = {};
    start_.first = false;
    retry_.reached();
    if (command_.until_current && !until_) {
      until_ = start_.wal_end;
      spdlog::info("running until {}", to_string(*until_));
    }
    if (std::exchange(look_again_, false)) wakeup_.request_reload();
    Pump pump(config_, *session, wakeup_, until_, [&] { return look_for_changes(*session); });
    const auto began = std::chrono::steady_clock::now();
    try {
      const auto ended = pump.run();
      if (ended == Pump::Ended::until_reached) {
        spdlog::info("everything committed at or before {} is stored", to_string(*until_));
      }
      return ended != Pump::Ended::reloaded;
    } catch (...) {
      const bool lived = std::chrono::steady_clock::now() - began > std::chrono::minutes(1);
      if (pump.stored() > 0 || lived) retry_.worked();
      throw;
    }
  }

  // What cannot be had as it runs can be had at its commit. PostgreSQL itself fails at times (seen
  // with 15.18: "could not map filenode") where a table is altered, put back by ROLLBACK TO and
  // altered again within a transaction while that is decoded.
  bool needs_whole_transactions(const std::exception& error) const {
    if (dynamic_cast<const pg::SpillError*>(&error) != nullptr) return true;
    if (dynamic_cast<const pg::AmbiguousStream*>(&error) != nullptr) return true;
    constexpr const char* internal_error = "XX000";
    const auto* postgres = dynamic_cast<const pg::Error*>(&error);
    return streaming_ && postgres != nullptr && postgres->sqlstate() == internal_error;
  }

  // The exit code, when trying again would not help.
  std::optional<Exit> fail(const std::exception& error) {
    Remedy remedy = retry_.judge(error);
    if (needs_whole_transactions(error)) {
      start_.without_streaming = true;
      remedy.retry = true;
      remedy.hint =
          "going on without streaming as long as the next session lasts; PostgreSQL then spills to "
          "its own disk what exceeds its logical_decoding_work_mem" +
          (remedy.hint.empty() ? "" : "; " + remedy.hint);
    }
    // Seen only once WAL is read: the slot is there, and what it must read is not.
    if (remedy.code == Exit::position_lost && dynamic_cast<const pg::Error*>(&error) != nullptr &&
        command_.accept_gap && !renewed_) {
      spdlog::warn("accepted: {}", one_line(error.what()));
      renewed_ = true;
      start_.permissions = {.accept_gap = true, .renew_slot = true};
      return std::nullopt;
    }
    return retry_.after(error, remedy, wakeup_);
  }

  Config config_;
  std::optional<Config> changed_;
  bool look_again_ = false;  // a changed configuration waits for a session
  const RunCommand& command_;
  Wakeup& wakeup_;
  Start start_;
  std::optional<pg::Lsn> until_;
  Retry retry_;
  bool renewed_ = false;
  bool streaming_ = false;  // in the last session
};

}  // namespace

int supervise(const Config& config, const RunCommand& command, Wakeup& wakeup) {
  if (config.polls()) {
    if (const std::string wrong = needs_slot(command); !wrong.empty()) {
      spdlog::error("{}. What to do: run --once, or without it", wrong);
      return static_cast<int>(Exit::usage);
    }
    return supervise_slotless(config, command, wakeup, poll_capture);
  }
  if (command.once) {
    spdlog::error("--once is for captures without a slot. What to do: run --until current");
    return static_cast<int>(Exit::usage);
  }
  return Supervisor(config, command, wakeup).run();
}

}  // namespace connector
