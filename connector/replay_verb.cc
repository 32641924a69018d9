// The verb `replay`: session after session until the end of its range is stored.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "connector/coverage.h"
#include "connector/interrupt.h"
#include "connector/observe.h"
#include "connector/pump.h"
#include "connector/remedy.h"
#include "connector/replay.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "connector/verbs.h"
#include "publisher/tail.h"

namespace connector {
namespace {

using std::chrono::milliseconds;

class ReplayVerb {
 public:
  ReplayVerb(const Config& config, const ReplayCommand& command, Wakeup& wakeup)
      : config_(config),
        command_(command),
        target_(replay_config(config, command)),
        wakeup_(wakeup),
        to_(command.to) {}

  int run() {
    milliseconds pause = shortest;
    bool complete = false;
    while (!complete && !wakeup_.stop_requested()) {
      try {
        complete = attempt(pause);
      } catch (const std::exception& error) {
        if (!began_ || !remedy_for(error).retry) throw;
        spdlog::warn("{}; trying again in {} ms", one_line(error.what()), pause.count());
        wakeup_.wait_for(pause);
        pause = std::min(pause * 2, longest);
      }
    }
    if (lost_) {
      throw Stop(Exit::failed, *lost_,
                 fmt::format("delete it (nats stream rm {0}), or name another one with --stream, "
                             "made with room for all of it",
                             target_.stream.name));
    }
    fmt::print("{} messages published to stream {}, which holds what was committed {} {}\n",
               human_number(published_), target_.stream.name, complete ? "from" : "in a part of",
               range());
    if (!complete) fmt::print("the same command goes on behind them\n");
    return static_cast<int>(Exit::done);
  }

 private:
  static constexpr milliseconds shortest{100};
  static constexpr milliseconds longest{30'000};

  std::string range() const {
    return fmt::format("{} to {}", to_string(command_.from),
                       to_ ? to_string(*to_) : std::string("now"));
  }

  // True when all is stored.
  bool attempt(milliseconds& pause) {
    const auto session = open();
    began_ = true;
    const pg::Lsn last(to_->value - 1);
    Pump pump(target_, *session, wakeup_, last);
    try {
      const bool complete = pump.run() == Pump::Ended::until_reached;
      published_ += pump.stored();
      if (complete) look_for_losses(*session->nats);
      return complete;
    } catch (...) {
      published_ += pump.stored();
      if (pump.stored() > 0) pause = shortest;
      throw;
    }
  }

  void look_for_losses(publisher::Connection& nats) {
    const auto info = publisher::stream_info(nats, target_.stream.name);
    lost_ = info ? lost_from(target_.stream.name, *info)
                 : fmt::format("stream {} is gone", target_.stream.name);
  }

  std::unique_ptr<Session> open() {
    pg::ReplicationStream replication = pg::ReplicationStream::open(config_.source.dsn);
    auto sql = pg::connect_sql(config_.source.dsn);
    const pg::ServerInfo server = pg::server_info(*sql);
    require(server_findings(server));
    choose_end(*sql);
    const std::string copy = copy_slot(replication, *sql, server);
    auto nats = std::make_unique<publisher::Connection>(nats_settings(config_),
                                                        [this] { wakeup_.notify(); });
    const publisher::StreamInfo info = require_stream(*nats);
    Reread::Known known = look_at_stream(*nats, info, *sql);
    Session session{.replication = std::move(replication),
                    .sql = std::move(sql),
                    .nats = std::move(nats),
                    .key = position_key(target_),
                    .saved = {},
                    .shapes_key = shapes_key(target_),
                    .shapes = {},
                    .joined = JoinedTables(joined_key(config_)),
                    .snapshots_key = snapshots_key(config_),
                    .snapshots = {},
                    .publications = {},
                    .reread = Reread({}),
                    .last = info.last,
                    .slot_confirmed = command_.from,
                    .spool = {},
                    .replay = ReplayOf{config_, command_.from, {}}};
    // Changes that a snapshot of a table without a key has in its rows were left out, and are
    // again.
    const publisher::KeyValueEntry snapshots = session.snapshots_key.get(*session.nats);
    if (snapshots.value) session.snapshots = SnapshotProgress::parse(*snapshots.value);
    const publisher::KeyValueEntry shapes = shapes_key(config_).get(*session.nats);
    if (shapes.value) session.replay->shapes = ShapeLog::parse(*shapes.value);
    session.joined.load(*session.nats, {});
    session.saved.tail = known.anchor;
    session.saved.last = info.last;
    session.reread = Reread(std::move(known));
    if (server.sender_timeout_ms > 0) {
      session.status_interval =
          std::min<milliseconds>(milliseconds(1000), milliseconds(server.sender_timeout_ms) / 2);
    }
    // A logical message outside a transaction has the position where its record ends, and is sent
    // only when it begins behind the start.
    const bool messages = TableSelection(config_).takes_messages();
    const pg::Lsn start = messages ? pg::Lsn() : command_.from;
    // Without streaming, which would bring the same records.
    session.replication.start(copy, start, coverage_of(config_, *session.sql).plan.publications,
                              false);
    spdlog::info("replaying {} from slot \"{}\" to stream {}, behind message {}", range(), source_,
                 target_.stream.name, info.last.value);
    return std::make_unique<Session>(std::move(session));
  }

  void choose_end(pqxx::connection& sql) {
    const pg::Lsn wal_end = pg::flushed_wal_lsn(sql);
    if (!to_) to_ = wal_end;
    if (command_.from >= *to_) {
      throw Stop(Exit::usage,
                 command_.to ? fmt::format("--to-lsn {} is not behind --from-lsn {}",
                                           to_string(*to_), to_string(command_.from))
                             : fmt::format("--from-lsn {} is not before the end of the server's "
                                           "WAL, {}",
                                           to_string(command_.from), to_string(*to_)),
                 "what was committed at or after the first, and before the second, is replayed");
    }
    if (*to_ > wal_end) {
      spdlog::info("the server's WAL ends at {}: waiting for {}", to_string(wal_end),
                   to_string(*to_));
    }
  }

  // The daemon may confirm more at any time: what counts is where the copy is.
  std::string copy_slot(pg::ReplicationStream& replication, pqxx::connection& sql,
                        const pg::ServerInfo& server) {
    const std::string& slot = config_.source.slot;
    const auto points = [&] {
      return replay_points(slot, pg::slot_info(sql, slot), marks_of(sql, slot));
    };
    const std::string suffix = fmt::format("_replay_{}", getpid());
    std::string copy = slot.substr(0, 63 - suffix.size()) + suffix;
    source_ = require_point(points(), command_.from).slot;
    require_free_slot(server);
    const pg::Lsn confirmed = replication.copy_temporarily(source_, copy);
    if (confirmed > command_.from) {
      require_point(points(), command_.from);
      throw Stop(Exit::position_lost,
                 fmt::format("slot \"{}\" has just moved to {}, beyond {}", source_,
                             to_string(confirmed), to_string(command_.from)),
                 "the same command again takes the mark that still reaches back");
    }
    return copy;
  }

  publisher::StreamInfo require_stream(publisher::Connection& nats) const {
    require(payload_findings(target_, nats.max_payload()));
    const auto info = publisher::stream_info(nats, target_.stream.name);
    require(stream_findings(target_, info));
    if (info) return *info;
    spdlog::info("creating stream {} for {}.>", target_.stream.name, target_.stream.subject_prefix);
    return publisher::create_stream(nats, stream_settings(target_));
  }

  Reread::Known look_at_stream(publisher::Connection& nats, const publisher::StreamInfo& info,
                               pqxx::connection& sql) const {
    const PublishConfig& publish = target_.publish;
    const auto window = publisher::read_back(nats, target_.stream.name, info.first, info.last,
                                             std::uint64_t{publish.max_in_flight} + 1,
                                             publish.max_in_flight_bytes + 2 * publish.max_message);
    return replayed(target_.stream.name, info, to_records(window, target_.source.slot),
                    pg::flushed_wal_lsn(sql));
  }

  const Config& config_;
  const ReplayCommand& command_;
  const Config target_;
  Wakeup& wakeup_;
  std::optional<pg::Lsn> to_;
  std::string source_;               // the slot that was copied
  std::optional<std::string> lost_;  // of what was stored
  bool began_ = false;
  std::uint64_t published_ = 0;
};

}  // namespace

int replay(const Config& config, const ReplayCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup);
  return ReplayVerb(config, command, wakeup).run();
}

}  // namespace connector
