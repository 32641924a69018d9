#include "connector/snapshot_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "connector/attach.h"
#include "connector/preconditions.h"
#include "connector/remedy.h"
#include "connector/session.h"
#include "connector/snapshot_words.h"
#include "connector/stop.h"
#include "connector/table_selection.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = TableSnapshot::State;

constexpr milliseconds look_interval{200};
constexpr seconds patience{5};  // until it is said that nobody takes it
constexpr seconds word_interval{30};

std::string name_in(const SnapshotRequest& request) {
  return request.schema.empty() ? "snapshots"
                                : readable_name(quoted_name(request.schema, request.table));
}

}  // namespace

SnapshotWatch::SnapshotWatch(const Config& config, std::unique_ptr<pqxx::connection> sql,
                             std::unique_ptr<publisher::Connection> nats, Wakeup& wakeup)
    : config_(config), wakeup_(wakeup), sql_(std::move(sql)), nats_(std::move(nats)) {}

int SnapshotWatch::follow(const std::string& id, bool to_end) {
  next_check_ = Clock::now() + patience;
  next_word_ = next_check_;
  bool taken = false;
  while (!wakeup_.stop_requested()) {
    if (look(id) && !std::exchange(taken, true)) {
      say_taken();
      progress_.emplace("snapshot", "rows", 0);
    }
    if (taken && (!to_end || over())) {
      progress_.reset();
      return conclude();
    }
    if (taken) show();
    const auto now = Clock::now();
    say_who_is_missing(now);
    if (absent_ && !taken && !to_end) return static_cast<int>(Exit::done);
    wakeup_.wait_for(look_interval);
  }
  progress_.reset();
  spdlog::info(
      "no longer watching: what was asked for stays. `walferry status` shows how far it is, "
      "`walferry snapshot --cancel` ends it");
  return static_cast<int>(Exit::done);
}

// True once the daemon has taken the order.
bool SnapshotWatch::look(const std::string& id) {
  try {
    if (!nats_ || nats_->lost()) nats_ = attach_nats(config_);
    const publisher::KeyValueEntry entry = snapshots_key(config_).get(*nats_);
    nats_lost_ = false;
    if (!entry.value) return !seen_.empty();
    const SnapshotProgress progress = SnapshotProgress::parse(*entry.value);
    std::vector<Seen> found;
    for (const SnapshotRequest& request : progress.requests()) {
      if (request.id == id) found.push_back({request, progress.reading_of(request)});
    }
    // What is over is forgotten at last.
    if (!found.empty()) seen_ = std::move(found);
  } catch (const std::exception& error) {
    if (!remedy_for(error).retry) throw;
    nats_.reset();
    if (!std::exchange(nats_lost_, true)) {
      spdlog::warn("{}: trying again", one_line(error.what()));
    }
  }
  return !seen_.empty();
}

bool SnapshotWatch::daemon_is_there() {
  try {
    if (!sql_) sql_ = attach_postgres(config_);
    const auto slot = pg::slot_info(*sql_, config_.source.slot);
    if (!slot) {
      throw Stop(
          Exit::position_lost,
          fmt::format("slot \"{}\" is gone, and what was asked for with it", config_.source.slot),
          "ask again once `walferry run` has made another");
    }
    return slot->active;
  } catch (const std::exception& error) {
    if (!remedy_for(error).retry) throw;
    sql_.reset();
    return false;
  }
}

void SnapshotWatch::say_who_is_missing(Clock::time_point now) {
  if (now < next_check_) return;
  next_check_ = now + patience;
  absent_ = !daemon_is_there();
  if (now < next_word_) return;
  const bool taken = !seen_.empty();
  if (absent_) {
    spdlog::warn(
        "no walferry reads slot \"{}\" now: what was asked for is kept, and {} when one "
        "starts",
        config_.source.slot, taken ? "goes on" : "is taken");
  } else if (!taken) {
    spdlog::info("the walferry that reads slot \"{}\" has not come to it yet: waiting",
                 config_.source.slot);
  } else {
    return;
  }
  next_word_ = now + word_interval;
}

void SnapshotWatch::say_taken() const {
  for (const Seen& seen : seen_) {
    if (seen.request.joined) {
      spdlog::info("{}: its rows are being read already, or wait for that: this is one with it",
                   name_in(seen.request));
    }
  }
}

bool SnapshotWatch::over() const {
  return std::all_of(seen_.begin(), seen_.end(),
                     [](const Seen& seen) { return seen.request.reading.ended(); });
}

// Of several tables, the one that is being read; all are counted for the bar.
void SnapshotWatch::show() {
  std::string words;
  double done = 0;
  std::size_t ended = 0;
  for (const Seen& seen : seen_) {
    const bool is_over = seen.request.reading.ended();
    if (is_over) ++ended;
    done += is_over ? 1 : seen.reading.share().value_or(0);
    const bool better = words.empty() || seen.reading.state == State::running;
    if (!is_over && better) words = name_in(seen.request) + " " + how_far(seen.reading);
  }
  const auto count = static_cast<double>(seen_.size());
  if (seen_.size() > 1) words += fmt::format("; {} of {} tables are over", ended, seen_.size());
  progress_->show(done / count, words);
}

int SnapshotWatch::conclude() const {
  int code = static_cast<int>(Exit::done);
  for (const Seen& seen : seen_) {
    const TableSnapshot& own = seen.request.reading;
    const bool asked = seen.request.action == SnapshotRequest::Action::snapshot;
    // What was taken and goes on is no failure.
    if (own.state == State::failed || own.state == State::cancelled) {
      code = static_cast<int>(Exit::failed);
    }
    const std::string came =
        asked ? how_far(own.ended() && own.state != State::complete ? own : seen.reading)
              : own.note;
    fmt::print("{}  {}\n", name_in(seen.request), came);
  }
  return code;
}

}  // namespace connector
