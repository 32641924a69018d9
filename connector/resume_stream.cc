// The stream against what is saved and what the slot has: what it has lost, where its tail is, and
// what stands in it that is not ours.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "connector/resume_decision.h"
#include "connector/stop.h"

namespace connector {

using publisher::StreamSequence;

// The newest of the window's records; those that were accepted long ago do not count.
const StoredRecord* Decision::tail() const {
  const auto found =
      std::find_if(seen_.window.rbegin(), seen_.window.rend(), [&](const StoredRecord& record) {
        return record.position && record.sequence > plan_.saved.accepted;
      });
  return found == seen_.window.rend() ? nullptr : &*found;
}

MessagePosition Decision::tail_position() const {
  const StoredRecord* record = tail();
  return record == nullptr ? MessagePosition{} : *record->position;
}

// JetStream acknowledges before it syncs, so it may have lost what it had acknowledged.
void Decision::check_stream() {
  if (plan_.create_slot) return;
  const SavedPosition saved = plan_.saved;
  if (saved.stream_created != seen_.stream.created) {
    stream_made_anew();
    return;
  }
  const bool shorter = seen_.stream.last < saved.last;
  const bool slot_ahead = confirmed() > saved.confirmed;
  if (!shorter && !slot_ahead) return;
  const std::string what =
      shorter ? fmt::format("{} ends at message {}, and had {}", stream_named(),
                            seen_.stream.last.value, saved.last.value)
              : fmt::format("{} is confirmed up to {}, and the saved position says {}",
                            slot_named(), to_string(confirmed()), to_string(saved.confirmed));
  if (!has_what_wal_lacks(saved)) {
    const StoredRecord* newest = tail();
    gap(
        fmt::format("JetStream has lost acknowledged messages: {}. What was committed after {} and "
                    "before {} is not in the stream, and the slot no longer has it",
                    what, newest ? to_string(*newest->position) : to_string(saved.origin),
                    to_string(confirmed())));
  }
  // Begun by --from-lsn, behind messages that it has lost too: WAL is not read from before there.
  if (begun_ahead(saved) && !accepted_ && seen_.stream.last < seen_.saved->accepted) {
    gap(fmt::format(
        "JetStream has lost acknowledged messages: {}. Up to message {} it held what was "
        "committed before {}, where --from-lsn has begun: what is lost of that is not read again",
        what, seen_.saved->accepted.value, to_string(saved.origin)));
  }
  if (shorter) go_back(saved);
  if (slot_ahead) plan_.saved.rests_on.reset();
  plan_.saved.confirmed = std::max(saved.confirmed, confirmed());
  if (!accepted_) {
    plan_.notes.push_back(
        fmt::format("JetStream has lost acknowledged messages: {}; reading WAL again from {}", what,
                    to_string(std::max(plan_.saved.tail, tail_position()))));
  }
}

// All that was committed before the slot's confirmed position, and so is no longer in WAL, is in
// the stream. Three things show it: the stream's tail was committed later; it reaches to what
// that position rested on; it reaches to what was saved, and all before that position was stored
// by then.
bool Decision::has_what_wal_lacks(const SavedPosition& saved) const {
  const StoredRecord* newest = tail();
  const pg::Lsn known = newest != nullptr ? newest->position->commit_lsn() : saved.origin;
  return confirmed() <= known || reaches_what_it_rests_on(saved) ||
         (confirmed() <= saved.stored && saved.last <= seen_.stream.last);
}

bool Decision::reaches_what_it_rests_on(const SavedPosition& saved) const {
  return confirmed() <= saved.confirmed && saved.rests_on && *saved.rests_on <= seen_.stream.last;
}

MessagePosition Decision::before_origin(const SavedPosition& saved) {
  return pg::Position{pg::Lsn(saved.origin.value - 1), 0};
}

// To the newest message whose place is known: where the stream's tail is gone, that may be the
// one that the confirmed position rests on.
void Decision::go_back(const SavedPosition& saved) {
  const StoredRecord* newest = tail();
  const bool rests = reaches_what_it_rests_on(saved);
  if (rests && (newest == nullptr || newest->sequence < *saved.rests_on)) {
    plan_.saved.last = *saved.rests_on;
    plan_.saved.tail = pg::Position{saved.confirmed, 0};
  } else {
    plan_.saved.last = newest != nullptr ? newest->sequence : seen_.stream.last;
    plan_.saved.tail = tail_position();
    if (newest == nullptr && begun_ahead(saved)) plan_.saved.tail = before_origin(saved);
  }
  plan_.saved.stored = pg::Lsn();
}

void Decision::stream_made_anew() {
  const SavedPosition saved = plan_.saved;
  const bool anything_stored = saved.last.value > 0 || confirmed() > saved.confirmed;
  const bool rests_on_nothing =
      confirmed() <= saved.confirmed && saved.rests_on == StreamSequence();
  if (anything_stored && confirmed() > saved.origin && !rests_on_nothing) {
    gap(fmt::format("{} was deleted, or made anew: what was committed from {} to {} is in no "
                    "stream, and the slot no longer has it",
                    stream_named(), to_string(saved.origin), to_string(confirmed())),
        std::string("restore the stream; ") + accept_hint);
  } else if (anything_stored) {
    plan_.notes.push_back(fmt::format("{} was deleted and made anew; reading WAL again from {}",
                                      stream_named(),
                                      to_string(std::max(saved.origin, confirmed()))));
  }
  forget_what_it_rests_on();
  plan_.saved.accepted = StreamSequence();
  plan_.saved.settings_from = StreamSequence(seen_.stream.last.value + 1);
  plan_.saved.last = seen_.stream.last;
  plan_.saved.tail = tail_position();
  if (tail() == nullptr && begun_ahead(saved)) plan_.saved.tail = before_origin(saved);
  plan_.saved.confirmed = confirmed();
  if (tail() == nullptr) plan_.saved.rests_on = seen_.stream.last;
}

void Decision::know_the_tail() {
  if (accepted_) {
    if (const StoredRecord* newest = tail()) plan_.saved.tail = *newest->position;
    plan_.saved.last = seen_.stream.last;
    plan_.saved.accepted = seen_.stream.last;
    forget_what_it_rests_on();
  }
  Reread::Known& known = plan_.known;
  known.first = seen_.stream.first;
  known.last = seen_.stream.last;
  known.wal_end = seen_.wal_end;
  known.accept = seen_.accept_gap;
  known.thinned = seen_.stream.thinned;
  known.strict_from =
      std::max(plan_.saved.settings_from, StreamSequence(plan_.saved.accepted.value + 1));
  std::copy_if(seen_.window.begin(), seen_.window.end(), std::back_inserter(known.stored),
               [&](const StoredRecord& record) { return record.sequence > plan_.saved.accepted; });
  known.anchor_sequence = plan_.saved.last;
  known.anchor = plan_.saved.tail;
  const StoredRecord* newest = tail();
  if (newest != nullptr && newest->sequence >= known.anchor_sequence) {
    known.anchor_sequence = newest->sequence;
    known.anchor = *newest->position;
  }
  // A record that was cut into parts under other settings cannot be gone on with: it begins
  // again.
  if (known.anchor_sequence < known.strict_from) {
    known.anchor = known.anchor.before_its_record();
  }
  check_foreign();
  plan_.saved.last = known.anchor_sequence;
  plan_.saved.tail = known.anchor;
  // The oldest record of the window, or what is known of the last one.
  plan_.start = known.anchor.commit_lsn();
  for (const StoredRecord& record : known.stored) {
    if (record.position) {
      plan_.start = std::min(plan_.start, record.position->commit_lsn());
      break;
    }
  }
}

// Messages behind the last of ours took nobody's place; those between ours did, and Reread finds
// out whose.
void Decision::check_foreign() {
  Reread::Known& known = plan_.known;
  const auto is_foreign = [](const StoredRecord& record) { return !record.position; };
  const auto first = std::find_if(known.stored.begin(), known.stored.end(), is_foreign);
  if (first == known.stored.end()) return;
  if (seen_.accept_gap) forget_what_it_rests_on();
  if (first->sequence > known.anchor_sequence) {
    gap(fmt::format("{} holds messages that are not walferry's, from sequence {} on; none of "
                    "walferry's is missing",
                    stream_named(), first->sequence.value),
        std::string("find out who writes into the stream; ") + accept_hint);
    known.stored.clear();
    plan_.saved.accepted = seen_.stream.last;
    plan_.saved.last = seen_.stream.last;
    plan_.saved.tail = known.anchor;
    known.anchor_sequence = seen_.stream.last;
    known.strict_from = StreamSequence(seen_.stream.last.value + 1);
  } else if (seen_.accept_gap) {
    plan_.saved.accepted = seen_.stream.last;
    plan_.saved.last = seen_.stream.last;
    plan_.saved.tail = known.anchor;
  }
}

}  // namespace connector
