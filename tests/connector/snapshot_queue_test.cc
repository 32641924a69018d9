#include "connector/snapshot_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <variant>
#include <vector>

namespace connector {
namespace {

using namespace std::chrono_literals;
using Chunk = SnapshotQueue::Chunk;
using Task = SnapshotQueue::Task;

// Two workers; the table's keys are one column.
struct Queue : testing::Test {
  void SetUp() override { queue.begin({}, std::nullopt, 10); }

  Task task() { return queue.wait_for_task().value(); }
  Chunk planned(const char* upper) {
    const auto plan = queue.next(task());
    EXPECT_TRUE(std::holds_alternative<SnapshotQueue::Plan>(plan));
    queue.planned(task(), upper == nullptr ? std::nullopt : std::optional(pg::Key{upper}), false);
    return taken();
  }
  Chunk taken() { return std::get<Chunk>(queue.next(task())); }
  // What another worker gets, or waits for.
  std::future<Chunk> taken_later() {
    return std::async(std::launch::async, [this] { return taken(); });
  }
  static bool waits(std::future<Chunk>& chunk) {
    return chunk.wait_for(50ms) == std::future_status::timeout;
  }
  void read_and_marked(const Chunk& chunk) {
    queue.read(task(), chunk);
    queue.wait_for_turn(task(), chunk);
    queue.marked(chunk);
  }

  int woken = 0;
  SnapshotQueue queue{2, [this] { ++woken; }};
};

TEST_F(Queue, ChunksFollowEachOtherInOrderOfTheKey) {
  const Chunk first = planned("10");
  const Chunk second = planned("20");
  const Chunk last = planned(nullptr);
  EXPECT_EQ(first->lower, std::nullopt);
  EXPECT_EQ(second->lower, first->upper);
  EXPECT_EQ(last->lower, second->upper);
  EXPECT_EQ(last->upper, std::nullopt);
}

TEST_F(Queue, TheRestOfAChunkComesNextAndIsNoLargerThanWhatFitted) {
  const Chunk first = planned("10");
  const Chunk second = planned("20");
  queue.cut(task(), first, {"4"}, 4);
  EXPECT_EQ(first->upper, pg::Key{"4"});
  const Chunk rest = taken();
  EXPECT_EQ(rest->lower, pg::Key{"4"});
  EXPECT_EQ(rest->upper, pg::Key{"10"});

  queue.read(task(), second);
  auto turn = std::async(std::launch::async, [&] { queue.wait_for_turn(task(), second); });
  read_and_marked(first);
  EXPECT_EQ(turn.wait_for(50ms), std::future_status::timeout) << "the rest has no high mark yet";
  read_and_marked(rest);
  turn.get();
  queue.marked(second);

  for (const Chunk& chunk : {first, rest, second}) queue.published(chunk);
  const auto plan = std::get<SnapshotQueue::Plan>(queue.next(task()));
  EXPECT_EQ(plan.rows, 4U);
  EXPECT_EQ(plan.lower, pg::Key{"20"});
  EXPECT_TRUE(plan.joined);
}

// Were the rest taken, its text would be one more in memory than is allowed; were it never taken,
// those behind it would wait for their turn for ever.
TEST_F(Queue, ARestIsTakenOnceThereIsRoomForIt) {
  const Chunk first = planned("10");
  const Chunk second = planned("20");
  const Chunk third = planned("30");
  queue.cut(task(), first, {"4"}, 4);
  auto rest = taken_later();
  EXPECT_TRUE(waits(rest));
  read_and_marked(first);
  EXPECT_TRUE(waits(rest));
  queue.published(first);
  EXPECT_EQ(rest.get()->upper, pg::Key{"10"});
}

TEST_F(Queue, NoMoreThanOneChunkMoreThanWorkersIsInFlight) {
  const Chunk first = planned("10");
  planned("20");
  planned("30");
  auto next = std::async(std::launch::async, [this] { return queue.next(task()); });
  EXPECT_EQ(next.wait_for(50ms), std::future_status::timeout);
  queue.published(first);
  EXPECT_TRUE(std::holds_alternative<SnapshotQueue::Plan>(next.get()));
}

TEST_F(Queue, WhoWorksAtADroppedChunkLearnsIt) {
  const Task old = task();
  const Chunk chunk = planned("10");
  auto told =
      std::async(std::launch::async, [&] { return queue.wait_until_told(old, chunk, 1h).size(); });
  queue.begin({}, std::nullopt, 10);
  EXPECT_THROW(told.get(), SnapshotQueue::Dropped);
  EXPECT_THROW(queue.next(old), SnapshotQueue::Dropped);
  EXPECT_THROW(queue.hand_over(old, chunk, "1\n"), SnapshotQueue::Dropped);
  EXPECT_THROW(queue.planned(old, std::nullopt, false), SnapshotQueue::Dropped);
  EXPECT_FALSE(queue.wants(chunk));
  EXPECT_EQ(queue.low_mark(chunk->id, {}), nullptr);
  queue.report(old, {});
  EXPECT_FALSE(queue.trouble()) << "trouble with what nobody wants is none";
  planned("10");
}

TEST_F(Queue, APlanThatFailedCanBeMadeByAnother) {
  const auto plan = queue.next(task());
  auto next = std::async(std::launch::async, [this] { return queue.next(task()); });
  EXPECT_EQ(next.wait_for(50ms), std::future_status::timeout);
  queue.not_planned(task());
  EXPECT_FALSE(std::get<SnapshotQueue::Plan>(next.get()).joined);
}

TEST_F(Queue, APlanOfADroppedTableDoesNotKeepTheNextFromBeingPlanned) {
  const Task old = task();
  EXPECT_TRUE(std::holds_alternative<SnapshotQueue::Plan>(queue.next(old)));
  queue.begin({}, std::nullopt, 10);
  planned("10");
  queue.not_planned(old);
}

TEST_F(Queue, AHighMarkCountsOnlyOfAChunkThatIsRead) {
  const Chunk chunk = planned("10");
  EXPECT_EQ(queue.low_mark(chunk->id, {pg::TransactionId(7)}), chunk);
  EXPECT_EQ(queue.high_mark(chunk->id), nullptr);
  EXPECT_EQ(queue.wait_until_told(task(), chunk, 1h), std::vector{pg::TransactionId(7)});
  queue.hand_over(task(), chunk, "1\n");
  queue.read(task(), chunk);
  EXPECT_EQ(queue.high_mark(chunk->id), chunk);
  EXPECT_FALSE(queue.drained(*chunk));
  EXPECT_EQ(queue.take_piece(*chunk), "1\n");
  EXPECT_EQ(queue.take_piece(*chunk), std::nullopt);
  EXPECT_TRUE(queue.drained(*chunk));
  EXPECT_EQ(woken, 0);
}

TEST_F(Queue, AWholeTableIsHandedOverAFewPiecesAtATime) {
  EXPECT_TRUE(std::holds_alternative<SnapshotQueue::Plan>(queue.next(task())));
  queue.planned(task(), std::nullopt, true);
  const Chunk chunk = taken();
  for (int i = 0; i < 4; ++i) queue.hand_over(task(), chunk, "1\n");
  EXPECT_EQ(woken, 4);
  auto fifth = std::async(std::launch::async, [&] { queue.hand_over(task(), chunk, "2\n"); });
  EXPECT_EQ(fifth.wait_for(50ms), std::future_status::timeout);
  queue.take_piece(*chunk);
  fifth.get();
}

TEST_F(Queue, TroubleIsToldOnceAndDropsEverything) {
  const Chunk chunk = planned("10");
  queue.report(task(), {.kind = SnapshotQueue::Trouble::Kind::again, .what = "w", .hint = ""});
  EXPECT_EQ(woken, 1);
  EXPECT_FALSE(queue.wants(chunk));
  EXPECT_EQ(queue.trouble()->what, "w");
  EXPECT_FALSE(queue.trouble());
}

TEST_F(Queue, StopEndsEverything) {
  const Task old = task();
  planned("10");
  planned("20");
  planned("30");
  auto next = std::async(std::launch::async, [&] { return queue.next(old); });
  queue.stop();
  EXPECT_THROW(next.get(), SnapshotQueue::Dropped);
  EXPECT_FALSE(queue.wait_for_task());
}

}  // namespace
}  // namespace connector
