#include "connector/reread.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "connector/saved_position.h"
#include "connector/stop.h"

namespace connector {
namespace {

constexpr const char* gap_hint =
    "find out who writes into or deletes from the stream; `run --accept-gap` goes on from where "
    "both sides can, and says what was lost";

std::string list_positions(const std::vector<MessagePosition>& positions) {
  constexpr std::size_t shown = 10;
  std::string list;
  for (std::size_t i = 0; i < std::min(shown, positions.size()); ++i) {
    list += (i == 0 ? "" : ", ") + to_string(positions[i]);
  }
  if (positions.size() > shown) list += fmt::format(" and {} more", positions.size() - shown);
  return list;
}

}  // namespace

Reread::Reread(Known known) : known_(std::move(known)) {
  foreign_ = std::any_of(known_.stored.begin(), known_.stored.end(),
                         [](const StoredRecord& record) { return !record.position; });
  if (known_.anchor == MessagePosition{} && known_.anchor_sequence == known_.last && !foreign_) {
    done_ = true;  // nothing of ours is stored
  }
}

void Reread::saw_change(pg::Position position) {
  if (done_) return;
  if (position <= known_.anchor.change) saw_before_anchor_ = true;
  if (position == known_.anchor.change) saw_anchor_ = true;
}

bool Reread::is_stored(MessagePosition position) {
  if (done_) return false;
  if (position > known_.anchor) return beyond_anchor(position);
  match(position);
  return true;
}

void Reread::match(MessagePosition position) {
  const auto& stored = known_.stored;
  const auto counted_strictly = [&] {
    return next_sequence_ && strict(publisher::StreamSequence(*next_sequence_)) && !foreign_;
  };
  while (next_stored_ < stored.size() &&
         (!stored[next_stored_].position || *stored[next_stored_].position < position)) {
    const StoredRecord& record = stored[next_stored_++];
    if (!record.position) continue;
    passed_ours_ = true;
    if (record.of_snapshot) {
      pass_snapshot(record);
      continue;
    }
    if (counted_strictly() && strict(record.sequence)) {
      disagree(fmt::format("message {} is {}, which WAL does not yield", record.sequence.value,
                           to_string(*record.position)));
    }
  }
  const bool there = next_stored_ < stored.size() && !stored[next_stored_].of_snapshot &&
                     stored[next_stored_].position == position;
  if (there) {
    const StoredRecord& record = stored[next_stored_++];
    if (counted_strictly() && *next_sequence_ != record.sequence.value) {
      disagree(fmt::format("{} is message {}, and should be message {}", to_string(position),
                           record.sequence.value, *next_sequence_));
    }
    next_sequence_ = record.sequence.value + 1;
    return;
  }
  const bool before_window = !next_sequence_ && !passed_ours_;
  if (before_window) return;
  if (foreign_) {
    missing_.push_back(position);
    return;
  }
  // Not there: then its message must have been deleted, and the sequences must leave it room.
  const std::uint64_t limit = next_stored_ < stored.size() ? stored[next_stored_].sequence.value
                                                           : known_.anchor_sequence.value + 1;
  const std::uint64_t sequence =
      next_sequence_ ? *next_sequence_ : stored[next_stored_ - 1].sequence.value + 1;
  if (sequence >= limit && strict(publisher::StreamSequence(limit - 1))) {
    disagree(fmt::format("{} is not there, and should stand before message {}", to_string(position),
                         limit));
  }
  const bool between = next_sequence_ && sequence < limit && next_stored_ < stored.size();
  if (between && strict(publisher::StreamSequence(sequence)) && !known_.thinned) {
    disagree(fmt::format("message {}, which held {}, was deleted from the stream", sequence,
                         to_string(position)));
  }
  // Counted on only from a match: how many were deleted before the first record seen is unknown.
  if (next_sequence_ && sequence < limit) ++*next_sequence_;
}

// Whatever WAL yields before it has been seen, so a message that is missing before it was one of
// its kind.
void Reread::pass_snapshot(const StoredRecord& record) {
  if (!next_sequence_) return;
  const bool missing = *next_sequence_ < record.sequence.value;
  if (missing && strict(publisher::StreamSequence(*next_sequence_)) && !known_.thinned &&
      !foreign_) {
    disagree(
        fmt::format("message {}, of a snapshot, was deleted from the stream", *next_sequence_));
  }
  next_sequence_ = record.sequence.value + 1;
}

bool Reread::beyond_anchor(MessagePosition position) {
  conclude();
  if (done_) return false;
  const publisher::StreamSequence sequence(known_.anchor_sequence.value + counted_beyond_ + 1);
  if (sequence > known_.last) {
    done_ = true;
    return false;
  }
  if (!strict(sequence)) {
    disagree(
        fmt::format("messages {} to {} are gone, and the settings that shape records have "
                    "changed since: what they held cannot be counted",
                    known_.anchor_sequence.value + 1, known_.last.value));
    done_ = true;
    return false;
  }
  if (known_.snapshots) {
    disagree(fmt::format(
        "messages {} to {} are gone, and snapshots were being published: how many of them held "
        "changes cannot be counted; what WAL holds behind {} is published (again, if they did)",
        sequence.value, known_.last.value, to_string(known_.anchor)));
    done_ = true;
    return false;
  }
  if (!may_be_ours(sequence, position.commit_lsn())) {
    disagree_on_gone();
    return false;
  }
  ++counted_beyond_;
  done_ = stored_up_to() == known_.last;
  return true;
}

// A message behind the anchor that is gone held the next record of WAL, if it went with all before
// it. One that was deleted by itself may have been anybody's, and one that was there before the
// record was committed was not ours.
bool Reread::may_be_ours(publisher::StreamSequence gone, pg::Lsn commit) const {
  return commit < known_.wal_end && (gone < known_.first || known_.thinned);
}

void Reread::disagree_on_gone() {
  disagree(
      fmt::format("messages {} to {} were deleted, and it cannot be known whether they were "
                  "walferry's; what WAL holds behind {} is published (again, if they were)",
                  stored_up_to().value + 1, known_.last.value, to_string(known_.anchor)));
  done_ = true;
}

// All at or before the anchor has been seen.
void Reread::conclude() {
  if (counted_beyond_ > 0) return;
  if (foreign_) {
    conclude_foreign();
    return;
  }
  while (next_stored_ < known_.stored.size() && known_.stored[next_stored_].of_snapshot) {
    pass_snapshot(known_.stored[next_stored_++]);
  }
  const bool anchor_is_real = known_.anchor.change.ordinal > 0;
  if (anchor_is_real && saw_before_anchor_ && !saw_anchor_) {
    disagree(fmt::format("message {} is {}, which WAL does not hold", known_.anchor_sequence.value,
                         to_string(known_.anchor)));
  }
  if (next_sequence_ && *next_sequence_ <= known_.anchor_sequence.value &&
      strict(publisher::StreamSequence(*next_sequence_))) {
    disagree(fmt::format("WAL yields fewer records than there are up to message {}",
                         known_.anchor_sequence.value));
  }
}

void Reread::conclude_foreign() {
  std::vector<std::uint64_t> sequences;
  for (const StoredRecord& record : known_.stored) {
    if (!record.position) sequences.push_back(record.sequence.value);
  }
  const std::string what =
      fmt::format("the stream holds messages that are not walferry's, at sequence {}; {}",
                  fmt::join(sequences, ", "),
                  missing_.empty() ? "none of walferry's is known to be missing"
                                   : "they took the place of " + list_positions(missing_));
  if (!known_.accept) throw Stop(Exit::position_lost, what, gap_hint);
  accepted_.push_back(what);
  done_ = true;
}

void Reread::passed(pg::Lsn lsn) {
  // What lies at ordinal 0 is over at its LSN; a commit record only begins there.
  const MessagePosition& anchor = known_.anchor;
  const bool over =
      lsn > anchor.commit_lsn() || (lsn == anchor.commit_lsn() && anchor.change.ordinal == 0);
  if (done_ || !over) return;
  if (foreign_ || known_.anchor_sequence >= known_.last) {
    conclude();
    done_ = true;
  } else if (lsn >= known_.wal_end) {
    disagree_on_gone();
  }
}

// Once one disagreement is accepted, sequences no longer tell: the rest is compared by order alone.
void Reread::disagree(const std::string& what) {
  const std::string whole = "the stream and WAL disagree: " + what;
  if (!known_.accept) throw Stop(Exit::position_lost, whole, gap_hint);
  accepted_.push_back(whole);
  known_.strict_from = publisher::StreamSequence(known_.last.value + 1);
}

}  // namespace connector
