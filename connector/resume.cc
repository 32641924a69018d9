#include "connector/resume.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr const char* accept_hint =
    "`run --accept-gap` goes on from where both sides can, and says what was lost";

// The decision in steps: each looks at one way in which the sides can disagree.
class Decision {
 public:
  explicit Decision(const Observed& observed) : seen_(observed) {}

  Resume make() {
    if (!seen_.saved || seen_.saved->intent) {
      begin();
    } else {
      plan_.saved = *seen_.saved;
      clamp();
      check_system();
      check_slot();
      check_stream();
      check_settings();
    }
    plan_.saved.system_id = seen_.system_id;
    plan_.saved.timeline = seen_.timeline;
    plan_.saved.stream_created = seen_.stream.created;
    know_the_tail();
    return std::move(plan_);
  }

 private:
  // A gap: stop, or go on if the operator has said so.
  void gap(const std::string& what, const std::string& hint = accept_hint) {
    if (!seen_.accept_gap) throw Stop(Exit::position_lost, what, hint);
    plan_.notes.push_back("accepted: " + what);
    accepted_ = true;
  }

  std::string slot_named() const { return fmt::format("slot \"{}\"", seen_.slot_name); }
  std::string stream_named() const { return fmt::format("stream {}", seen_.stream_name); }
  pg::Lsn confirmed() const { return seen_.slot->confirmed.value_or(pg::Lsn()); }
  bool slot_usable() const { return seen_.slot->wal_status != "lost" && seen_.slot->confirmed; }

  // The newest of the window's records; those that were accepted long ago do not count.
  const StoredRecord* tail() const {
    const auto found =
        std::find_if(seen_.window.rbegin(), seen_.window.rend(), [&](const StoredRecord& record) {
          return record.position && record.sequence > plan_.saved.accepted;
        });
    return found == seen_.window.rend() ? nullptr : &*found;
  }

  // Nothing is saved: a first start, or everything in NATS was lost.
  void begin() {
    plan_.saved.settings = seen_.settings;
    plan_.saved.settings_from = StreamSequence(seen_.stream.last.value + 1);
    plan_.saved.last = seen_.stream.last;
    const bool empty = seen_.window.empty();
    if (!empty && tail() == nullptr) {
      throw Stop(Exit::precondition,
                 fmt::format("{} holds messages that are not walferry's (the last is {})",
                             stream_named(), seen_.window.back().sequence.value),
                 "name an empty stream in stream.name");
    }
    if (!seen_.slot) {
      if (!empty) {
        gap(fmt::format(
            "{} holds walferry's records up to {}, but there is neither a saved position "
            "nor {}",
            stream_named(), to_string(*tail()->position), slot_named()));
      }
      begin_new_slot();
      return;
    }
    const bool made_by_us = seen_.saved && seen_.saved->intent;
    if (!made_by_us && !seen_.adopt) {
      throw Stop(
          Exit::position_lost,
          fmt::format("{} exists at {}, but no position is saved for it: it was made by hand, "
                      "or everything in NATS was lost",
                      slot_named(), to_string(confirmed())),
          "`run --adopt` takes it over: what was committed before that position is not in the "
          "stream");
    }
    if (!slot_usable()) {
      gap(fmt::format("{} was invalidated: the WAL that it needs is gone", slot_named()));
      plan_.drop_slot = true;
      begin_new_slot();
      return;
    }
    if (const StoredRecord* newest = tail()) {
      const MessagePosition reached = *newest->position;
      plan_.saved.last = newest->sequence;
      plan_.saved.tail = reached;
      check_wal_reaches_the_tail();
      if (!accepted_ && confirmed() > reached.commit_lsn()) {
        gap(
            fmt::format("{} holds records up to {}, and {} begins at {}: what was committed "
                        "between may be missing",
                        stream_named(), to_string(reached), slot_named(), to_string(confirmed())));
      }
    }
    plan_.saved.origin = plan_.saved.confirmed = confirmed();
    if (tail() == nullptr) plan_.saved.rests_on = seen_.stream.last;
  }

  // All that a new slot yields is new, whatever the stream holds.
  void begin_new_slot() {
    plan_.create_slot = true;
    start_over_at(pg::Lsn());
    plan_.saved.rests_on = seen_.stream.last;
  }

  // A server that was put back (a snapshot of its disk, say) keeps its identifier and timeline, and
  // writes other transactions under positions that the stream has already.
  void check_wal_reaches_the_tail() {
    const MessagePosition newest = std::max(plan_.saved.tail, tail_position());
    if (ends_at_least_at(newest) <= seen_.wal_end) return;
    // What the slot still yields is published under the new history, wherever it was put back to.
    gap(fmt::format(
        "the server's WAL ends at {}, and {} holds records up to {}: the server was put "
        "back to an earlier state, or is another one; what it committed from {} on "
        "before that may be in the stream twice",
        to_string(seen_.wal_end), stream_named(), to_string(newest.commit_lsn()),
        seen_.slot ? to_string(confirmed()) : "the new slot's start"));
    start_over_at(pg::Lsn());
  }

  // A commit record begins at its position's LSN. At ordinal 0 there is none, but the end of a
  // logical message or of what a confirmed position covers.
  static pg::Lsn ends_at_least_at(const MessagePosition& position) {
    const pg::Lsn lsn = position.commit_lsn();
    return position.change.ordinal == 0 ? lsn : pg::Lsn(lsn.value + 1);
  }

  // Marks beyond the stream's end would one day stand above messages that are yet to come.
  void clamp() {
    plan_.saved.accepted = std::min(plan_.saved.accepted, seen_.stream.last);
    plan_.saved.settings_from =
        std::min(plan_.saved.settings_from, StreamSequence(seen_.stream.last.value + 1));
  }

  void check_system() {
    const SavedPosition& saved = *seen_.saved;
    if (saved.system_id != seen_.system_id) {
      gap(fmt::format("the server is another one: its system identifier is {}, and the position is "
                      "of {}",
                      seen_.system_id, saved.system_id),
          std::string("point source.dsn at the old server, or name a new stream and slot; ") +
              accept_hint);
      start_over_at(pg::Lsn());
      return;
    }
    if (saved.timeline == seen_.timeline) {
      check_wal_reaches_the_tail();
      return;
    }
    const MessagePosition newest = std::max(saved.tail, tail_position());
    if (!seen_.fork) {
      gap(
          fmt::format("the server's timeline {} does not descend from timeline {}, which the "
                      "position is of",
                      seen_.timeline.value, saved.timeline.value));
      start_over_at(pg::Lsn());
    } else if (ends_at_least_at(newest) > *seen_.fork || saved.confirmed > *seen_.fork) {
      // A commit record that begins at the fork is not on this timeline.
      gap(
          fmt::format("the server is on timeline {}, which left timeline {} at {}; the stream goes "
                      "up to {}: it holds transactions that this server never had",
                      seen_.timeline.value, saved.timeline.value, to_string(*seen_.fork),
                      to_string(std::max(newest.commit_lsn(), saved.confirmed))));
      start_over_at(*seen_.fork);
    } else {
      plan_.notes.push_back(fmt::format(
          "the server went from timeline {} to {} at {}; nothing of the stream is beyond",
          saved.timeline.value, seen_.timeline.value, to_string(*seen_.fork)));
    }
  }

  MessagePosition tail_position() const {
    const StoredRecord* record = tail();
    return record == nullptr ? MessagePosition{} : *record->position;
  }

  // Positions in the stream are of another history: none of them is compared any more.
  void start_over_at(pg::Lsn lsn) {
    plan_.saved.accepted = seen_.stream.last;
    plan_.saved.last = seen_.stream.last;
    plan_.saved.tail = pg::Position{lsn, 0};
    forget_what_it_rests_on();
    if (seen_.slot && slot_usable()) plan_.saved.origin = plan_.saved.confirmed = confirmed();
  }

  void forget_what_it_rests_on() {
    plan_.saved.rests_on.reset();
    plan_.saved.stored = pg::Lsn();
  }

  void check_slot() {
    const SavedPosition& saved = *seen_.saved;
    if (!seen_.slot) {
      gap(fmt::format("{} is gone; what was committed after {} is not in the stream", slot_named(),
                      to_string(std::max(saved.tail, tail_position()))));
      begin_new_slot();
    } else if (seen_.renew_slot) {
      gap(fmt::format("{} can no longer be read; what was committed after {} is not in the stream",
                      slot_named(), to_string(std::max(saved.tail, tail_position()))));
      plan_.drop_slot = true;
      begin_new_slot();
    } else if (!slot_usable()) {
      gap(fmt::format(
              "{} was invalidated: the WAL that it needs is gone; what was committed after {} "
              "is not in the stream",
              slot_named(), to_string(std::max(saved.tail, tail_position()))),
          std::string("raise max_slot_wal_keep_size; ") + accept_hint);
      plan_.drop_slot = true;
      begin_new_slot();
    }
  }

  // JetStream acknowledges before it syncs, so it may have lost what it had acknowledged.
  void check_stream() {
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
      gap(fmt::format(
          "JetStream has lost acknowledged messages: {}. What was committed after {} and "
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
          fmt::format("JetStream has lost acknowledged messages: {}; reading WAL again from {}",
                      what, to_string(std::max(plan_.saved.tail, tail_position()))));
    }
  }

  // All that was committed before the slot's confirmed position, and so is no longer in WAL, is in
  // the stream. Three things show it: the stream's tail was committed later; it reaches to what
  // that position rested on; it reaches to what was saved, and all before that position was stored
  // by then.
  bool has_what_wal_lacks(const SavedPosition& saved) const {
    const StoredRecord* newest = tail();
    const pg::Lsn known = newest != nullptr ? newest->position->commit_lsn() : saved.origin;
    return confirmed() <= known || reaches_what_it_rests_on(saved) ||
           (confirmed() <= saved.stored && saved.last <= seen_.stream.last);
  }
  bool reaches_what_it_rests_on(const SavedPosition& saved) const {
    return confirmed() <= saved.confirmed && saved.rests_on && *saved.rests_on <= seen_.stream.last;
  }

  // By --from-lsn, beyond where the slot is: what WAL has in between is not for the stream.
  bool begun_ahead(const SavedPosition& saved) const { return saved.origin > confirmed(); }
  static MessagePosition before_origin(const SavedPosition& saved) {
    return pg::Position{pg::Lsn(saved.origin.value - 1), 0};
  }

  // To the newest message whose place is known: where the stream's tail is gone, that may be the
  // one that the confirmed position rests on.
  void go_back(const SavedPosition& saved) {
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

  void stream_made_anew() {
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

  void check_settings() {
    if (plan_.saved.settings == seen_.settings) return;
    plan_.notes.push_back(
        fmt::format("the settings that shape records have changed; from message {} on they hold (a "
                    "transaction that is stored in part goes on under them)",
                    seen_.stream.last.value + 1));
    plan_.saved.settings = seen_.settings;
    plan_.saved.settings_from = StreamSequence(seen_.stream.last.value + 1);
  }

  void know_the_tail() {
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
    std::copy_if(
        seen_.window.begin(), seen_.window.end(), std::back_inserter(known.stored),
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
  void check_foreign() {
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

  const Observed& seen_;
  Resume plan_;
  bool accepted_ = false;
};

}  // namespace

Resume decide(const Observed& observed) {
  if (auto plan = begin_at(observed)) return std::move(*plan);
  return Decision(observed).make();
}

}  // namespace connector
