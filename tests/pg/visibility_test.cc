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

TEST(Visibility, WhatIsNoSnapshotIsRefused) {
  for (const char* text : {"", "1", "1:2", "1:2:x", "2:1:", "1:2:1,", ":2:", "1:2:1 ", "a:b:"}) {
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
