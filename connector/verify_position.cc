#include "connector/verify_position.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <variant>
#include <vector>

#include "connector/observe.h"
#include "connector/saved_position.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "pg/catalog.h"
#include "pg/error.h"
#include "pg/pgoutput.h"
#include "pg/publication.h"
#include "pg/replication.h"
#include "publisher/key_value.h"
#include "publisher/stream.h"
#include "publisher/tail.h"

namespace connector {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds look_interval{100};
constexpr seconds nudge_interval{1};
constexpr seconds say_interval{10};
constexpr seconds restart_limit{10};  // a daemon that is being restarted has so long
constexpr std::uint64_t tail_messages = 256;
constexpr std::uint64_t tail_bytes = 16ULL << 20;

void pause(milliseconds duration) { poll(nullptr, 0, static_cast<int>(duration.count())); }

std::optional<SavedPosition> saved_for(const Config& config, publisher::Connection& nats) {
  const publisher::KeyValueEntry entry = position_key(config).get(nats);
  if (!entry.value) return std::nullopt;
  SavedPosition saved = parse_saved_position(*entry.value);
  if (saved.intent) return std::nullopt;
  return saved;
}

publisher::StreamInfo require_stream(const Config& config, publisher::Connection& nats) {
  auto info = publisher::stream_info(nats, config.stream.name);
  if (info) return *info;
  throw Stop(Exit::precondition, fmt::format("stream {} does not exist", config.stream.name),
             "`walferry run` creates it; or correct stream.name");
}

// What the stream has for sure, of the WAL that a slot still holds.
struct Covered {
  pg::Lsn before;      // all that was committed before it,
  pg::Position up_to;  // and all up to this change
  bool has(pg::Position position) const {
    return position <= up_to || position.commit_lsn < before;
  }
};

Covered covered_by(const Config& config, publisher::Connection& nats,
                   const publisher::StreamInfo& info) {
  Covered covered;
  const auto saved = saved_for(config, nats);
  if (saved && saved->stream_created == info.created && saved->last <= info.last) {
    covered.before = saved->stored;
    covered.up_to = saved->tail.change;
  }
  const auto window = publisher::read_back(nats, config.stream.name, info.first, info.last,
                                           tail_messages, tail_bytes);
  for (const StoredRecord& record : to_records(window, config.source.slot)) {
    if (!record.position) continue;
    pg::Position change = record.position->change;
    if (record.position->part != MessagePosition::whole && change.ordinal > 0) --change.ordinal;
    covered.up_to = std::max(covered.up_to, change);
  }
  return covered;
}

// Looks through a slot for the first change of the tables that the stream does not have.
class SlotScan {
 public:
  SlotScan(const Config& config, const TableNames& tables, Covered covered, pg::Lsn end,
           const std::function<void()>& go_on)
      : config_(config), tables_(tables), covered_(covered), end_(end), go_on_(go_on) {}

  // Nothing: the stream has all. Throws pg::Error 55006 when somebody reads the slot.
  std::optional<pg::Position> first_missing(pqxx::connection& sql) {
    std::vector<std::string> publications;
    for (const std::string& name :
         {config_.source.publication, pg::insert_publication(config_.source.publication)}) {
      if (pg::publication_info(sql, name)) publications.push_back(name);
    }
    if (publications.empty()) {
      throw Stop(Exit::precondition,
                 fmt::format("publication \"{}\" does not exist", config_.source.publication),
                 "`walferry run` makes it");
    }
    pg::ReplicationStream stream = pg::ReplicationStream::open(config_.source.dsn);
    stream.start(config_.source.slot, std::max(covered_.before, covered_.up_to.commit_lsn),
                 publications, false);
    auto next_nudge = Clock::now() + nudge_interval;
    while (!over_ && !missing_) {
      go_on_();
      const pg::Arrival arrival = stream.next();
      if (const auto* data = std::get_if<pg::WalData>(&arrival)) {
        std::visit([this](const auto& change) { on(change); }, decoder_.decode(data->message));
      } else if (const auto* keepalive = std::get_if<pg::Keepalive>(&arrival)) {
        if (!open_ && keepalive->wal_end >= end_) over_ = true;
      } else {
        stream.send_status(pg::Lsn(), std::nullopt, true);
        stream.flush();
        pause(milliseconds(20));
        if (Clock::now() >= next_nudge) {
          next_xid(sql);  // without it an idle server may not send its last WAL for a while
          next_nudge = Clock::now() + nudge_interval;
        }
      }
    }
    stream.finish(Clock::now() + seconds(2));
    return missing_;
  }

 private:
  void on(const pg::Begin& begin) {
    open_ = true;
    at_ = {begin.commit_lsn, 0};
    if (begin.commit_lsn >= end_) over_ = true;
  }
  void on(const pg::Commit&) { open_ = false; }
  void on(const pg::Insert& change) { changed(*change.relation); }
  void on(const pg::Update& change) { changed(*change.relation); }
  void on(const pg::Delete& change) { changed(*change.relation); }
  void on(const pg::Truncate& change) {
    for (const pg::Relation* relation : change.relations) changed(*relation);
  }
  void on(const pg::Message& message) {
    if (message.transactional) ++at_.ordinal;
  }
  void on(const pg::RelationSeen&) {}
  void on(const pg::TypeSeen&) {}
  void on(const pg::Origin&) {}
  void changed(const pg::Relation& relation) {
    ++at_.ordinal;
    if (over_ || missing_ || covered_.has(at_)) return;
    if (tables_.count({relation.schema, relation.name}) > 0) missing_ = at_;
  }

  const Config& config_;
  const TableNames& tables_;
  Covered covered_;
  pg::Lsn end_;
  const std::function<void()>& go_on_;
  pg::PgoutputDecoder decoder_;
  pg::Position at_;
  bool open_ = false;
  bool over_ = false;
  std::optional<pg::Position> missing_;
};

// The stream's last message, where nobody works on the slot and the stream has all there is;
// nothing where a daemon may still be about to work.
std::optional<publisher::StreamSequence> without_daemon(const Config& config, pqxx::connection& sql,
                                                        publisher::Connection& nats,
                                                        const TableNames& tables, pg::Lsn end,
                                                        bool last_try,
                                                        const std::function<void()>& go_on) {
  const publisher::StreamInfo info = require_stream(config, nats);
  try {
    SlotScan scan(config, tables, covered_by(config, nats, info), end, go_on);
    const auto missing = scan.first_missing(sql);
    if (!missing) return info.last;
    if (!last_try) return std::nullopt;
    throw Stop(Exit::precondition,
               fmt::format("no daemon works on slot \"{}\", and stream {} lacks what was committed "
                           "from {} on",
                           config.source.slot, config.stream.name, to_string(missing->commit_lsn)),
               "start `walferry run`, or let `walferry run --until current` publish it first");
  } catch (const pg::Error& error) {
    if (error.sqlstate() != "55006") throw;  // a daemon has just taken the slot
    return std::nullopt;
  }
}

}  // namespace

std::uint64_t next_xid(pqxx::connection& sql) {
  pqxx::work work(sql);
  const pqxx::result result = work.exec("SELECT pg_catalog.pg_current_xact_id()");
  work.commit();
  return result[0][0].as<std::uint64_t>();
}

publisher::StreamSequence last_before(const Config& config, pqxx::connection& sql,
                                      publisher::Connection& nats, const TableNames& tables,
                                      pg::Lsn end, const std::function<void()>& go_on) {
  const auto began = Clock::now();
  auto next_nudge = began;
  auto next_word = began + say_interval;
  auto alone_since = began;
  bool scanned = false;
  for (bool first = true;; first = false) {
    const auto slot = pg::slot_info(sql, config.source.slot);
    if (!slot) {
      throw Stop(Exit::precondition,
                 fmt::format("slot \"{}\" does not exist: what the stream has is not known",
                             config.source.slot),
                 "`walferry run` makes it; or correct source.slot");
    }
    const publisher::StreamInfo info = require_stream(config, nats);
    const auto saved = saved_for(config, nats);
    const auto now = Clock::now();
    if (saved && saved->stream_created == info.created && saved->stored >= end &&
        saved->last <= info.last && slot->active) {
      return saved->last;
    }
    if (slot->active) {
      alone_since = now;
      scanned = false;
      if (!saved && now - began > restart_limit) {
        throw Stop(Exit::precondition,
                   fmt::format("slot \"{}\" is in use, and no position is saved for it with "
                               "stream {}",
                               config.source.slot, config.stream.name),
                   "give the configuration that the daemon has");
      }
    } else {
      const bool last_try = now - alone_since >= restart_limit;
      if (!scanned || last_try) {
        if (const auto last = without_daemon(config, sql, nats, tables, end, last_try, go_on)) {
          return *last;
        }
        scanned = true;
        if (first) spdlog::info("waiting for a daemon on slot \"{}\"", config.source.slot);
      }
    }
    if (now >= next_nudge) {
      next_xid(sql);  // without it an idle server may not send its last WAL for a while
      next_nudge = now + nudge_interval;
    }
    if (now >= next_word) {
      spdlog::info("waiting until the stream has what was committed before {}: it is at {}",
                   to_string(end), saved ? to_string(saved->stored) : std::string("0/0"));
      next_word = now + say_interval;
    }
    go_on();
    pause(look_interval);
  }
}

}  // namespace connector
