// Where to go on, decided from what both sides say: DESIGN.md, "Exactly once", points 2, 3, 7, 8.
//
// No I/O: what was observed goes in, and a plan or a Stop comes out, so that each way in which a
// slot, a stream and a saved position can disagree is a test without a server.
#pragma once

#include <optional>
#include <string>
#include <vector>

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
  bool renew_slot = false;  // the slot is there, and cannot be read
};

struct Resume {
  // A new slot is needed (after dropping the one that is there, if any); when it is made, complete
  // `saved` with its consistent point as `origin` and `confirmed`.
  bool create_slot = false;
  bool drop_slot = false;
  SavedPosition saved;             // what is to be saved before anything is published
  pg::Lsn start;                   // for START_REPLICATION; 0/0: the slot's confirmed position
  Reread::Known known;             // for Reread
  std::vector<std::string> notes;  // to log as warnings: what was lost, mended or changed
};

// Throws Stop(position_lost) where nothing may be skipped, Stop(precondition) where the stream is
// somebody else's.
Resume decide(const Observed& observed);

}  // namespace connector
