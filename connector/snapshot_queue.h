// The chunks of a snapshot that are in flight, between those who read them and the one who
// publishes them:
//
//   planned ─▶ taken ─▶ told (the slot has its low mark) ─▶ read ─▶ marked ─▶ published
//
// Chunks stand in the order of the key. They are taken in that order, a few at a time, and get
// their high marks in that order, so that what is published is always the table up to some key. A
// chunk that turns out too large is cut: what is left of it is a chunk of its own, next in order.
//
// That nobody waits for ever: at most workers + 1 chunks are taken, and of these at most
// workers - 1 wait for their turn, so that there is always one that is being published, or that a
// worker may take; and the first one that has no high mark is always taken before the others.
//
// begin() and end() drop all chunks. Whoever still works at one of these learns it from Dropped.
// Any thread; every function takes the lock by itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pg/snapshot_table.h"
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

  // Under the queue's lock.
  bool taken = false;  // by a worker
  bool told = false;   // the slot has its low mark, and
  std::vector<pg::TransactionId> must_see;
  std::deque<std::string> pieces;
  bool read = false;  // all is in `pieces`
  bool marked = false;
};

class SnapshotQueue {
 public:
  using Chunk = std::shared_ptr<SnapshotChunk>;
  struct Job {
    pg::SnapshotTable table;
    std::string where;
    bool at_once = false;  // as one chunk, unless that turns out too large
  };
  // What a worker has been given: valid as long as nobody calls begin() or end().
  struct Task {
    std::uint64_t epoch = 0;
    std::shared_ptr<const Job> job;
  };
  struct Plan {
    std::optional<pg::Key> lower;
    std::uint64_t rows = 0;
    bool joined = false;  // it is not the table's first
  };
  struct Trouble {
    enum class Kind { changed, again, failed };
    Kind kind = Kind::again;
    std::string what;
    std::string hint;
  };
  struct Dropped {};  // the task is no longer wanted

  // `wake` is called, without the lock, when there is trouble or another piece of a whole table.
  SnapshotQueue(std::size_t workers, std::function<void()> wake)
      : workers_(workers), wake_(std::move(wake)) {}

  // For the thread that reads the slot; see SnapshotReader.
  void begin(Job job, std::optional<pg::Key> after, std::uint64_t chunk_rows);
  void end();
  void stop();  // for good
  Chunk low_mark(std::uint64_t id, std::vector<pg::TransactionId> must_see);
  Chunk high_mark(std::uint64_t id);
  std::optional<std::string> take_piece(SnapshotChunk& chunk);
  bool drained(const SnapshotChunk& chunk);
  bool wants(const Chunk& chunk);
  void published(const Chunk& chunk);
  std::optional<Trouble> trouble();

  // For the workers. Those that take a task throw Dropped once it is not wanted any more.

  // Waits until there is something to read; nothing: stop() was called.
  std::optional<Task> wait_for_task();
  // Waits for the first chunk that nobody has taken, or for the right to plan another one, which
  // planned() or not_planned() gives back.
  std::variant<Chunk, Plan> next(const Task& task);
  void planned(const Task& task, std::optional<pg::Key> upper, bool whole);
  void not_planned(const Task& task);
  // Until the slot has brought the low mark, or `limit` has passed. Returns what must be seen.
  std::vector<pg::TransactionId> wait_until_told(const Task& task, const Chunk& chunk,
                                                 std::chrono::milliseconds limit);
  // Of a whole table: waits while several pieces lie there.
  void hand_over(const Task& task, const Chunk& chunk, std::string piece);
  // It ends at `upper`, after `rows` rows; later ones are to have no more.
  void cut(const Task& task, const Chunk& chunk, pg::Key upper, std::uint64_t rows);
  void read(const Task& task, const Chunk& chunk);
  void wait_for_turn(const Task& task, const Chunk& chunk);
  void marked(const Chunk& chunk);
  void pause(const Task& task, std::chrono::milliseconds duration);
  // Drops all chunks. Nothing happens when the task is not wanted any more.
  void report(const Task& task, Trouble trouble);

 private:
  using Lock = std::unique_lock<std::mutex>;
  bool wanted(const Task& task) const {
    return !stopping_ && task.epoch == epoch_ && job_ != nullptr;
  }
  void check(const Task& task) const;
  void drop_all();

  const std::size_t workers_;
  const std::function<void()> wake_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t epoch_ = 0;
  std::shared_ptr<const Job> job_;
  bool joined_ = false;
  bool planning_ = false;
  bool planned_all_ = false;
  std::optional<pg::Key> planned_to_;
  std::uint64_t rows_a_chunk_ = 0;
  std::uint64_t last_id_ = 0;
  std::list<Chunk> in_flight_;  // planned, and not yet published, in order of the key
  std::optional<Trouble> trouble_;
};

}  // namespace connector
