// Which tables are read for a snapshot, one after the other, and how what they yield fits into the
// stream of changes: DESIGN.md, "Snapshots".
//
//   reader ──▶ chunk ──▶ at its high mark ──▶ SnapshotPart ──▶ (the pump publishes it)
//   changes ─▶ windows of open chunks ─┘                              │ all acknowledged
//   progress ◀────────────────────────────────────────────────────────┘
//
// What is to be read is what the progress says: an order changes that, and ordered() follows.
//
// Sees every change that the slot brings, in order. One thread, that of the pump.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "connector/config.h"
#include "connector/session.h"
#include "connector/snapshot_progress.h"
#include "connector/snapshot_rate.h"
#include "connector/snapshot_reader.h"
#include "connector/snapshot_window.h"
#include "connector/table_selection.h"
#include "connector/wakeup.h"
#include "pg/change.h"
#include "pg/snapshot_table.h"
#include "pg/sql_session.h"
#include "publisher/publisher.h"

namespace connector {

// What is to be published at one mark.
struct SnapshotPart {
  pg::Lsn mark;
  SnapshotReader::Chunk chunk;
  std::optional<SnapshotWindow> window;  // nothing: of a table that is read whole
  bool last = false;                     // the table is complete with it
  std::uint64_t rows_before = 0;         // of the table, published already
};

class Snapshots {
 public:
  using Clock = std::chrono::steady_clock;

  Snapshots(const Config& config, Session& session, const TableSelection& selection,
            Wakeup& wakeup);

  // Looks for tables that are to be read, and begins with the first. Again when tables may have
  // been added.
  void look();
  // An order has been taken.
  void ordered();
  // What is due: a table to begin with, a fault to be mended. Throws what resync() mends.
  void tend(Clock::time_point now);

  // The table that is being read.
  const pg::SnapshotTable& table() const { return *table_; }
  const SnapshotJob& job() const { return job_; }
  // Another number for each shape that it is read in.
  std::uint64_t shape_number() const { return shape_number_; }

  // Any change, published or not.
  void changed(pg::RelationId table, pg::TransactionId xid) {
    if (table_ && table == table_->relation.id) watched_.insert(xid.value);
  }
  // A change whose record is published.
  void published(const pg::Relation& table, Op op, pg::Row row, pg::Row old, pg::TransactionId xid);
  void shape_seen(const pg::Relation& relation);
  // SnapshotProgress::moves() has kept something.
  void moved();
  // A mark in WAL; nothing: it stands for no rows.
  std::optional<SnapshotPart> mark(const pg::Message& message);

  SnapshotReader& reader() { return *reader_; }
  // Whether the part still is to be published; else its table is read again.
  bool wants(const SnapshotPart& part);
  // All of the part's messages are with the publisher, the last of them as `number`. `rows`: those
  // of the part.
  void sent(const SnapshotPart& part, std::uint64_t number, std::uint64_t rows);
  // Messages up to `number` are acknowledged, the last at `last`: saves what that completes.
  void stored(std::uint64_t number, const publisher::Publisher& publisher);
  bool settled() const { return steps_.empty(); }

 private:
  static constexpr std::chrono::seconds say_interval{10};

  struct Step {
    std::uint64_t number = 0;
    SnapshotJob job;
    std::uint64_t rows = 0;
    std::optional<pg::Key> after;
    bool end = false;
    bool complete = false;
    std::optional<TableSnapshot::Whole> whole;
  };

  std::optional<SnapshotJob> next_job();
  void begin(const SnapshotJob& job);
  // Why it cannot be read; "" where it can.
  std::string obstacle(const SnapshotJob& job, const std::optional<pg::SnapshotTable>& table) const;
  bool is_of_another(const TableSnapshot& reading, const pg::TableInfo& table) const;
  bool forget_gone();
  std::optional<pg::SnapshotTable> describe(const SnapshotJob& job);
  std::uint64_t expected_rows(const pg::SnapshotTable& table, const std::string& where);
  std::string where_of(const SnapshotJob& job) const;
  bool has_step_of(const SnapshotJob& job) const;
  void save();
  void give_up(const SnapshotJob& job, const std::string& why);
  void stopped();
  void begin_anew(TableSnapshot& reading, const pg::SnapshotTable& table);
  void settle(std::uint64_t number, const publisher::Publisher& publisher);
  void begin_reading();
  void rewind();
  void mend(const SnapshotReader::Trouble& trouble, Clock::time_point now);
  void leave_table();
  void thin_watched();
  std::vector<pg::TransactionId> watched() const;
  bool sees_all(const SnapshotChunk& chunk, const std::vector<pg::TransactionId>& xids) const;
  std::optional<SnapshotPart> high_mark(std::uint64_t id, pg::Lsn at);
  void say_how_far(Clock::time_point now);

  const Config& config_;
  Session& session_;
  const TableSelection& selection_;
  Wakeup& wakeup_;
  std::string session_name_;
  std::optional<pg::SqlSession> sql_;
  std::unique_ptr<SnapshotReader> reader_;  // while there is something to read

  std::map<std::string, SnapshotJob> first_;  // by table: those that have a first reading
  std::set<std::string> failed_;              // of those, in this session
  std::set<std::string> unpublished_;         // until the next look()
  bool more_ = true;                          // there may be a job
  // Readings that were stopped may have messages up to this number; nothing: up to the last sent.
  bool unsettled_ = true;
  std::optional<std::uint64_t> unsettled_to_ = 0;

  std::optional<pg::SnapshotTable> table_;
  SnapshotJob job_;
  std::string name_;  // for the log
  std::uint64_t shape_number_ = 0;
  std::optional<pg::Key> published_to_;
  bool all_read_ = false;  // but for rows that were moved, of which are being read
  std::size_t moved_to_read_ = 0;
  std::uint64_t rows_ = 0;  // with the publisher
  bool reread_due_ = false;
  int faults_ = 0;  // since rows were last published
  std::optional<Clock::time_point> retry_at_;

  struct Open {
    SnapshotWindow window;
    std::vector<pg::TransactionId> before;  // must be seen
    bool other_shape = false;
  };
  std::map<std::uint64_t, Open> open_;  // by chunk
  // Transactions that changed the table, and that no chunk is known to see.
  std::unordered_set<std::uint32_t> watched_;
  std::size_t thin_watched_at_ = 0;
  std::deque<Step> steps_;

  Clock::time_point next_word_;
  std::uint64_t said_rows_ = 0;
  SnapshotRate rate_;
};

}  // namespace connector
