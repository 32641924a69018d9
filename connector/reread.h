// Reading again what is stored already: finds where to go on, and looks on the way whether the
// stream holds exactly what WAL yields.
//
//   stored:   … 101:A.1  102:A.2  103:B.1 │                (sequence:position, the last window)
//   WAL:          A.1      A.2      B.1   │  B.2   C.1  …
//                 skip     skip     skip  │  publish
//
// Stream sequences and records map one to one, so each record that WAL yields has a sequence that
// can be counted from any stored message before it. Hence a record that is not where it should be
// is seen, also where the stored message itself is gone (expired, purged): then counting replaces
// looking. A hole between stored messages is never stepped over, unless the stream's own settings
// make such holes.
//
// Messages that were stored under other settings cannot be counted against today's records: there
// only their order and their existence in WAL are compared.
//
// Messages of snapshots stand between those of WAL, and WAL does not yield them: those that are
// there are counted over. How many are among messages that are gone cannot be known.
//
// One thread, no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connector/message_position.h"
#include "pg/types.h"
#include "publisher/types.h"

namespace connector {

struct StoredRecord {
  publisher::StreamSequence sequence;
  std::optional<MessagePosition> position;  // nothing: the message is not ours
  bool of_snapshot = false;                 // ours, and not a function of WAL
};

class Reread {
 public:
  struct Known {
    std::vector<StoredRecord> stored;  // the last window, in order; what is gone is left out
    // The newest message whose position is known: a stored one, or the saved position.
    publisher::StreamSequence anchor_sequence;
    MessagePosition anchor;
    publisher::StreamSequence first;  // the stream's first sequence that is left
    publisher::StreamSequence last;   // the stream's last sequence
    // Read after the stream: what is stored was committed before it.
    pg::Lsn wal_end{~std::uint64_t{0}};
    publisher::StreamSequence strict_from;  // from here on, settings are today's
    bool thinned = false;                   // the stream itself removes messages between others
    bool accept = false;                    // say what is missing, but go on
    bool snapshots = false;                 // behind the anchor there may be messages of these
  };
  explicit Reread(Known known);

  // A change that Postgres sent, before any filter of ours.
  void saw_change(pg::Position position);

  // A message that WAL yields, in order: true when it is stored already. Throws
  // Stop(position_lost) when the stream holds something else. All changes up to its own have been
  // shown to saw_change().
  bool is_stored(MessagePosition position);

  // Every transaction whose commit record begins before `lsn` has been seen whole.
  void passed(pg::Lsn lsn);

  // Until then nothing may be confirmed: a hole could still be found.
  bool done() const { return done_; }
  // The newest message that is known to hold a record of WAL.
  publisher::StreamSequence stored_up_to() const {
    return publisher::StreamSequence(known_.anchor_sequence.value + counted_beyond_);
  }
  // The place of the stream's tail, or what is known of it.
  MessagePosition anchor() const { return known_.anchor; }
  // What was found and accepted, once done; for the log.
  const std::vector<std::string>& accepted() const { return accepted_; }

 private:
  bool strict(publisher::StreamSequence sequence) const { return sequence >= known_.strict_from; }
  void match(MessagePosition position);
  void pass_snapshot(const StoredRecord& record);
  bool beyond_anchor(MessagePosition position);
  bool may_be_ours(publisher::StreamSequence gone, pg::Lsn commit) const;
  void disagree_on_gone();
  void conclude();
  void conclude_foreign();
  void disagree(const std::string& what);

  Known known_;
  bool foreign_ = false;      // there are messages that are not ours
  bool passed_ours_ = false;  // a stored record lies before the first that WAL yields
  std::size_t next_stored_ = 0;
  std::optional<std::uint64_t> next_sequence_;  // of the next record, once it can be counted
  std::uint64_t counted_beyond_ = 0;            // records behind the anchor taken as stored
  bool saw_before_anchor_ = false;
  bool saw_anchor_ = false;
  bool done_ = false;
  std::vector<MessagePosition> missing_;  // what foreign messages took the place of
  std::vector<std::string> accepted_;
};

}  // namespace connector
