// Marks: their names, which of the points is read from, and when they are warned of.
#include "connector/marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connector/stop.h"

namespace connector {
namespace {

using testing::HasSubstr;

Mark mark(const std::string& name, std::uint64_t lsn, std::uint64_t held = 0,
          const std::string& status = "reserved") {
  Mark made{.name = name, .slot = slot_of_mark("walferry", name), .info = {}};
  made.info.confirmed = pg::Lsn(lsn);
  made.info.retained_bytes = held;
  made.info.wal_status = status;
  return made;
}

pg::SlotInfo slot(std::uint64_t lsn) {
  pg::SlotInfo info;
  info.plugin = "pgoutput";
  info.confirmed = pg::Lsn(lsn);
  info.wal_status = "reserved";
  return info;
}

TEST(Marks, AreSlotsByName) {
  EXPECT_EQ(slot_of_mark("walferry", "before_it"), "walferry_mark_before_it");
  EXPECT_EQ(slot_of_mark("walferry", std::string(49, 'a')).size(), 63U);
  try {
    slot_of_mark("walferry", std::string(50, 'a'));
    FAIL();
  } catch (const Stop& stop) {
    EXPECT_EQ(stop.code(), Exit::usage);
    EXPECT_THAT(stop.hint(), HasSubstr("at most 49"));
  }
}

TEST(Marks, TheNearestPointBeforeIsReadFrom) {
  const auto points = replay_points("walferry", slot(0x300),
                                    {mark("a", 0x100), mark("b", 0x200), mark("c", 0x400)});
  const auto from = [&](std::uint64_t lsn) {
    const auto point = nearest_before(points, pg::Lsn(lsn));
    return point ? point->slot : "none";
  };
  EXPECT_EQ(from(0xFF), "none");
  EXPECT_EQ(from(0x100), "walferry_mark_a");
  EXPECT_EQ(from(0x2FF), "walferry_mark_b");
  EXPECT_EQ(from(0x300), "walferry");
  EXPECT_EQ(from(0x400), "walferry_mark_c");
  EXPECT_EQ(oldest(points), pg::Lsn(0x100));
}

TEST(Marks, WhatIsLostOrNotWalferrysIsNoPoint) {
  pg::SlotInfo lost = slot(0x100);
  lost.wal_status = "lost";
  pg::SlotInfo other = slot(0x100);
  other.plugin = "test_decoding";
  pg::SlotInfo unfinished = slot(0x100);
  unfinished.confirmed.reset();
  for (const pg::SlotInfo& info : {lost, other, unfinished}) {
    EXPECT_TRUE(replay_points("walferry", info, {}).empty());
  }
  EXPECT_TRUE(replay_points("walferry", std::nullopt, {mark("a", 0x1, 0, "lost")}).empty());
  EXPECT_FALSE(oldest({}));
}

TEST(Marks, AreWarnedOfWhenTheyHoldMuch) {
  constexpr std::uint64_t gibibyte = 1ULL << 30;
  const auto verdict = [](const Mark& one, std::int64_t keep_mb) {
    return mark_findings({one}, keep_mb).at(0).verdict;
  };
  EXPECT_EQ(verdict(mark("a", 1, gibibyte), -1), Verdict::ok);
  EXPECT_EQ(verdict(mark("a", 1, 5 * gibibyte), -1), Verdict::warn);
  EXPECT_EQ(verdict(mark("a", 1, gibibyte), 1024), Verdict::warn) << "half of what is kept";
  EXPECT_EQ(verdict(mark("a", 1, gibibyte), 4096), Verdict::ok);
  EXPECT_EQ(verdict(mark("a", 1, 0, "unreserved"), -1), Verdict::warn);
  const Finding lost = mark_findings({mark("a", 1, 0, "lost")}, -1).at(0);
  EXPECT_EQ(lost.verdict, Verdict::warn);
  EXPECT_EQ(lost.fix, "walferry mark --drop a");
}

TEST(Marks, NeedAFreeSlot) {
  pg::ServerInfo server;
  server.free_slots = 1;
  EXPECT_NO_THROW(require_free_slot(server));
  server.free_slots = 0;
  EXPECT_THROW(require_free_slot(server), Stop);
}

}  // namespace
}  // namespace connector
