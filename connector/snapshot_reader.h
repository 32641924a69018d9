// Reads tables for their snapshots, in threads of its own, chunk by chunk:
//
//   low mark ─▶ (the slot has it) ─▶ BEGIN, snapshot, COPY, COMMIT ─▶ in turn: high mark
//
// The marks are logical messages, each in a transaction of its own, so that the slot sends them at
// once; each says "{slot} {session} {low|high} {chunk}". A chunk ends after `chunk_rows` rows or
// chunk_bytes of text, whichever comes first. A table without a key is one chunk, handed over while
// it is read. In which order chunks are taken and marked is the queue's: snapshot_queue.h.
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
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "connector/snapshot_queue.h"
#include "pg/snapshot_table.h"
#include "pg/sql_session.h"
#include "pg/types.h"

namespace connector {

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
  using Chunk = SnapshotQueue::Chunk;
  using Trouble = SnapshotQueue::Trouble;

  // `wake` is called from other threads when there is trouble, or another piece.
  SnapshotReader(Settings settings, std::function<void()> wake);
  ~SnapshotReader();
  SnapshotReader(const SnapshotReader&) = delete;
  SnapshotReader& operator=(const SnapshotReader&) = delete;

  // From behind `after` on. What was in flight is dropped; its marks stand for nothing. `at_once`:
  // the rows that `where` holds for are few.
  void begin(pg::SnapshotTable table, std::string where, std::optional<pg::Key> after,
             bool at_once = false);
  void end() { queue_.end(); }

  // The slot has the chunk's low mark. `must_see`: transactions that it has brought before, and
  // that changed the table. Returns the chunk; nullptr: it was dropped.
  Chunk low_mark(std::uint64_t id, std::vector<pg::TransactionId> must_see) {
    return queue_.low_mark(id, std::move(must_see));
  }
  // The slot has the chunk's high mark.
  Chunk high_mark(std::uint64_t id) { return queue_.high_mark(id); }
  // The next piece of text; nothing: there is none now.
  std::optional<std::string> take_piece(SnapshotChunk& chunk) { return queue_.take_piece(chunk); }
  bool drained(const SnapshotChunk& chunk) { return queue_.drained(chunk); }
  // False when it was dropped.
  bool wants(const Chunk& chunk) { return queue_.wants(chunk); }
  // Its rows are with the publisher: another chunk may be read.
  void published(const Chunk& chunk) { queue_.published(chunk); }
  std::optional<Trouble> trouble() { return queue_.trouble(); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Task = SnapshotQueue::Task;

  void work(std::size_t worker);
  void set_session(std::size_t worker, const pg::SqlSession* session);
  void plan(pg::SqlSession& sql, const Task& task, const SnapshotQueue::Plan& plan);
  void join(pg::SqlSession& sql, const Task& task);
  void read(pg::SqlSession& sql, const Task& task, const Chunk& chunk);
  void open_snapshot(pg::SqlSession& sql, const Task& task, const Chunk& chunk,
                     const std::vector<pg::TransactionId>& must_see);
  bool copy(pg::SqlSession& sql, const Task& task, const Chunk& chunk);
  void mark(pg::SqlSession& sql, const char* which, const SnapshotChunk& chunk);
  std::size_t chunk_bytes() const;

  const Settings settings_;
  SnapshotQueue queue_;

  std::mutex mutex_;  // of what follows
  std::condition_variable ended_;
  std::vector<const pg::SqlSession*> sessions_;  // of the workers, to be cancelled
  std::size_t working_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace connector
