#include "connector/resume.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/resume_decision.h"
#include "connector/stop.h"

namespace connector {

using publisher::StreamSequence;

Resume Decision::make() {
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

// A gap: stop, or go on if the operator has said so.
void Decision::gap(const std::string& what, const std::string& hint) {
  if (!seen_.accept_gap) throw Stop(Exit::position_lost, what, hint);
  plan_.notes.push_back("accepted: " + what);
  accepted_ = true;
}

// Nothing is saved: a first start, or everything in NATS was lost.
void Decision::begin() {
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
      gap(
          fmt::format("{} holds walferry's records up to {}, but there is neither a saved position "
                      "nor {}",
                      stream_named(), to_string(*tail()->position), slot_named()));
    }
    begin_new_slot();
    return;
  }
  const bool made_by_us = seen_.saved && seen_.saved->intent;
  if (!made_by_us && !seen_.adopt) {
    throw Stop(Exit::position_lost,
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
void Decision::begin_new_slot() {
  plan_.create_slot = true;
  start_over_at(pg::Lsn());
  plan_.saved.rests_on = seen_.stream.last;
}

// A server that was put back (a snapshot of its disk, say) keeps its identifier and timeline, and
// writes other transactions under positions that the stream has already.
void Decision::check_wal_reaches_the_tail() {
  const MessagePosition newest = std::max(plan_.saved.tail, tail_position());
  if (ends_at_least_at(newest) <= seen_.wal_end) return;
  // What the slot still yields is published under the new history, wherever it was put back to.
  gap(
      fmt::format("the server's WAL ends at {}, and {} holds records up to {}: the server was put "
                  "back to an earlier state, or is another one; what it committed from {} on "
                  "before that may be in the stream twice",
                  to_string(seen_.wal_end), stream_named(), to_string(newest.commit_lsn()),
                  seen_.slot ? to_string(confirmed()) : "the new slot's start"));
  start_over_at(pg::Lsn());
}

// A commit record begins at its position's LSN. At ordinal 0 there is none, but the end of a
// logical message or of what a confirmed position covers.
pg::Lsn Decision::ends_at_least_at(const MessagePosition& position) {
  const pg::Lsn lsn = position.commit_lsn();
  return position.change.ordinal == 0 ? lsn : pg::Lsn(lsn.value + 1);
}

// Marks beyond the stream's end would one day stand above messages that are yet to come.
void Decision::clamp() {
  plan_.saved.accepted = std::min(plan_.saved.accepted, seen_.stream.last);
  plan_.saved.settings_from =
      std::min(plan_.saved.settings_from, StreamSequence(seen_.stream.last.value + 1));
}

void Decision::check_system() {
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
    plan_.notes.push_back(
        fmt::format("the server went from timeline {} to {} at {}; nothing of the stream is beyond",
                    saved.timeline.value, seen_.timeline.value, to_string(*seen_.fork)));
  }
}

// Positions in the stream are of another history: none of them is compared any more.
void Decision::start_over_at(pg::Lsn lsn) {
  plan_.saved.accepted = seen_.stream.last;
  plan_.saved.last = seen_.stream.last;
  plan_.saved.tail = pg::Position{lsn, 0};
  forget_what_it_rests_on();
  if (seen_.slot && slot_usable()) plan_.saved.origin = plan_.saved.confirmed = confirmed();
}

void Decision::forget_what_it_rests_on() {
  plan_.saved.rests_on.reset();
  plan_.saved.stored = pg::Lsn();
}

void Decision::check_slot() {
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

void Decision::check_settings() {
  if (plan_.saved.settings == seen_.settings) return;
  plan_.notes.push_back(
      fmt::format("the settings that shape records have changed; from message {} on they hold (a "
                  "transaction that is stored in part goes on under them)",
                  seen_.stream.last.value + 1));
  plan_.saved.settings = seen_.settings;
  plan_.saved.settings_from = StreamSequence(seen_.stream.last.value + 1);
}

Resume decide(const Observed& observed) {
  if (auto plan = begin_at(observed)) return std::move(*plan);
  return Decision(observed).make();
}

}  // namespace connector
