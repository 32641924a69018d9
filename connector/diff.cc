#include "connector/diff.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "connector/diff_encoder.h"
#include "connector/diff_findings.h"
#include "connector/diff_messages.h"
#include "connector/diff_round.h"
#include "connector/diff_schedule.h"
#include "connector/diff_store.h"
#include "connector/diff_work.h"
#include "connector/failpoint.h"
#include "connector/message_writer.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/stream_setup.h"
#include "outbox/checked_file.h"
#include "pg/catalog.h"
#include "pg/error.h"
#include "publisher/tail.h"

namespace connector {
namespace {

using Clock = std::chrono::steady_clock;
using publisher::StreamSequence;
using std::chrono::milliseconds;

// A stop was requested while a round was made: what there is of it is dropped.
struct Interrupted {};

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class DiffRun {
 public:
  DiffRun(const Config& config, SlotlessSession& session, Wakeup& wakeup)
      : config_(config),
        session_(session),
        wakeup_(wakeup),
        store_(config),
        reader_(pg::SqlSession::open(config.source.dsn)),
        format_(config, session.sql->dbname(), types_),
        outlet_(config, session, wakeup),
        writer_(
            config, [](std::string&, bool) {},
            [this](const HeldRecord& held, const char* id) {
              return format_.headers(held.op, id, held.event_subject);
            },
            [this](const Message& message) { send(message); }) {
    require_same_server(config, session, reader_);
  }

  SlotlessEnded run(bool once) {
    begin();
    if (!catch_up()) return SlotlessEnded::stopped;
    while (!wakeup_.stop_requested() && !wakeup_.reload_requested()) {
      const auto due = schedule_.due(*session_.sql, once);
      if (!due.empty()) {
        if (!round(due)) return SlotlessEnded::stopped;
      }
      tidy();
      if (once) return SlotlessEnded::finished;
      wait();
    }
    return SlotlessEnded::stopped;
  }

 private:
  // ------------------------------------------------------------------------------- where to go on

  // What is in the folder, what is saved, and what the stream has.
  void begin() {
    work_ = DiffWork::parse(session_.position().work);
    if (session_.position().work.is_null()) {
      const bool left_over = !store_.rounds().empty();
      if (left_over) {
        spdlog::warn("{} holds states of a position that is not saved any more: they are dropped",
                     store_.folder());
      }
      store_.remove_all_but({}, nullptr);
      // What the stream holds from before does not tell what it says of a table's rows.
      work_.restart = session_.resume.anew;
      work_.newest_lost = newest_in_stream();
      save();
      return;
    }
    if (work_.restart && work_.rounds.empty()) return;
    find_newest();
    // Both stores may lose what they acknowledged, each by itself.
    const pg::Lsn in_stream = newest_in_stream();
    const pg::Lsn known = work_.rounds.empty() ? work_.newest_lost : work_.rounds.back().lsn;
    if (in_stream > known && session_.position().accepted < session_.stream.last) {
      lose(
          fmt::format("the stream has messages of a round at {}, and neither the saved position "
                      "nor {} knows of it",
                      to_string(in_stream), store_.folder()));
    }
  }

  void find_newest() {
    const bool any = !work_.rounds.empty();
    const pg::Lsn newest_lsn = any ? work_.rounds.back().lsn : pg::Lsn();
    const StreamSequence end =
        any ? work_.rounds.back().end.value_or(StreamSequence()) : session_.position().accepted;
    const auto behind = rounds_behind(newest_lsn);
    if (!behind.empty()) {
      for (const DiffManifest& round : behind) {
        work_.rounds.push_back({.lsn = round.lsn, .base = end, .end = {}});
      }
      manifest_ = behind.back();
      return;
    }
    if (!any) return;
    const DiffWork::Round& newest = work_.rounds.back();
    try {
      manifest_ = store_.read_manifest(newest.lsn);
    } catch (const outbox::FileError& error) {
      lose(fmt::format("the files of the round at {} are lost ({})", to_string(newest.lsn),
                       error.what()));
    }
  }

  // Of a position that is not known any more. Its ids must not come again.
  pg::Lsn newest_in_stream() {
    if (session_.stream.messages == 0) return {};
    const auto message =
        publisher::get_message(*session_.nats, config_.stream.name, session_.stream.last);
    const auto id = message ? id_of(*message, config_.source.slot) : std::nullopt;
    if (!id) return {};
    return pg::parse_hex16(std::string_view(*id).substr(0, 16)).value_or(pg::Lsn());
  }

  // Rounds that were written whole, each upon the one before, and of which the position does not
  // know: nothing of them was published, or the position has gone back with the stream.
  std::vector<DiffManifest> rounds_behind(pg::Lsn newest) {
    std::vector<DiffManifest> behind;
    for (const pg::Lsn lsn : store_.rounds()) {
      if (lsn <= newest) continue;
      try {
        DiffManifest manifest = store_.read_manifest(lsn);
        const pg::Lsn before = behind.empty() ? newest : behind.back().lsn;
        if (manifest.parent == before) {
          behind.push_back(std::move(manifest));
        } else {
          spdlog::warn("{} is of another history and is dropped", store_.round_file(lsn));
        }
      } catch (const outbox::FileError& error) {
        spdlog::warn("a round that was not published is dropped: {}", error.what());
      }
    }
    return behind;
  }

  // No table's state is known any more, so none is guessed: each begins again, and says so.
  void lose(const std::string& what) {
    spdlog::error("{}: every table begins again, with every row as a snapshot", what);
    manifest_.reset();
    work_.restart = true;
    for (const DiffWork::Round& round : work_.rounds) {
      work_.newest_lost = std::max(work_.newest_lost, round.lsn);
    }
    work_.rounds.clear();
    save();
  }

  // Publishes what the stream has not got of the rounds that are kept. False when a stop was
  // requested.
  bool catch_up() {
    const StreamSequence last = session_.stream.last;
    const auto lacks = [&](const DiffWork::Round& round) {
      return !round.end || *round.end > last;
    };
    const auto first = std::find_if(work_.rounds.begin(), work_.rounds.end(), lacks);
    if (first == work_.rounds.end()) return true;
    const StreamSequence accepted = session_.position().accepted;
    if (last < first->base || (accepted > first->base && accepted > StreamSequence())) {
      require_permission(*first, last);
      return true;
    }
    std::uint64_t stored = last.value - first->base.value;
    for (auto round = first; round != work_.rounds.end(); ++round) {
      if (round != first) round->base = std::prev(round)->end.value_or(outlet_.last_stored());
      try {
        if (!publish(*round, stored)) return false;
        stored = skip_;
      } catch (const Stop& stop) {
        if (!session_.accept_gap || stop.code() != Exit::position_lost) throw;
        session_.position().accepted = session_.stream.last;
        lose(stop.what());
        return true;
      } catch (const outbox::FileError& error) {
        lose(fmt::format("the round at {}, of which the stream has {} messages, is lost ({})",
                         to_string(round->lsn), stored, error.what()));
        return true;
      }
    }
    if (skip_ == 0) return true;
    const std::string what =
        fmt::format("the stream has more messages behind the round at {} than that has",
                    to_string(work_.rounds.back().lsn));
    if (!session_.accept_gap) {
      throw Stop(Exit::position_lost, what,
                 "find out who else writes into it; `run --accept-gap` begins again: every table "
                 "with every row as a snapshot");
    }
    session_.position().accepted = session_.stream.last;
    lose(what);
    return true;
  }

  void require_permission(const DiffWork::Round& first, StreamSequence last) {
    const std::string what = fmt::format(
        "the stream ends at message {}, and the oldest round that is still kept begins behind {}",
        last.value, first.base.value);
    if (!session_.accept_gap && last < first.base) {
      throw Stop(Exit::position_lost, what,
                 "`run --accept-gap` begins again: every table with every row as a snapshot");
    }
    lose(what);
  }

  // ---------------------------------------------------------------------------------- publishing

  // The round's messages behind the first `stored` ones; those of them that it does not have are
  // left in skip_. False when a stop was requested; throws outbox::FileError before anything is
  // sent.
  bool publish(DiffWork::Round& round, std::uint64_t stored) {
    const DiffManifest manifest = store_.read_manifest(round.lsn);
    format_.begin_snapshot({.micros = manifest.read_at});
    save();
    pass(Failpoint::diff_round_saved);
    RoundReader reader(store_.round_file(round.lsn));
    skip_ = stored;
    stopped_ = false;
    DiffMessage message;
    while (!stopped_ && reader.next(round.lsn, message)) hand_on(message);
    if (!outlet_.drain() || stopped_) return false;
    pass(Failpoint::diff_acked);
    // More may be there than this round has: those are the next one's.
    round.end =
        skip_ > 0 ? StreamSequence(round.base.value + stored - skip_) : outlet_.last_stored();
    round.acked_at = now_ms();
    save();
    pass(Failpoint::diff_done);
    return true;
  }

  void hand_on(DiffMessage& message) {
    try {
      if (message.schema) {
        writer_.schema_alone(message.record, message.record.subject, message.record.body);
      } else {
        writer_.alone(message.record);
      }
    } catch (const Stop&) {
      outlet_.store_what_is_before();
      throw;
    }
  }

  void send(const Message& message) {
    if (stopped_) return;
    if (skip_ > 0) {
      if (--skip_ == 0) require_tail(message.envelope.message_id);
      return;
    }
    stopped_ = !outlet_.publish(message.envelope);
  }

  // The last message that the stream has must be the one that is there by its number.
  void require_tail(const std::string& id) {
    const SlotlessResume& resume = session_.resume;
    if (!resume.tail || resume.tail->sequence != session_.stream.last) return;
    if (config_.source.slot + ":" + resume.tail_id == id) return;
    throw Stop(Exit::position_lost,
               fmt::format("the stream's last message is {}, and by its place it should be {}",
                           resume.tail_id, id),
               "restore publish.oversize, publish.max_message and publish.format to what they were "
               "until the round is out; `run --accept-gap` begins again");
  }

  void save() {
    session_.position().work = work_.to_json();
    const StreamSequence last = outlet_.last_stored();
    session_.position().last = last;
    session_.save();
  }

  // ------------------------------------------------------------------------------------- rounds

  bool round(const std::vector<DueTable>& due) {
    const auto began = Clock::now();
    pg::Lsn last = work_.newest_lost;
    for (const auto& round : work_.rounds) last = std::max(last, round.lsn);
    for (const auto& [name, table] : work_.tables) last = std::max(last, table.lsn);
    std::optional<DiffManifest> before = manifest_;
    if (work_.restart) {
      before.emplace();
      for (const DueTable& table : schedule_.captured()) before->tables[table.name].restart = true;
    }
    const auto tick = [this] {
      if (wakeup_.stop_requested()) throw Interrupted();
      outlet_.keep_alive();
    };
    reader_.when_idle(tick);
    DiffRound round(config_, store_, *session_.sql, reader_, before ? &*before : nullptr, tick);
    std::optional<DiffManifest> made;
    try {
      made = round.run(due, schedule_.names(), last);
    } catch (const Interrupted&) {
      reader_.cancel();
      return false;
    }
    for (const auto& [name, table] : round.tables()) work_.tables[name] = table;
    std::erase_if(work_.tables,
                  [&](const auto& table) { return !schedule_.names().contains(table.first); });
    if (!made) {
      save();
      return true;
    }
    manifest_ = std::move(made);
    work_.restart = false;
    work_.rounds.push_back({.lsn = manifest_->lsn, .base = outlet_.last_stored(), .end = {}});
    if (!publish(work_.rounds.back(), 0)) return false;
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    spdlog::debug("round at {}: {} messages, {:.3f} s", to_string(manifest_->lsn),
                  manifest_->messages, seconds);
    return true;
  }

  // Forgets rounds whose acks are older than replay_window, and states that are not the newest.
  void tidy() {
    if (work_.rounds.empty() || !work_.rounds.back().end) return;
    const std::int64_t oldest = now_ms() - config_.source.replay_window.count();
    bool forgotten = false;
    while (work_.rounds.size() > 1 && work_.rounds.front().acked_at <= oldest) {
      work_.rounds.erase(work_.rounds.begin());
      forgotten = true;
    }
    if (forgotten) save();
    if (tidied_ == work_.rounds.size() && !forgotten) return;
    tidied_ = work_.rounds.size();
    std::set<pg::Lsn> keep;
    for (const auto& round : work_.rounds) keep.insert(round.lsn);
    store_.remove_all_but(keep, manifest_ ? &*manifest_ : nullptr);
  }

  void wait() {
    const auto left = std::chrono::ceil<milliseconds>(schedule_.next() - Clock::now());
    if (left > milliseconds(0)) wakeup_.wait_for(std::min(left, milliseconds(1000)));
    outlet_.settle();
  }

  const Config& config_;
  SlotlessSession& session_;
  Wakeup& wakeup_;
  const DiffStore store_;
  pg::SqlSession reader_;
  pg::TypeCatalog types_{[this](pg::TypeId type) { return pg::type_row(*session_.sql, type); }};
  RecordFormat format_;
  Outlet outlet_;
  MessageWriter writer_;
  DiffSchedule schedule_{config_};

  DiffWork work_;
  std::optional<DiffManifest> manifest_;  // of the newest complete round
  std::size_t tidied_ = 0;
  std::uint64_t skip_ = 0;
  bool stopped_ = false;
};

}  // namespace

SlotlessCapture diff_capture(const Config& config) {
  const auto look = [&config](pqxx::connection& sql, bool running) {
    const Findings findings = diff_findings(config, sql, running);
    warn(findings);
    require(findings);
  };
  return {.name = "diff",
          .reads_standbys = true,
          .settings = record_settings(config, {}),
          .look = [look](pqxx::connection& sql) { look(sql, false); },
          .look_again = [look](pqxx::connection& sql) { look(sql, true); },
          .run = [&config](SlotlessSession& session, Wakeup& wakeup,
                           bool once) { return DiffRun(config, session, wakeup).run(once); }};
}

}  // namespace connector
