// What `walferry status` shows, apart from how it is asked for: a value, and two ways to print it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "connector/marks.h"
#include "connector/saved_position.h"
#include "connector/snapshot_progress.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "pg/catalog.h"
#include "pg/types.h"
#include "pg/writer_lock.h"
#include "publisher/stream.h"
#include "publisher/types.h"

namespace connector {

struct LastRecord {
  publisher::StreamSequence sequence;
  std::optional<MessagePosition> position;  // nothing: the message is not walferry's
  std::string commit_ts;                    // as the record has it; empty: unknown
  std::optional<double> age_seconds;        // by this machine's clock
};

// Of outboxes that are polled.
struct PollReport {
  std::optional<pg::LockHolder> writer;
  std::uint64_t batch = 0;  // the last; 0: none
  bool open = false;        // it is being published
  publisher::StreamSequence last;
  std::optional<std::uint64_t> pending;  // rows that are in no complete batch; at most most_pending
  static constexpr std::uint64_t most_pending = 100'000;
};

struct StatusReport {
  std::string server;          // what may be shown of the dsn
  std::string postgres_error;  // empty: Postgres could be asked
  Exit postgres_code = Exit::done;
  std::string version;
  pg::Lsn wal_end;  // invalid: a standby
  std::string slot_name;
  std::optional<pg::SlotInfo> slot;
  std::vector<Mark> marks;
  std::chrono::milliseconds replay_window{0};

  std::string nats_url;
  std::string nats_error;  // empty: JetStream could be asked
  Exit nats_code = Exit::done;
  std::string stream_name;
  std::optional<publisher::StreamInfo> stream;
  std::optional<LastRecord> last;
  std::optional<SavedPosition> saved;
  std::string saved_error;
  std::optional<SnapshotProgress> snapshots;
  std::optional<PollReport> poll;  // instead of all that is about a slot

  // What is in the stream for sure: the last record's commit, or, where the slot has been confirmed
  // beyond it, that: everything before was no change of a published table.
  pg::Lsn stored() const;
  // From stored() to the server's WAL end: an upper bound, since not all WAL becomes records.
  std::optional<std::uint64_t> lag_bytes() const;
  bool running() const { return poll ? poll->writer.has_value() : slot && slot->active; }
};

std::string status_text(const StatusReport& report, const Palette& palette);
std::string status_json(const StatusReport& report, bool one_line);

}  // namespace connector
