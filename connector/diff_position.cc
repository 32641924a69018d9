#include "connector/diff_position.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "connector/failpoint.h"
#include "connector/stop.h"
#include "outbox/checked_file.h"
#include "outbox/row_hash.h"
#include "pg/catalog.h"
#include "publisher/tail.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr std::size_t most_rounds = 1000;      // that are kept, for the saved position has a limit
constexpr std::size_t room_of_headers = 1024;  // bytes, of the message that it is saved in
}  // namespace

DiffPosition::DiffPosition(const Config& config, SlotlessSession& session, const Wakeup& wakeup)
    : config_(config),
      session_(session),
      store_(config),
      selection_(config),
      publisher_(config, session, wakeup) {}

void DiffPosition::begin() {
  work_ = DiffWork::parse(session_.position().work);
  if (session_.position().work.is_null()) {
    begin_first();
    return;
  }
  if (work_.restart && work_.rounds.empty()) {
    rise_above_the_stream();
    return;
  }
  find_newest();
  look_for_unknown();
  bound();
}

// Nothing is saved: nothing was ever done, or it is not known what.
void DiffPosition::begin_first() {
  const bool anew = session_.resume.anew;
  const bool left_over = !store_.rounds().empty();
  if (left_over && !anew) {
    const std::string what = fmt::format(
        "{} has rounds that were published, and their position and their stream are gone: what "
        "was to be published since is not known",
        store_.folder());
    if (!session_.accept_gap) {
      throw Stop(
          Exit::position_lost, what,
          std::string("restore the stream and the bucket `walferry`; ") + DiffWork::begin_again);
    }
    spdlog::warn("accepted: {}", what);
  }
  if (left_over) spdlog::warn("the states and rounds in {} are dropped", store_.folder());
  // What the stream holds from before does not tell what it says of a table's rows.
  work_.restart = anew || left_over;
  if (anew) {
    const auto& former = session_.resume.former_work;
    if (former.is_null()) {
      work_.others = session_.stream.last > StreamSequence();
    } else {
      const DiffWork then = DiffWork::parse(former);
      work_.again = then.again;
      work_.others = then.others;
      for (const auto& [name, table] : then.tables) work_.again.insert(name);
    }
  }
  rise_above_the_stream();
  save();
  store_.remove_all_but({}, nullptr);
}

void DiffPosition::find_newest() {
  const bool any = !work_.rounds.empty();
  const pg::Lsn newest = any ? work_.rounds.back().lsn : pg::Lsn();
  auto behind = rounds_behind(newest);
  if (!behind.empty()) {
    adopt(std::move(behind));
    return;
  }
  if (!any) return;
  try {
    manifest_ = store_.read_manifest(newest);
  } catch (const outbox::FileError& error) {
    lose(
        fmt::format("the files of the round at {} are lost ({})", to_string(newest), error.what()));
  }
}

void DiffPosition::adopt(std::vector<DiffManifest> behind) {
  const StreamSequence end = work_.rounds.empty()
                                 ? session_.position().accepted
                                 : work_.rounds.back().end.value_or(StreamSequence());
  for (const DiffManifest& round : behind) {
    work_.rounds.push_back({.lsn = round.lsn, .base = end, .end = {}});
    work_.take_begun(round);
  }
  manifest_ = std::move(behind.back());
}

// Both stores may lose what they acknowledged, each by itself.
void DiffPosition::look_for_unknown() {
  const bool any = !work_.rounds.empty();
  const StreamSequence accepted = session_.position().accepted;
  if (accepted >= session_.stream.last) return;
  const auto in_stream = newest_in_stream();
  const pg::Lsn known = any ? work_.rounds.back().lsn : work_.newest_lost;
  if (in_stream) {
    if (*in_stream <= known) return;
    lose(
        fmt::format("the stream has messages of a round at {}, and neither the saved position nor "
                    "{} knows of it",
                    to_string(*in_stream), store_.folder()));
    return;
  }
  if (any && !work_.rounds.back().end) return;  // catch_up() counts
  const StreamSequence end = any ? *work_.rounds.back().end : accepted;
  if (session_.stream.last <= end) return;
  lose(
      fmt::format("the stream has had {} messages, of which neither the saved position nor {} "
                  "knows more than {}",
                  session_.stream.last.value, store_.folder(), end.value));
}

// The place of the stream's last message; nothing: it is gone, or not ours.
std::optional<pg::Lsn> DiffPosition::newest_in_stream() {
  if (session_.stream.last == StreamSequence()) return pg::Lsn();
  if (session_.stream.messages == 0) return std::nullopt;
  const auto message =
      publisher::get_message(*session_.nats, config_.stream.name, session_.stream.last);
  const auto id = message ? id_of(*message, config_.source.slot) : std::nullopt;
  if (!id) return std::nullopt;
  return pg::parse_hex16(std::string_view(*id).substr(0, 16));
}

// An id that came before would be taken for its repetition, and dropped. Where the stream does not
// tell which were used, the next round's place is one that was not, by a chance of 2^20 to 1 and
// better: on a server where nothing happens the LSN is still that of a round before.
void DiffPosition::rise_above_the_stream() {
  if (const auto in_stream = newest_in_stream()) {
    work_.newest_lost = std::max(work_.newest_lost, *in_stream);
    return;
  }
  pqxx::nontransaction look(*session_.sql);
  const auto row = look.exec(
      "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
      "ELSE pg_catalog.pg_current_wal_insert_lsn() END")[0];
  const pg::Lsn now = pg::parse_lsn(row[0].c_str()).value_or(pg::Lsn());
  const std::uint64_t step = outbox::draw_seeds().text % (1ULL << 20U);
  work_.newest_lost = pg::Lsn(std::max(work_.newest_lost, now).value + step);
}

// Rounds that were written whole, each upon the one before, and of which the position does not
// know: nothing of them was published, or the position has gone back with the stream.
std::vector<DiffManifest> DiffPosition::rounds_behind(pg::Lsn newest) {
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
void DiffPosition::lose(const std::string& what) {
  spdlog::error("{}: every table begins again, with every row as a snapshot", what);
  work_.lose_all(manifest_ ? &*manifest_ : nullptr);
  manifest_.reset();
  rise_above_the_stream();
  save();
}

std::optional<DiffManifest> DiffPosition::before(const std::set<std::string>& captured,
                                                 const std::set<std::string>& names) {
  // Before the round forgets their states: the stream has told of them.
  if (work_.leave_out(names, manifest_ ? &*manifest_ : nullptr)) save();
  std::optional<DiffManifest> before = manifest_;
  if (work_.restart) before.emplace();
  for (const std::string& table : captured) {
    const bool unknown = work_.others && (!before || !before->tables.contains(table));
    if (!work_.restart && !unknown && !work_.again.contains(table)) continue;
    if (!before) before.emplace();
    DiffManifest::Table& entry = before->tables[table];
    entry.state.clear();
    entry.shape.clear();
    entry.restart = true;
  }
  return before;
}

pg::Lsn DiffPosition::newest() const {
  pg::Lsn newest = work_.newest_lost;
  for (const auto& round : work_.rounds) newest = std::max(newest, round.lsn);
  for (const auto& [name, table] : work_.tables) newest = std::max(newest, table.lsn);
  return newest;
}

bool DiffPosition::publish(DiffManifest made) {
  work_.restart = false;
  work_.take_begun(made);
  work_.rounds.push_back({.lsn = made.lsn, .base = publisher_.last_stored(), .end = {}});
  manifest_ = std::move(made);
  forget();
  bound();
  untidy_ = true;
  std::uint64_t stored = 0;
  // What is on the disk is what is published.
  return publish(work_.rounds.back(), store_.read_manifest(manifest_->lsn), stored);
}

bool DiffPosition::publish(DiffWork::Round& round, const DiffManifest& manifest,
                           std::uint64_t& stored) {
  save();
  pass(Failpoint::diff_round_saved);
  const std::uint64_t before = stored;
  if (!publisher_.publish(manifest, store_.round_file(round.lsn), stored)) return false;
  pass(Failpoint::diff_acked);
  // More may be there than this round has: those are the next one's.
  round.end =
      stored > 0 ? StreamSequence(round.base.value + before - stored) : publisher_.last_stored();
  round.acked_at = DiffWork::now_ms();
  save();
  pass(Failpoint::diff_done);
  return true;
}

void DiffPosition::save() {
  session_.position().work = work_.to_json();
  session_.position().last = publisher_.last_stored();
  if (is_too_large()) {
    throw Stop(Exit::precondition,
               fmt::format("the saved position names {} tables, and is too large for nats-server, "
                           "which takes messages of at most {} bytes",
                           work_.tables.size(), session_.nats->max_payload()),
               "raise max_payload of nats-server, or share the tables out among several walferrys, "
               "each with a stream and a source.slot of its own");
  }
  session_.save();
}

bool DiffPosition::is_too_large() {
  return static_cast<std::int64_t>(to_json(session_.position()).size() + room_of_headers) >
         session_.nats->max_payload();
}

// What the stream lacks is not forgotten, nor the newest.
bool DiffPosition::may_forget(std::size_t round) const {
  const auto& rounds = work_.rounds;
  return round + 1 < rounds.size() && rounds[round].end &&
         *rounds[round].end <= publisher_.last_stored();
}

bool DiffPosition::forget() {
  const std::int64_t oldest = DiffWork::now_ms() - config_.source.replay_window.count();
  std::size_t count = 0;
  while (may_forget(count) && work_.rounds[count].acked_at <= oldest) ++count;
  work_.forget(count);
  untidy_ = untidy_ || count > 0;
  return count > 0;
}

void DiffPosition::bound() {
  std::size_t count = 0;
  while (may_forget(count) && work_.rounds.size() - count > most_rounds) ++count;
  session_.position().work = work_.to_json();
  if (is_too_large()) {
    while (may_forget(count)) ++count;
  }
  if (count == 0) return;
  work_.forget(count);
  untidy_ = true;
  if (std::exchange(said_bound_, true)) return;
  spdlog::warn(
      "the saved position has no room for all rounds of source.replay_window: should JetStream "
      "lose "
      "acknowledged messages, no more than the newest {} rounds can be published again",
      work_.rounds.size());
}

void DiffPosition::tidy() {
  if (work_.rounds.empty() || !work_.rounds.back().end) return;
  if (forget()) save();
  if (!std::exchange(untidy_, false)) return;
  std::set<pg::Lsn> keep;
  for (const auto& round : work_.rounds) keep.insert(round.lsn);
  store_.remove_all_but(keep, manifest_ ? &*manifest_ : nullptr);
}

}  // namespace connector
