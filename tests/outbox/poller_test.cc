#include "outbox/poller.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace outbox {
namespace {

std::string trim(const std::string& now, std::uint64_t highest, const std::string& before = "") {
  return trimmed(pg::Visibility::parse(now).value(), highest,
                 before.empty() ? std::nullopt : pg::Visibility::parse(before));
}

TEST(Trimmed, EndsBehindTheHighestTransactionThatHasRows) {
  EXPECT_EQ(trim("100:120:", 90), "91:91:");
  EXPECT_EQ(trim("100:120:100,105,110", 107), "100:108:100,105");
  EXPECT_EQ(trim("100:120:100,105,110", 119), "100:120:100,105,110");
  EXPECT_EQ(trim("100:120:110", 104), "105:105:");
}

TEST(Trimmed, NeverEndsBeforeTheOneBefore) {
  EXPECT_EQ(trim("100:120:100,110", 101, "95:106:95"), "100:106:100");
  EXPECT_EQ(trim("100:120:110", 101, "95:106:95,101"), "106:106:");
}

TEST(Trimmed, SeesWhatTheSnapshotSeesUpToItsEnd) {
  const auto now = pg::Visibility::parse("100:120:100,105,110").value();
  const auto cut = pg::Visibility::parse(trimmed(now, 112, std::nullopt)).value();
  for (std::uint64_t xid = 90; xid <= 112; ++xid) EXPECT_EQ(cut.sees(xid), now.sees(xid)) << xid;
  for (std::uint64_t xid = 113; xid < 125; ++xid) EXPECT_FALSE(cut.sees(xid)) << xid;
}

TEST(Trimmed, ATransactionThatHasNotBegunIsRefused) {
  EXPECT_THROW(trim("100:120:", 120), std::runtime_error);
  EXPECT_THROW(trim("100:120:", 90, "130:130:"), std::runtime_error);
}

}  // namespace
}  // namespace outbox
