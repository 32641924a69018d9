// Where to go on, decided from what both sides say: DESIGN.md, "Exactly once", points 2, 3, 7, 8.
//
// No I/O: what was observed goes in, and a plan or a Stop comes out, so that each way in which a
// slot, a stream and a saved position can disagree is a test without a server.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connector/marks.h"
#include "connector/reread.h"
#include "connector/saved_position.h"
#include "pg/catalog.h"
#include "pg/types.h"
#include "publisher/stream.h"

namespace connector {

struct Observed {
  std::optional<SavedPosition> saved;
  std::optional<pg::SlotInfo> slot;
  std::string slot_name;
  std::string stream_name;
  publisher::StreamInfo stream;
  std::vector<StoredRecord> window;  // the stream's last messages, in order
  std::string system_id;
  pg::Timeline timeline;
  pg::Lsn wal_end;              // the server's
  std::optional<pg::Lsn> fork;  // where the saved timeline ended, when it is another
  std::string settings;
  bool adopt = false;
  bool accept_gap = false;
  bool renew_slot = false;          // the slot is there, and cannot be read
  std::optional<pg::Lsn> from_lsn;  // where the operator wants the stream to begin,
  std::vector<ReplayPoint> points;  // and from where WAL can be read then
};

struct Resume {
  // A new slot is needed (after dropping the one that is there, if any); when it is made, complete
  // `saved` with its consistent point as `origin` and `confirmed`.
  bool create_slot = false;
  bool drop_slot = false;
  // That new slot is a copy of this one: then `origin` stays what it is.
  std::optional<std::string> copy_of;
  SavedPosition saved;                  // what is to be saved before anything is published
  pg::Lsn start;                        // for START_REPLICATION; 0/0: the slot's confirmed position
  Reread::Known known;                  // for Reread
  std::optional<MessagePosition> held;  // how far the stream goes; nothing: up to known.anchor
  std::vector<std::string> notes;       // to log as warnings: what was lost, mended or changed
};

// Throws Stop(position_lost) where nothing may be skipped, Stop(precondition) where the stream is
// somebody else's.
Resume decide(const Observed& observed);

// Its part for `from_lsn`; nothing where that is not given, or the stream has begun there already.
std::optional<Resume> begin_at(const Observed& observed);

}  // namespace connector
