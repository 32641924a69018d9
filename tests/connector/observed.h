// What the tests of resume and reread share: positions in short, and both sides in agreement as the
// starting point from which each test changes one thing.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "connector/resume.h"
#include "connector/stop.h"

namespace connector {

using publisher::StreamSequence;

inline pg::Position at(std::uint64_t commit_lsn, std::uint64_t ordinal = 1) {
  return {pg::Lsn(commit_lsn), ordinal};
}

inline StoredRecord ours(std::uint64_t sequence, pg::Position position) {
  return {.sequence = StreamSequence(sequence), .position = position};
}

inline StoredRecord foreign(std::uint64_t sequence) {
  return {.sequence = StreamSequence(sequence), .position = std::nullopt};
}

// A slot at 0x900, up to which 90 messages go, ten records of one row each: 91 at 0x1000 … 100 at
// 0x1900, all in the window, all saved.
inline Observed agreeing() {
  Observed seen;
  SavedPosition saved;
  saved.stream_created = "then";
  saved.last = StreamSequence(100);
  saved.tail = at(0x1900);
  saved.confirmed = pg::Lsn(0x900);
  saved.origin = pg::Lsn(0x100);
  saved.system_id = "7000000000000000001";
  saved.timeline = pg::Timeline(1);
  saved.settings = "{}";
  saved.rests_on = StreamSequence(90);
  saved.stored = pg::Lsn(0x1980);
  saved.settings_from = StreamSequence(1);
  seen.saved = saved;
  seen.slot.emplace();
  seen.slot->plugin = "pgoutput";
  seen.slot->confirmed = pg::Lsn(0x900);
  seen.slot->wal_status = "reserved";
  seen.slot_name = "walferry";
  seen.stream_name = "CDC";
  seen.stream.created = "then";
  seen.stream.first = StreamSequence(1);
  seen.stream.last = StreamSequence(100);
  seen.stream.messages = 100;
  for (std::uint64_t i = 0; i < 10; ++i) {
    seen.window.push_back(ours(91 + i, at(0x1000 + 0x100 * i)));
  }
  seen.system_id = saved.system_id;
  seen.timeline = saved.timeline;
  seen.wal_end = pg::Lsn(0x100000000);
  seen.settings = saved.settings;
  return seen;
}

// The stream as it was when `sequence` was its last.
inline void cut_stream(Observed& seen, std::uint64_t sequence) {
  seen.stream.last = StreamSequence(sequence);
  while (!seen.window.empty() && seen.window.back().sequence > seen.stream.last) {
    seen.window.pop_back();
  }
}

// The slot is confirmed up to there, as is saved: what the messages up to `rests_on` hold.
inline void confirm(Observed& seen, std::uint64_t lsn, std::uint64_t rests_on) {
  seen.saved->confirmed = pg::Lsn(lsn);
  seen.slot->confirmed = pg::Lsn(lsn);
  seen.saved->rests_on = StreamSequence(rests_on);
}
// As by a walferry that does not yet say what the position rests on.
inline void confirm(Observed& seen, std::uint64_t lsn) {
  confirm(seen, lsn, 0);
  seen.saved->rests_on.reset();
  seen.saved->stored = pg::Lsn();
}

inline std::optional<Stop> stop_of(const Observed& seen) {
  try {
    decide(seen);
    return std::nullopt;
  } catch (const Stop& stop) {
    return stop;
  }
}

}  // namespace connector
