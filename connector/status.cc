// Position, lag, slot and stream at a glance. A side that cannot be reached is said, and the other
// is shown all the same.
#include "connector/status.h"

#include <fmt/format.h>
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <iomanip>
#include <memory>
#include <sstream>

#include "connector/attach.h"
#include "connector/interrupt.h"
#include "connector/poll_verbs.h"
#include "connector/record.h"
#include "connector/remedy.h"
#include "connector/session.h"
#include "connector/slotless.h"
#include "connector/stamps.h"
#include "connector/verbs.h"
#include "pg/conninfo.h"
#include "publisher/tail.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// "2026-11-23T10:00:00.123456Z"; nothing for what Postgres prints of times beyond that form.
std::optional<system_clock::time_point> parse_time(const std::string& text) {
  std::tm parts{};
  std::istringstream in(text);
  in >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%S");
  if (in.fail()) return std::nullopt;
  auto time = system_clock::from_time_t(timegm(&parts));
  if (in.peek() == '.') {
    double fraction = 0;
    in >> fraction;
    time +=
        std::chrono::duration_cast<system_clock::duration>(std::chrono::duration<double>(fraction));
  }
  return time;
}

LastRecord last_record(const publisher::StoredMessage& message, const std::string& slot) {
  LastRecord last{.sequence = message.sequence,
                  .position = to_records({message}, slot).front().position,
                  .commit_ts = "",
                  .age_seconds = std::nullopt};
  // What an event or a logical message says of itself is its writer's, and may look like anything.
  if (message.header("Walferry-Event-Id") != nullptr) {
    const std::string* const time = message.header(commit_time_header);
    if (time != nullptr) last.commit_ts = *time;
  } else if (message.header("Walferry-Prefix") == nullptr) {
    if (const auto time = commit_time_in(message.payload)) last.commit_ts = iso_time(*time);
  }
  if (const auto time = parse_time(last.commit_ts)) {
    const std::chrono::duration<double> age = system_clock::now() - *time;
    last.age_seconds = std::max(age.count(), 0.0);
  }
  return last;
}

// An idle session has nothing to say but its end. To learn of that from a query would do too, but
// libpqxx 6.4 leaks that query's result.
bool has_ended(const pqxx::connection& sql) {
  pollfd session{.fd = sql.sock(), .events = POLLIN, .revents = 0};
  return session.fd < 0 || poll(&session, 1, 0) != 0;
}

// Keeps its connections from one look to the next, and makes a lost one anew.
class Watcher {
 public:
  explicit Watcher(const Config& config) : config_(config) {}

  StatusReport look() {
    StatusReport report;
    report.slot_name = config_.source.slot;
    report.stream_name = config_.stream.name;
    report.replay_window = config_.source.replay_window;
    try {
      look_at_postgres(report);
    } catch (const std::exception& error) {
      sql_.reset();
      report.postgres_error = one_line(error.what());
      report.postgres_code = remedy_for(error).code;
      report.slot.reset();
      report.marks.clear();
    }
    try {
      look_at_nats(report);
    } catch (const std::exception& error) {
      nats_.reset();
      report.nats_error = one_line(error.what());
      report.nats_code = remedy_for(error).code;
    }
    if (config_.polls()) look_at_batches(report);
    return report;
  }

 private:
  void look_at_postgres(StatusReport& report) {
    report.server = pg::describe(config_.source.dsn);
    if (sql_ && has_ended(*sql_)) sql_.reset();
    if (!sql_) sql_ = attach_postgres(config_);
    const pg::ServerInfo server = pg::server_info(*sql_);
    report.version = "PostgreSQL " + server.version_text;
    if (!server.in_recovery) report.wal_end = pg::flushed_wal_lsn(*sql_);
    if (config_.polls()) {
      report.poll.emplace();
      report.poll->writer = pg::advisory_lock_holder(*sql_, writer_lock_key(config_));
      return;
    }
    report.slot = pg::slot_info(*sql_, config_.source.slot);
    report.marks = marks_of(*sql_, config_.source.slot);
  }

  void look_at_nats(StatusReport& report) {
    if (!nats_ || nats_->lost()) nats_ = attach_nats(config_);
    report.nats_url = nats_->connected_url();
    report.stream = publisher::stream_info(*nats_, config_.stream.name);
    if (config_.polls()) return;
    const publisher::KeyValueEntry entry = position_key(config_).get(*nats_);
    try {
      if (entry.value) report.saved = parse_saved_position(*entry.value);
    } catch (const Stop& stop) {
      report.saved_error = stop.what();
    }
    const publisher::KeyValueEntry snapshots = snapshots_key(config_).get(*nats_);
    try {
      if (snapshots.value) report.snapshots = SnapshotProgress::parse(*snapshots.value);
    } catch (const Stop& stop) {
      report.saved_error = stop.what();
    }
    if (!report.stream || report.stream->messages == 0) return;
    const auto message = publisher::get_message(*nats_, config_.stream.name, report.stream->last);
    if (message) report.last = last_record(*message, config_.source.slot);
  }

  // Needs both sides.
  void look_at_batches(StatusReport& report) {
    if (!report.poll || !report.nats_error.empty()) return;
    try {
      const publisher::KeyValueEntry entry = position_key(config_).get(*nats_);
      if (!entry.value) return;
      const SlotlessPosition position = parse_slotless_position(*entry.value, "poll");
      const PollWork work = parse_poll_work(position.work);
      report.poll->batch = work.last;
      report.poll->open = work.open.has_value();
      report.poll->last = position.last;
      if (!poller_) poller_ = outbox::Poller::open(config_.source.dsn);
      report.poll->pending = pending_rows(config_, work, *poller_, PollReport::most_pending);
    } catch (const std::exception& error) {
      poller_.reset();
      report.saved_error = one_line(error.what());
    }
  }

  const Config& config_;
  std::unique_ptr<pqxx::connection> sql_;
  std::unique_ptr<publisher::Connection> nats_;
  std::optional<outbox::Poller> poller_;
};

int watch(const Config& config, const StatusCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup);
  Watcher watcher(config);
  // In place on a terminal; elsewhere a block a second, or a line.
  const bool repaint = stdout_is_terminal() && !command.json;
  const Palette palette = palette_for_stdout();
  for (bool first = true; !wakeup.stop_requested() && std::ferror(stdout) == 0; first = false) {
    const StatusReport report = watcher.look();
    const std::string page =
        command.json ? status_json(report, true) : status_text(report, palette);
    const char* before = repaint ? (first ? "\x1b[2J\x1b[H" : "\x1b[H\x1b[J") : "";
    const char* between = repaint || first || command.json ? "" : "\n";
    std::fputs((std::string(before) + between + page).c_str(), stdout);
    std::fflush(stdout);
    wakeup.wait_for(milliseconds(1000));
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

int status(const Config& config, const StatusCommand& command) {
  if (command.watch) return watch(config, command);
  const StatusReport report = Watcher(config).look();
  fmt::print("{}",
             command.json ? status_json(report, false) : status_text(report, palette_for_stdout()));
  return static_cast<int>(report.postgres_code != Exit::done ? report.postgres_code
                                                             : report.nats_code);
}

}  // namespace connector
