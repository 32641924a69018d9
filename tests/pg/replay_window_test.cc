#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "pg/ack_frontier.h"

namespace pg {
namespace {

using std::chrono::milliseconds;
using Time = ReplayWindow::Clock::time_point;

constexpr std::uint64_t no_cap = 0;
constexpr Lsn start(1'000'000);

Time at(std::int64_t ms) { return Time(milliseconds(1'000'000 + ms)); }

// A window with the frontier that feeds it.
class Feed {
 public:
  Feed(milliseconds window, std::uint64_t max_bytes) : window_(window, max_bytes, start) {}
  void stored(Lsn lsn, Time now) {
    frontier_.keepalive(lsn);
    window_.observe(frontier_, now);
  }
  void look(Time now) { window_.observe(frontier_, now); }
  std::optional<Lsn> safe(Time now) {
    const auto safe = window_.safe(now);
    return safe ? std::optional(safe->lsn()) : std::nullopt;
  }
  bool cut_short() const { return window_.cut_short(); }

 private:
  AckFrontier frontier_;
  ReplayWindow window_;
};

TEST(ReplayWindow, NothingIsSafeWhileNothingIsStored) {
  Feed feed(milliseconds(0), no_cap);
  feed.look(at(0));
  EXPECT_EQ(feed.safe(at(1'000'000)), std::nullopt);
}

TEST(ReplayWindow, HoldsAPositionForTheWholeWindow) {
  Feed feed(milliseconds(10'000), no_cap);
  feed.stored(Lsn(1'000'100), at(0));
  EXPECT_EQ(feed.safe(at(0)), std::nullopt);
  EXPECT_EQ(feed.safe(at(9'999)), std::nullopt);
  EXPECT_EQ(feed.safe(at(10'000)), Lsn(1'000'100));
  EXPECT_FALSE(feed.cut_short());
}

TEST(ReplayWindow, SeenAgainIsNotYoungerForIt) {
  Feed feed(milliseconds(10'000), no_cap);
  feed.stored(Lsn(1'000'100), at(0));
  for (int ms = 0; ms < 10'000; ms += 10) feed.look(at(ms));
  EXPECT_EQ(feed.safe(at(10'000)), Lsn(1'000'100));
}

TEST(ReplayWindow, WhatWasSafeStaysSafe) {
  Feed feed(milliseconds(10'000), no_cap);
  feed.stored(Lsn(1'000'100), at(0));
  EXPECT_EQ(feed.safe(at(10'000)), Lsn(1'000'100));
  feed.stored(Lsn(1'000'200), at(10'001));
  EXPECT_EQ(feed.safe(at(10'002)), Lsn(1'000'100));
  EXPECT_EQ(feed.safe(at(20'000)), Lsn(1'000'100));
  EXPECT_EQ(feed.safe(at(20'001)), Lsn(1'000'200));
}

TEST(ReplayWindow, OfZeroHoldsNothingBack) {
  for (const std::uint64_t cap : {no_cap, std::uint64_t{1000}}) {
    Feed feed(milliseconds(0), cap);
    for (std::uint64_t i = 1; i < 100; ++i) {
      const Lsn lsn(start.value + i * 700);
      feed.stored(lsn, at(0));
      EXPECT_EQ(feed.safe(at(0)), lsn);
      EXPECT_FALSE(feed.cut_short());
    }
  }
}

TEST(ReplayWindow, BeyondTheCapTheOldestGoesEarlyAndItIsSaid) {
  Feed feed(milliseconds(10'000), 1000);
  feed.stored(Lsn(1'000'600), at(0));
  feed.stored(Lsn(1'001'000), at(1));
  EXPECT_EQ(feed.safe(at(1)), std::nullopt);  // exactly the cap
  EXPECT_FALSE(feed.cut_short());
  feed.stored(Lsn(1'001'001), at(2));
  EXPECT_EQ(feed.safe(at(2)), Lsn(1'000'600));
  EXPECT_TRUE(feed.cut_short());
  EXPECT_EQ(feed.safe(at(10'002)), Lsn(1'001'001));  // by time again
  EXPECT_FALSE(feed.cut_short());
}

TEST(ReplayWindow, OneTransactionBeyondTheCapIsLetGoWhole) {
  Feed feed(milliseconds(10'000), 1000);
  feed.stored(Lsn(9'000'000), at(0));
  EXPECT_EQ(feed.safe(at(0)), Lsn(9'000'000));
  EXPECT_TRUE(feed.cut_short());
}

TEST(ReplayWindow, APositionKeepsWhatItRestsOn) {
  AckFrontier frontier;
  ReplayWindow window(milliseconds(10'000), no_cap, start);
  const auto store = [&](std::uint64_t number, std::int64_t ms) {
    frontier.begin();
    frontier.sent(number);
    frontier.acked(number);
    frontier.committed(Lsn(start.value + number));
    window.observe(frontier, at(ms));
  };
  store(1, 0);
  store(2, 10);  // in the same step
  store(3, 5'000);
  for (const auto& [ms, number] : {std::pair{10'010, 2U}, {14'999, 2U}, {15'000, 3U}}) {
    const auto safe = window.safe(at(ms));
    ASSERT_TRUE(safe.has_value());
    EXPECT_EQ(safe->lsn(), Lsn(start.value + number));
    EXPECT_EQ(safe->rests_on(), number);
  }
}

struct Case {
  std::int64_t window_ms;
  std::uint64_t cap;
  std::uint64_t largest_step;
  unsigned longest_pause_ms;
};

class ReplayWindowProperty : public testing::TestWithParam<Case> {};

// Against all that was ever stored: never earlier than the window (the cap aside), at most one step
// of a 256th later, and never more than the cap behind.
TEST_P(ReplayWindowProperty, HoldsWhatItPromises) {
  const Case& c = GetParam();
  for (unsigned seed = 0; seed < 10; ++seed) {
    std::mt19937_64 random(seed);
    Feed feed(milliseconds(c.window_ms), c.cap);
    std::vector<std::pair<std::int64_t, Lsn>> history;
    std::int64_t now = 0;
    Lsn last = start;
    Lsn held_from = start;
    const auto stored_at = [&](std::int64_t when) {  // the newest position known by then
      Lsn newest;
      for (const auto& [ms, lsn] : history) {
        if (ms <= when) newest = lsn;
      }
      return newest;
    };
    for (int step = 0; step < 600; ++step) {
      now += static_cast<std::int64_t>(random() % (c.longest_pause_ms + 1));
      if (random() % 4 != 0) {
        last = Lsn(last.value + 1 + random() % c.largest_step);
        history.emplace_back(now, last);
        feed.stored(last, at(now));
      }
      const Lsn safe = feed.safe(at(now)).value_or(Lsn());
      const Lsn by_time = stored_at(now - c.window_ms);
      const Lsn at_latest = stored_at(now - c.window_ms - c.window_ms / 256);
      ASSERT_GE(safe, at_latest) << "seed " << seed << " step " << step;
      Lsn at_most = std::max(by_time, held_from);
      held_from = std::max(held_from, safe);
      if (c.cap > 0) {
        ASSERT_LE(last - held_from, c.cap) << "seed " << seed << " step " << step;
        // Early only as far as bytes ask for it, and to the end of that step.
        const std::uint64_t least_held = c.cap + 1 - c.cap / 256 - c.largest_step;
        if (last - start > c.cap) at_most = std::max(at_most, Lsn(last.value - least_held));
      }
      ASSERT_LE(safe, at_most) << "seed " << seed << " step " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ReplayWindowProperty,
                         testing::Values(Case{10'000, no_cap, 1000, 100},
                                         Case{300'000, no_cap, 1'000'000, 10'000},
                                         Case{100, no_cap, 1000, 7}, Case{10'000, 500'000, 3000, 5},
                                         Case{10'000, 20'000, 3000, 100},
                                         Case{1'000'000, 500'000, 3000, 100}));

// A million positions, most of them within one window.
TEST(ReplayWindow, TakesConstantMemory) {
  const auto before = mallinfo2().uordblks;
  if (before == 0) GTEST_SKIP() << "a sanitizer's malloc does not count";
  for (const std::uint64_t cap : {no_cap, std::uint64_t{4} << 30}) {
    Feed feed(milliseconds(300'000), cap);
    std::uint64_t lsn = start.value;
    std::size_t most = 0;
    for (int i = 0; i < 1'000'000; ++i) {
      feed.stored(Lsn(lsn += 500), at(i / 5));
      if (i % 1000 == 0) {
        feed.safe(at(i / 5));
        most = std::max(most, mallinfo2().uordblks - before);
      }
    }
    EXPECT_LT(most, 200'000U);
  }
}

}  // namespace
}  // namespace pg
