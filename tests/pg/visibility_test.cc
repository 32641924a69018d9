#include "pg/visibility.h"

#include <gtest/gtest.h>

#include <vector>

namespace pg {
namespace {

TEST(Visibility, SeesWhatWasCompletedAndNothingElse) {
  const auto snapshot = Visibility::parse("100:110:100,105");
  ASSERT_TRUE(snapshot);
  struct Case {
    std::uint64_t xid;
    bool sees;
  };
  for (const Case& c : std::vector<Case>{{3, true},
                                         {99, true},
                                         {100, false},
                                         {101, true},
                                         {105, false},
                                         {109, true},
                                         {110, false},
                                         {(1ULL << 32) + 5, false}}) {
    EXPECT_EQ(snapshot->sees(c.xid), c.sees) << c.xid;
  }
  EXPECT_EQ(snapshot->xmax(), 110U);
  const auto idle = Visibility::parse("7:7:");
  ASSERT_TRUE(idle);
  EXPECT_TRUE(idle->sees(6));
  EXPECT_FALSE(idle->sees(7));
}

struct Case {
  const char* snapshot;
  std::uint32_t xid;
  bool sees;
};

TEST(Visibility, SeesNumbersOfWalAsTheNearestToIt) {
  const Case cases[] = {
      {"100:110:100,105", 99, true},
      {"100:110:100,105", 100, false},
      {"100:110:100,105", 101, true},
      {"100:110:100,105", 105, false},
      {"100:110:100,105", 109, true},
      {"100:110:100,105", 110, false},
      {"100:110:100,105", 200, false},
      {"50:50:", 49, true},
      {"50:50:", 50, false},
      // The server counts in 64 bits, WAL has the lower half.
      {"4294967290:4294967300:4294967298", 4294967289U, true},
      {"4294967290:4294967300:4294967298", 3, true},
      {"4294967290:4294967300:4294967298", 2, false},
      {"4294967290:4294967300:4294967298", 4, false},
  };
  for (const Case& one : cases) {
    const auto visibility = Visibility::parse(one.snapshot);
    ASSERT_TRUE(visibility.has_value()) << one.snapshot;
    EXPECT_EQ(visibility->sees(TransactionId(one.xid)), one.sees) << one.snapshot << " " << one.xid;
    EXPECT_EQ(visibility->text(), one.snapshot);
  }
}

TEST(Visibility, WhatIsNoSnapshotIsRefused) {
  for (const char* text :
       {"", "1", "1:2", "1:2:x", "2:1:", "1:2:1,", ":2:", "1:2:1 ", "a:b:", "1:2:3;4", "1:2:3:4"}) {
    EXPECT_FALSE(Visibility::parse(text)) << text;
  }
}

// From one epoch into the next, with transactions that commit out of the order of their numbers.
TEST(XidUnwinder, MakesNumbersWholeAcrossEpochs) {
  const std::vector<std::uint64_t> whole = {(2ULL << 32) - 2'000'000'000,
                                            (2ULL << 32) - 20,
                                            (2ULL << 32) - 1,
                                            (2ULL << 32) - 5,
                                            (2ULL << 32) + 3,
                                            (2ULL << 32) - 2,
                                            (2ULL << 32) + 2'000'000'000,
                                            (2ULL << 32) + 4'000'000'000,
                                            (3ULL << 32) - 100,
                                            (3ULL << 32) + 7};
  XidUnwinder xids;
  std::vector<std::int64_t> relative;
  relative.reserve(whole.size());
  for (const std::uint64_t xid : whole) {
    relative.push_back(xids.follow(TransactionId(static_cast<std::uint32_t>(xid))));
  }
  const auto snapshot = Visibility::parse("12884901880:12884901900:");  // about 3 * 2^32
  ASSERT_TRUE(snapshot);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(xids.whole(relative[i], *snapshot), whole[i]) << i;
  }
}

}  // namespace
}  // namespace pg
