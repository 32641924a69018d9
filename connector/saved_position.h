// What is kept of the position between runs, in the key-value bucket `walferry` under
// `{stream}.{slot}`. Written before Postgres is told, with the expected revision.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "connector/message_position.h"
#include "pg/types.h"
#include "publisher/types.h"

namespace connector {

struct SavedPosition {
  // Only that a slot is about to be made: the rest is empty.
  bool intent = false;

  std::string stream_created;      // another value is another stream
  publisher::StreamSequence last;  // the stream's last sequence,
  MessagePosition tail;            // and the place in WAL of what is stored there
  pg::Lsn confirmed;               // about to be confirmed to Postgres
  pg::Lsn origin;                  // where the slot began: before it there is nothing to lose
  std::string system_id;
  pg::Timeline timeline;
  std::string settings;                     // those that shape records, see record_settings()
  publisher::StreamSequence settings_from;  // the first message published under them
  publisher::StreamSequence accepted;       // gaps and foreign messages up to here are accepted
  // Messages up to this one hold what was committed before `confirmed`, and those behind it hold
  // what was committed later. Nothing: unknown.
  std::optional<publisher::StreamSequence> rests_on;
  // Messages up to `last` hold all that was committed before this. 0/0: unknown.
  pg::Lsn stored;

  friend bool operator==(const SavedPosition&, const SavedPosition&) = default;
};

std::string to_json(const SavedPosition& saved);
// Throws Stop(position_lost) when the text is not what to_json writes.
SavedPosition parse_saved_position(std::string_view json);

}  // namespace connector
