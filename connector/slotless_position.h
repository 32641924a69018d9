// Where a walferry without a slot goes on: what it keeps in the bucket `walferry` under
// `{stream}.{slot}`, and what the stream makes of it. DESIGN.md, "The stream may go back".
//
// No I/O: what was observed goes in, and a plan or a Stop comes out.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.h"
#include "publisher/stream.h"
#include "publisher/tail.h"
#include "publisher/types.h"

namespace connector {

struct SlotlessPosition {
  std::string capture;                 // "poll", "diff"
  std::string stream_created;          // another value is another stream
  publisher::StreamSequence last;      // the stream has had this many messages
  publisher::StreamSequence accepted;  // gaps and foreign messages up to here are accepted
  std::string system_id;
  pg::Timeline timeline;
  std::string settings;         // those that shape records
  nlohmann::ordered_json work;  // the capture's own; null: nothing was begun
  friend bool operator==(const SlotlessPosition&, const SlotlessPosition&) = default;
};

std::string to_json(const SlotlessPosition& position);
// Throws Stop(position_lost) when the text is not what to_json writes, or of another capture.
SlotlessPosition parse_slotless_position(std::string_view json, const std::string& capture);

struct SlotlessObserved {
  std::optional<SlotlessPosition> saved;
  std::string capture;
  std::string slot;
  std::string stream_name;
  publisher::StreamInfo stream;
  std::vector<publisher::StoredMessage> window;  // the stream's last messages, oldest first
  std::string system_id;
  pg::Timeline timeline;
  std::string settings;
  bool accept_gap = false;
};

struct SlotlessResume {
  SlotlessPosition position;  // to be saved before anything is published
  // The newest message, which is ours, and its id without "{slot}:". Nothing: the stream is empty,
  // or its last message has expired, or all that is there is accepted.
  std::optional<publisher::StoredMessage> tail;
  std::string tail_id;
  // JetStream has lost messages that it had acknowledged: work that rests on a higher sequence than
  // stream.last is to be done again.
  bool went_back = false;
  // Accepted by the operator: another server, another stream, or the position was gone. `work` is
  // null then, and nothing that was done before counts.
  bool anew = false;
  // What of ids must not be given again: the work before, and the newest id in the stream.
  nlohmann::ordered_json former_work;
  std::string newest_id;
  publisher::StreamSequence saved_last;  // as the saved position had it
  bool other_timeline = false;           // the server's: it may lack what its predecessor had
  std::vector<std::string> notes;
};

// Throws Stop(position_lost) where nothing may be skipped, Stop(precondition) where the stream is
// somebody else's.
SlotlessResume decide_slotless(const SlotlessObserved& seen);

// The message's id without "{slot}:"; nothing when it is not ours.
std::optional<std::string> id_of(const publisher::StoredMessage& message, const std::string& slot);

}  // namespace connector
