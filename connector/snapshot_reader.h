// Reads tables for their snapshots, in threads of its own, chunk by chunk:
//
//   low mark ─▶ (the slot has it) ─▶ BEGIN, snapshot, COPY, COMMIT ─▶ in turn: high mark
//
// The marks are logical messages, each in a transaction of its own, so that the slot sends them at
// once; each says "{slot} {session} {low|high} {chunk}". High marks are written in the order of the
// key, however many chunks are being read, so that what is published is always the table up to some
// key. A chunk ends after `chunk_rows` rows or chunk_bytes of text, whichever comes first: what is
// left of it is a chunk of its own, next in order. A table without a key is one chunk, handed over
// while it is read.
//
// A chunk waits for a transaction that its snapshot must see and does not (DESIGN.md, "Snapshots",
// 1): whoever reads the slot says at the low mark which those are. It waits only when it is told
// soon, since a slot that lags says it late; so the same must be asked again at the high mark.
//
// The functions are called on the thread that reads the slot. A fault ends all chunks in flight and
// is told by trouble(); begin() starts again from where it is told.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pg/snapshot_table.h"
#include "pg/sql_session.h"
#include "pg/types.h"
#include "pg/visibility.h"

namespace connector {

// The lines of COPY, whole ones. Shared between the thread that reads and the one that publishes.
struct SnapshotChunk {
  std::uint64_t id = 0;
  std::optional<pg::Key> lower;
  std::optional<pg::Key> upper;  // nothing: to the table's end
  bool whole = false;            // the table, without a key

  // Set once COPY has begun (of a chunk with a key: once it is over).
  std::optional<pg::Visibility> sees;
  pg::Lsn wal_end;        // of the moment of that snapshot
  pg::Timestamp read_at;  // its time

  // Under the reader's lock.
  bool taken = false;  // by a worker
  bool told = false;   // the slot has its low mark, and
  std::vector<pg::TransactionId> must_see;
  std::deque<std::string> pieces;
  bool read = false;  // all is in `pieces`
  bool marked = false;
};

class SnapshotReader {
 public:
  struct Settings {
    std::string dsn;
    std::string slot;
    std::string session;  // tells this session's marks from those of others
    std::vector<std::string> publications;
    std::size_t workers = 2;
    std::uint64_t chunk_rows = 10000;
  };
  using Chunk = std::shared_ptr<SnapshotChunk>;

  // `wake` is called from other threads when there is trouble, or another piece.
  SnapshotReader(Settings settings, std::function<void()> wake);
  ~SnapshotReader();
  SnapshotReader(const SnapshotReader&) = delete;
  SnapshotReader& operator=(const SnapshotReader&) = delete;

  // From behind `after` on. What was in flight is dropped; its marks stand for nothing.
  void begin(pg::SnapshotTable table, std::string where, std::optional<pg::Key> after);
  void end();

  // The slot has the chunk's low mark. `must_see`: transactions that it has brought before, and
  // that changed the table. Returns the chunk; nullptr: it was dropped.
  Chunk low_mark(std::uint64_t id, std::vector<pg::TransactionId> must_see);
  // The slot has the chunk's high mark.
  Chunk high_mark(std::uint64_t id);
  // The next piece of text; nothing: there is none now.
  std::optional<std::string> take_piece(SnapshotChunk& chunk);
  bool drained(const SnapshotChunk& chunk);
  // False when it was dropped.
  bool wants(const Chunk& chunk);
  // Its rows are with the publisher: another chunk may be read.
  void published(const Chunk& chunk);

  struct Trouble {
    enum class Kind { changed, again, failed };
    Kind kind = Kind::again;
    std::string what;
    std::string hint;
  };
  std::optional<Trouble> trouble();

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Job {
    pg::SnapshotTable table;
    std::string where;
  };
  struct Dropped {};  // the chunk is no longer wanted

  void work(std::size_t number);
  std::shared_ptr<SnapshotChunk> next_chunk(Lock& lock, pg::SqlSession& sql);
  void plan(Lock& lock, pg::SqlSession& sql);
  void join(const pg::SnapshotTable& table, std::uint64_t epoch, pg::SqlSession& sql);
  void read(pg::SqlSession& sql, const Chunk& chunk, const Job& job, std::uint64_t epoch);
  void open_snapshot(pg::SqlSession& sql, const Chunk& chunk, const Job& job, std::uint64_t epoch);
  void wait_until_told(const Chunk& chunk, std::uint64_t epoch);
  bool copy(pg::SqlSession& sql, const Chunk& chunk, const Job& job, std::uint64_t epoch);
  void hand_over(const Chunk& chunk, std::string piece, std::uint64_t epoch);
  void cut(const Chunk& chunk, pg::Key upper, std::uint64_t rows, std::uint64_t epoch);
  void wait_for_turn(const Chunk& chunk, std::uint64_t epoch);
  void mark(pg::SqlSession& sql, const char* which, const SnapshotChunk& chunk);
  void pause(std::chrono::milliseconds duration, std::uint64_t epoch);
  void check(std::uint64_t epoch) const;  // with the lock; throws Dropped
  void report(Trouble trouble, std::uint64_t epoch);
  bool wanted(std::uint64_t epoch) const { return !stopping_ && epoch == epoch_ && job_; }
  std::size_t piece_bytes() const;
  std::size_t chunk_bytes() const;

  const Settings settings_;
  const std::function<void()> wake_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t epoch_ = 0;  // of begin()
  std::shared_ptr<const Job> job_;
  bool joined_ = false;
  bool planning_ = false;
  bool planned_all_ = false;
  std::optional<pg::Key> planned_to_;
  std::uint64_t rows_a_chunk_ = 0;
  std::uint64_t last_id_ = 0;
  std::list<Chunk> in_flight_;  // planned, and not yet published, in order of the key
  std::optional<Trouble> trouble_;
  std::vector<pg::SqlSession*> sessions_;  // of the workers, to be cancelled
  std::vector<std::thread> workers_;
};

}  // namespace connector
