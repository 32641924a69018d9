// Where polling goes on, in a session that has just begun.
//
// The stream's last message names its batch and its row's number there, and carries the row's id:
// so that batch goes on behind that id, whatever else has happened to its rows. Batches behind it
// that were complete are done again (JetStream has lost them), as long as all of their rows are
// there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connector/poll_rows.h"
#include "connector/poll_work.h"
#include "connector/slotless.h"
#include "outbox/poller.h"

namespace connector {

// Beside Nats-Msg-Id, of a polled event: the row's table, and on the first of a batch its two
// snapshots, parted by a blank. With those the batch can be read again when its number is all that
// is left of it.
inline constexpr const char* outbox_header = "Walferry-Outbox";
inline constexpr const char* batch_header = "Walferry-Batch";
inline constexpr const char* event_id_header = "Walferry-Event-Id";

struct PollStart {
  PollWork work;
  std::uint64_t batch = 0;  // the first to be read; those behind it follow. 0: none
  std::optional<PollPlace> after;
  std::optional<PollDigest> digest;  // of the open batch's rows up to there, where it is known
  std::vector<std::string> notes;

  // How far the open batch is in the stream; nothing of it: nothing.
  std::optional<PollPlace> of_open() const {
    return work.open && batch == work.open->number ? after : std::nullopt;
  }
};

// What the decision rests on beside the database. Nothing is written.
struct PollSides {
  SlotlessResume& resume;  // its position is put right
  publisher::Connection& nats;
  publisher::StreamSequence stream_end;
  bool accept_gap = false;
};

// Throws Stop(position_lost) where events would be missing, unless that is accepted. `tables` have
// their columns.
PollStart resume_poll(const Config& config, PollSides sides, outbox::Poller& poller,
                      const std::vector<outbox::PolledTable>& tables);

// The key of an archive.
publisher::KeyValue archive_key(const Config& config, const PollArchive& archive);

}  // namespace connector
