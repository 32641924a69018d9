// What polling keeps of its batches, in the saved position: enough to read each again, for as long
// as the stream may go back.
//
//   base ─ batch 7 ─ snapshot ─ batch 8 ─ snapshot ─ (open) batch 9 ─ snapshot
//
// A batch lies between its snapshot and the one before it. It is saved before its first message;
// that it is complete, with the next one, or when there is nothing else to do. Batches older than
// source.replay_window are forgotten; where there are many, the older ones are moved to keys of
// their own ("{stream}.{slot}.batches.{first}"), so that what is written each time stays small.
//
// No I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connector/poll_digest.h"
#include "outbox/poller.h"
#include "publisher/types.h"

namespace connector {

struct PollBatch {
  std::uint64_t number = 0;
  std::string snapshot;           // its later one
  publisher::StreamSequence end;  // of its last message; while it is open, of the one before it
  std::uint64_t rows = 0;         // 0 while it is open
  std::int64_t at_ms = 0;         // when its last ack had come; since 1970
  std::uint64_t digest = 0;       // of its rows; 0: not known
  friend bool operator==(const PollBatch&, const PollBatch&) = default;
};

// A row of a batch.
struct PollPlace {
  std::size_t table = 0;          // in PollWork::tables
  std::optional<std::string> id;  // nothing: before the table's first
  std::uint64_t row = 0;          // its number in the batch
  std::uint64_t digest = 0;       // of the batch's rows up to it; 0: not known
  friend bool operator==(const PollPlace&, const PollPlace&) = default;
};

// Tables stay where they are in the list, whatever the configuration makes of them.
struct PollTable {
  std::string schema;
  std::string name;
  std::uint64_t since = 0;          // its first batch,
  std::string from;                 // and the snapshot before that one; empty: all rows
  std::optional<std::string> left;  // no longer configured; what was published by then
  std::string removed;              // rows that this sees are deleted, where that is asked for
  friend bool operator==(const PollTable&, const PollTable&) = default;
};

struct PollArchive {
  std::uint64_t first = 0;  // of its batches
  std::int64_t at_ms = 0;   // of its last
  friend bool operator==(const PollArchive&, const PollArchive&) = default;
};

class PollWork {
 public:
  std::vector<PollTable> tables;
  std::string base;                // the snapshot before batches.front(), or before `open`
  std::string identity;            // see identify()
  std::uint64_t last = 0;          // the highest number that was ever given to a batch
  std::vector<PollBatch> batches;  // complete, oldest first
  PollDigest::Sample sample;       // of the newest of these; empty: not known
  std::string wal_end;             // where WAL ended, at least, when the newest batch began
  std::optional<PollBatch> open;
  std::uint64_t open_rows = 0;        // that `open` had when it began; 0: not known
  std::optional<PollPlace> place;     // of `open`: a row that was acknowledged, about the newest
  std::string due;                    // what this sees was acknowledged a replay_window ago;
  std::uint64_t due_number = 0;       // it is the snapshot of this batch
  std::vector<PollArchive> archives;  // oldest first; what they hold comes before `batches`

  // Of the rows, what digests are made of (identity_of()); those that were made of something else
  // are forgotten.
  void identify(const std::string& columns);

  // Of the oldest one that is not archived.
  std::optional<std::uint64_t> first() const;
  // The snapshot that the last batch ends with, open or not. Empty: there was none.
  const std::string& newest() const;
  // The snapshot before the batch.
  const std::string& before(std::uint64_t number) const;
  const PollBatch* find(std::uint64_t number) const;

  // A batch's rows in a table; nothing where the table is not part of it.
  std::optional<outbox::Range> range(const PollTable& table, std::uint64_t number) const;
  // What a new batch has to look behind.
  std::string seen(const PollTable& table) const {
    return table.since > last ? table.from : newest();
  }

  // The tables that are configured now, in any order: new ones come last, those that are gone are
  // remembered.
  void take_tables(const std::vector<std::pair<std::string, std::string>>& configured);

  void begin(std::string snapshot, publisher::StreamSequence stream_end);
  void complete(publisher::StreamSequence end, std::uint64_t rows, std::int64_t now_ms,
                const std::optional<PollDigest>& digest = {});
  // Forgets complete batches whose end is older, but never the newest; false: there were none.
  // Archives come first: of one that is to go `read` gives the text, and may purge it.
  bool forget_before(std::int64_t at_ms,
                     const std::function<std::optional<std::string>(const PollArchive&)>& read);
  // The older half, as JSON, to be saved under a key of its own first; nothing while all is small.
  std::optional<std::pair<PollArchive, std::string>> split();
  // Puts an archive's batches back.
  void join(const std::string& archive);

  friend bool operator==(const PollWork&, const PollWork&) = default;
};

nlohmann::ordered_json to_json(const PollWork& work);
// Throws Stop(position_lost).
PollWork parse_poll_work(const nlohmann::ordered_json& json);

// "{batch}:poll:{n}".
struct PollId {
  std::uint64_t batch = 0;
  std::uint64_t row = 0;
};
std::string to_string(const PollId& id);

// A batch's two snapshots, parted by a blank; of the very first one, the later alone.
std::string batch_header_value(const outbox::Range& range);
std::optional<outbox::Range> parse_batch_header(std::string_view text);
std::optional<PollId> parse_poll_id(std::string_view text);

}  // namespace connector
