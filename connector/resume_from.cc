// `run --from-lsn`: the decision where the operator has said where the stream is to begin.
#include <fmt/format.h>

#include <algorithm>

#include "connector/resume.h"
#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

// Where the first record at or behind `lsn` can begin: at a multiple of eight bytes. So none begins
// at the place before.
pg::Lsn place_of_record(pg::Lsn lsn) { return pg::Lsn((lsn.value + 7) / 8 * 8); }

class BeginAt {
 public:
  BeginAt(const Observed& observed, pg::Lsn from) : seen_(observed), from_(place_of_record(from)) {}

  Resume make() {
    if (from_ > seen_.wal_end) {
      throw Stop(Exit::precondition,
                 fmt::format("--from-lsn {} is beyond the server's WAL, which ends at {}",
                             to_string(from_), to_string(seen_.wal_end)),
                 "without --from-lsn, an empty stream begins with what is committed from now on");
    }
    check_stream();
    choose_slot();
    SavedPosition& saved = plan_.saved;
    saved.stream_created = seen_.stream.created;
    saved.last = seen_.stream.last;
    // A transaction is sent when its commit record begins at or after the start.
    saved.tail = pg::Position{pg::Lsn(from_.value - 1), 0};
    saved.origin = from_;
    saved.system_id = seen_.system_id;
    saved.timeline = seen_.timeline;
    saved.settings = seen_.settings;
    saved.settings_from = StreamSequence(seen_.stream.last.value + 1);
    saved.accepted = seen_.stream.last;
    saved.rests_on = seen_.stream.last;
    plan_.start = saved.tail.commit_lsn();
    plan_.known = {.stored = {},
                   .anchor_sequence = saved.last,
                   .anchor = saved.tail,
                   .first = seen_.stream.first,
                   .last = seen_.stream.last,
                   .wal_end = seen_.wal_end,
                   .strict_from = saved.settings_from,
                   .thinned = seen_.stream.thinned,
                   .accept = seen_.accept_gap};
    return std::move(plan_);
  }

 private:
  bool same_stream() const {
    return seen_.saved && !seen_.saved->intent &&
           seen_.saved->stream_created == seen_.stream.created;
  }
  // JetStream acknowledges before it syncs: what is saved may be of messages that it has lost.
  bool went_back() const { return same_stream() && seen_.stream.last < seen_.saved->last; }

  // How far the stream goes; nothing for one that holds nothing of ours.
  std::optional<MessagePosition> tail() const {
    if (went_back()) return tail_of_shorter();
    std::optional<MessagePosition> tail;
    if (same_stream() && seen_.saved->last.value > 0) tail = seen_.saved->tail;
    for (const StoredRecord& record : seen_.window) {
      // Of another history, perhaps, and accepted as such.
      if (same_stream() && record.sequence <= seen_.saved->accepted) continue;
      if (record.position && (!tail || *record.position > *tail)) tail = record.position;
    }
    return tail;
  }

  // What was saved is gone from it: what it still holds counts, and where that says nothing, that
  // before which there was nothing to hold.
  std::optional<MessagePosition> tail_of_shorter() const {
    const SavedPosition& saved = *seen_.saved;
    std::optional<MessagePosition> tail;
    for (const StoredRecord& record : seen_.window) {
      const bool counts = record.sequence > saved.accepted || record.position <= saved.tail;
      if (record.position && counts && (!tail || *record.position > *tail)) tail = record.position;
    }
    const MessagePosition confirmed = pg::Position{saved.confirmed, 0};
    const bool rests = saved.rests_on && *saved.rests_on <= seen_.stream.last;
    if (rests && (!tail || confirmed > *tail)) tail = confirmed;
    const bool all_again = seen_.stream.last.value == 0 && from_ <= saved.origin;
    if (!tail && !all_again) tail = pg::Position{saved.origin, 0};
    return tail;
  }

  void check_stream() {
    const auto reached = tail();
    if (!reached) {
      if (seen_.window.empty()) return;
      throw Stop(Exit::precondition,
                 fmt::format("stream {} holds messages that are not walferry's (the last is {})",
                             seen_.stream_name, seen_.window.back().sequence.value),
                 "name an empty stream in stream.name");
    }
    if (from_ <= reached->commit_lsn()) {
      throw Stop(Exit::precondition,
                 fmt::format("stream {} holds records up to {} already, and --from-lsn {} is not "
                             "beyond: what lies between would be there twice",
                             seen_.stream_name, to_string(*reached), to_string(from_)),
                 "`walferry replay` publishes again, to another stream; without --from-lsn, run "
                 "goes on from the tail");
    }
    std::string what = fmt::format(
        "what was committed after {}, where stream {} ends, and before {} is not in "
        "the stream",
        to_string(*reached), seen_.stream_name, to_string(from_));
    if (went_back()) {
      what = fmt::format(
          "JetStream has lost acknowledged messages: stream {} ends at message {}, and had {}; {}",
          seen_.stream_name, seen_.stream.last.value, seen_.saved->last.value, what);
      plan_.held = reached;
    }
    if (!seen_.accept_gap) {
      throw Stop(Exit::position_lost, what,
                 "`run --from-lsn … --accept-gap` leaves it out; without both, run goes on from "
                 "the tail and leaves out nothing that WAL still has");
    }
    plan_.notes.push_back("accepted: " + what);
  }

  // The slot as it is, if it reaches back so far; else a new one in its place, of a mark that does.
  void choose_slot() {
    const bool slot_reaches =
        std::any_of(seen_.points.begin(), seen_.points.end(), [&](const ReplayPoint& other) {
          return other.slot == seen_.slot_name && other.confirmed <= from_;
        });
    if (slot_reaches) {
      plan_.saved.confirmed = seen_.slot->confirmed.value_or(pg::Lsn());
      return;
    }
    const auto point = nearest_before(seen_.points, from_);
    if (!point) refuse();
    plan_.create_slot = true;
    plan_.drop_slot = seen_.slot.has_value();
    plan_.copy_of = point->slot;
    plan_.notes.push_back(fmt::format("slot \"{}\" is made {}from slot \"{}\", at {}",
                                      seen_.slot_name, plan_.drop_slot ? "anew " : "", point->slot,
                                      to_string(point->confirmed)));
  }

  [[noreturn]] void refuse() const {
    if (const auto first = oldest(seen_.points)) {
      throw Stop(Exit::position_lost,
                 fmt::format("{} cannot be read any more: slot and marks reach back to {}, the "
                             "oldest position that --from-lsn can name",
                             to_string(from_), to_string(*first)),
                 fmt::format("--from-lsn {}, or none", to_string(*first)));
    }
    throw Stop(Exit::position_lost,
               fmt::format("{} cannot be read: there is neither slot \"{}\" nor a mark that holds "
                           "WAL from there on, and a new slot would begin at {} at the earliest",
                           to_string(from_), seen_.slot_name, to_string(seen_.wal_end)),
               "without --from-lsn, run makes the slot, and publishes what is committed from then "
               "on");
  }

  const Observed& seen_;
  const pg::Lsn from_;
  Resume plan_;
};

}  // namespace

std::optional<Resume> begin_at(const Observed& observed) {
  if (!observed.from_lsn) return std::nullopt;
  const auto& saved = observed.saved;
  const bool begun = saved && !saved->intent &&
                     saved->origin == place_of_record(*observed.from_lsn) &&
                     saved->stream_created == observed.stream.created;
  if (begun) return std::nullopt;
  return BeginAt(observed, *observed.from_lsn).make();
}

}  // namespace connector
