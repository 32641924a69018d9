// What the stream lacks of the rounds that are kept, and whether it may still be told.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>

#include "connector/diff_choice.h"
#include "connector/diff_position.h"
#include "connector/preconditions.h"
#include "connector/stop.h"
#include "outbox/checked_file.h"

namespace connector {

using publisher::StreamSequence;

bool DiffPosition::catch_up() {
  const StreamSequence last = session_.stream.last;
  const auto lacks = [&](const DiffWork::Round& round) { return !round.end || *round.end > last; };
  const auto first = std::find_if(work_.rounds.begin(), work_.rounds.end(), lacks);
  if (first == work_.rounds.end()) return true;
  const StreamSequence accepted = session_.position().accepted;
  if (last < first->base || (accepted > first->base && accepted > StreamSequence())) {
    require_permission(*first, last);
    return true;
  }
  const std::uint64_t stored = last.value - first->base.value;
  try {
    return catch_up_from(first, stored);
  } catch (const Stop& stop) {
    if (!session_.accept_gap || stop.code() != Exit::position_lost) throw;
    session_.position().accepted = session_.stream.last;
    lose(stop.what());
    return true;
  }
}

bool DiffPosition::catch_up_from(Rounds::iterator first, std::uint64_t stored) {
  for (auto round = first; round != work_.rounds.end(); ++round) {
    if (round != first) {
      round->base = std::prev(round)->end.value_or(publisher_.last_stored());
    }
    try {
      const DiffManifest manifest = store_.read_manifest(round->lsn);
      if (must_withhold(manifest, stored)) {
        withhold(round, stored);
        return true;
      }
      if (!publish(*round, manifest, stored)) return false;
    } catch (const outbox::FileError& error) {
      lose(fmt::format("the round at {}, of which the stream has {} messages, is lost ({})",
                       to_string(round->lsn), stored, error.what()));
      return true;
    }
  }
  if (stored == 0) return true;
  throw Stop(Exit::position_lost,
             fmt::format("the stream has more messages behind the round at {} than that has",
                         to_string(work_.rounds.back().lsn)),
             std::string("find out who else writes into it; ") + DiffWork::begin_again);
}

void DiffPosition::require_permission(const DiffWork::Round& first, StreamSequence last) {
  const std::string what = fmt::format(
      "the stream ends at message {}, and the oldest round that is still kept begins behind {}",
      last.value, first.base.value);
  if (!session_.accept_gap && last < first.base) {
    throw Stop(Exit::position_lost, what, DiffWork::begin_again);
  }
  lose(what);
}

bool DiffPosition::was_made_otherwise(const DiffManifest& manifest,
                                      const std::string& table) const {
  if (manifest.max_message == 0) return true;  // by a version of walferry that does not say
  Config as_then = config_;
  as_then.publish.max_message = manifest.max_message;
  const Findings fits = payload_findings(as_then, session_.nats->max_payload());
  if (fits.front().verdict == Verdict::fail) return true;
  const auto [schema, name] = unquoted_name(table);
  const TableConfig* config =
      selection_.matches(schema, name) ? selection_.find(schema, name) : nullptr;
  const auto entry = manifest.tables.find(table);
  return config == nullptr || entry == manifest.tables.end() ||
         entry->second.settings != choice_fingerprint(config_, *config);
}

// Whether the stream lacks records of the round that are not as the settings of now would have
// them.
bool DiffPosition::must_withhold(const DiffManifest& manifest, std::uint64_t stored) {
  const auto made_otherwise = [&](const std::string& table) {
    return was_made_otherwise(manifest, table);
  };
  if (manifest.max_message > 0) {
    const auto parts = manifest.parts();
    const bool all_as_now = std::none_of(
        parts.begin(), parts.end(), [&](const auto* part) { return made_otherwise(part->first); });
    if (all_as_now) return false;
  }
  const auto tables = publisher_.lacking(manifest, store_.round_file(manifest.lsn), stored);
  return std::any_of(tables.begin(), tables.end(), made_otherwise);
}

// It may show what is to be hidden now. The rounds count as published, as far as they are.
void DiffPosition::withhold(Rounds::iterator first, std::uint64_t stored) {
  std::set<std::string> tables;
  for (auto round = first; round != work_.rounds.end(); ++round) {
    const DiffManifest manifest = store_.read_manifest(round->lsn);
    tables.merge(publisher_.lacking(manifest, store_.round_file(round->lsn), stored));
    if (round != first) round->base = publisher_.last_stored();
    round->end = publisher_.last_stored();
    round->acked_at = DiffWork::now_ms();
  }
  spdlog::warn(
      "the round at {} was made under other settings than those of now: what the stream has not "
      "got of it is not published, and these tables begin again, with every row as a snapshot: {}",
      to_string(first->lsn), fmt::join(tables, ", "));
  work_.again.merge(tables);
  save();
}

}  // namespace connector
