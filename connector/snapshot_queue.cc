#include "connector/snapshot_queue.h"

#include <algorithm>
#include <utility>

namespace connector {
namespace {

constexpr std::size_t most_pieces_of_a_table = 4;

bool is_taken(const SnapshotQueue::Chunk& chunk) { return chunk->taken; }

}  // namespace

void SnapshotQueue::drop_all() {
  ++epoch_;
  job_.reset();
  joined_ = planning_ = planned_all_ = false;
  planned_to_.reset();
  in_flight_.clear();
  changed_.notify_all();
}

void SnapshotQueue::begin(Job job, std::optional<pg::Key> after, std::uint64_t chunk_rows) {
  const Lock lock(mutex_);
  drop_all();
  trouble_.reset();
  job_ = std::make_shared<const Job>(std::move(job));
  planned_to_ = std::move(after);
  rows_a_chunk_ = chunk_rows;
}

void SnapshotQueue::end() {
  const Lock lock(mutex_);
  drop_all();
  trouble_.reset();
}

void SnapshotQueue::stop() {
  const Lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

SnapshotQueue::Chunk SnapshotQueue::low_mark(std::uint64_t id,
                                             std::vector<pg::TransactionId> must_see) {
  const Lock lock(mutex_);
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                  [&](const Chunk& chunk) { return chunk->id == id; });
  if (found == in_flight_.end()) return nullptr;
  (*found)->told = true;
  (*found)->must_see = std::move(must_see);
  changed_.notify_all();
  return *found;
}

SnapshotQueue::Chunk SnapshotQueue::high_mark(std::uint64_t id) {
  const Lock lock(mutex_);
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Chunk& chunk) {
    return chunk->id == id && chunk->read;
  });
  return found == in_flight_.end() ? nullptr : *found;
}

std::optional<std::string> SnapshotQueue::take_piece(SnapshotChunk& chunk) {
  const Lock lock(mutex_);
  if (chunk.pieces.empty()) return std::nullopt;
  std::string piece = std::move(chunk.pieces.front());
  chunk.pieces.pop_front();
  changed_.notify_all();
  return piece;
}

bool SnapshotQueue::drained(const SnapshotChunk& chunk) {
  const Lock lock(mutex_);
  return chunk.read && chunk.pieces.empty();
}

bool SnapshotQueue::wants(const Chunk& chunk) {
  const Lock lock(mutex_);
  return std::find(in_flight_.begin(), in_flight_.end(), chunk) != in_flight_.end();
}

void SnapshotQueue::published(const Chunk& chunk) {
  const Lock lock(mutex_);
  in_flight_.remove(chunk);
  changed_.notify_all();
}

std::optional<SnapshotQueue::Trouble> SnapshotQueue::trouble() {
  const Lock lock(mutex_);
  return std::exchange(trouble_, std::nullopt);
}

void SnapshotQueue::report(const Task& task, Trouble trouble) {
  {
    const Lock lock(mutex_);
    if (!wanted(task)) return;
    drop_all();
    trouble_ = std::move(trouble);
  }
  wake_();
}

void SnapshotQueue::check(const Task& task) const {
  if (!wanted(task)) throw Dropped();
}

void SnapshotQueue::pause(const Task& task, std::chrono::milliseconds duration) {
  Lock lock(mutex_);
  changed_.wait_for(lock, duration, [&] { return !wanted(task); });
  check(task);
}

std::optional<SnapshotQueue::Task> SnapshotQueue::wait_for_task() {
  Lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || job_ != nullptr; });
  if (stopping_) return std::nullopt;
  return Task{epoch_, job_};
}

std::variant<SnapshotQueue::Chunk, SnapshotQueue::Plan> SnapshotQueue::next(const Task& task) {
  Lock lock(mutex_);
  while (true) {
    check(task);
    const auto taken = std::count_if(in_flight_.begin(), in_flight_.end(), is_taken);
    const auto first = std::find_if_not(in_flight_.begin(), in_flight_.end(), is_taken);
    if (first != in_flight_.end() && static_cast<std::size_t>(taken) <= workers_) {
      (*first)->taken = true;
      return *first;
    }
    if (first == in_flight_.end() && !planning_ && !planned_all_ && in_flight_.size() <= workers_) {
      planning_ = true;
      return Plan{planned_to_, rows_a_chunk_, joined_};
    }
    changed_.wait(lock);
  }
}

void SnapshotQueue::planned(const Task& task, std::optional<pg::Key> upper, bool whole) {
  const Lock lock(mutex_);
  check(task);
  const auto chunk = std::make_shared<SnapshotChunk>();
  chunk->id = ++last_id_;
  chunk->lower = std::exchange(planned_to_, upper);
  chunk->upper = std::move(upper);
  chunk->whole = whole;
  planning_ = false;
  joined_ = true;
  planned_all_ = !chunk->upper;
  in_flight_.push_back(chunk);
  changed_.notify_all();
}

void SnapshotQueue::not_planned(const Task& task) {
  const Lock lock(mutex_);
  if (!wanted(task)) return;
  planning_ = false;
  changed_.notify_all();
}

std::vector<pg::TransactionId> SnapshotQueue::wait_until_told(const Task& task, const Chunk& chunk,
                                                              std::chrono::milliseconds limit) {
  Lock lock(mutex_);
  const auto done = [&] { return chunk->told || !wanted(task); };
  if (chunk->whole) {
    changed_.wait(lock, done);
  } else {
    changed_.wait_for(lock, limit, done);
  }
  check(task);
  return chunk->must_see;
}

void SnapshotQueue::hand_over(const Task& task, const Chunk& chunk, std::string piece) {
  {
    Lock lock(mutex_);
    if (chunk->whole) {
      changed_.wait(lock,
                    [&] { return chunk->pieces.size() < most_pieces_of_a_table || !wanted(task); });
    }
    check(task);
    chunk->pieces.push_back(std::move(piece));
  }
  if (chunk->whole) wake_();
}

void SnapshotQueue::cut(const Task& task, const Chunk& chunk, pg::Key upper, std::uint64_t rows) {
  const auto rest = std::make_shared<SnapshotChunk>();
  const Lock lock(mutex_);
  check(task);
  rest->id = ++last_id_;
  rest->lower = upper;
  rest->upper = std::exchange(chunk->upper, std::move(upper));
  const auto place = std::find(in_flight_.begin(), in_flight_.end(), chunk);
  in_flight_.insert(std::next(place), rest);
  rows_a_chunk_ = std::max<std::uint64_t>(1, std::min(rows_a_chunk_, rows));
  changed_.notify_all();
}

void SnapshotQueue::read(const Task& task, const Chunk& chunk) {
  {
    const Lock lock(mutex_);
    check(task);
    chunk->read = true;
  }
  if (chunk->whole) wake_();
}

void SnapshotQueue::wait_for_turn(const Task& task, const Chunk& chunk) {
  Lock lock(mutex_);
  changed_.wait(lock, [&] {
    if (!wanted(task)) return true;
    const auto first = std::find_if(in_flight_.begin(), in_flight_.end(),
                                    [](const Chunk& one) { return !one->marked; });
    return first != in_flight_.end() && *first == chunk;
  });
  check(task);
}

void SnapshotQueue::marked(const Chunk& chunk) {
  const Lock lock(mutex_);
  chunk->marked = true;
  changed_.notify_all();
}

}  // namespace connector
