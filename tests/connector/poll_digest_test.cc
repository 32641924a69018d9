#include "connector/poll_digest.h"

#include <gtest/gtest.h>

#include <string>

namespace connector {
namespace {

struct Row {
  std::size_t table = 0;
  std::string id;
  std::string xid = "7";
};

PollDigest digest_of(const std::vector<Row>& rows) {
  PollDigest digest;
  for (const Row& row : rows) {
    const std::vector<pg::Value> identity{std::string_view(row.id), std::string_view(row.xid)};
    digest.add(row.table, identity);
  }
  return digest;
}

std::vector<Row> rows(int first, int last) {
  std::vector<Row> all;
  for (int i = first; i <= last; ++i) all.push_back({.id = std::to_string(i)});
  return all;
}

TEST(PollDigest, OtherRowsMakeAnotherOne) {
  const auto value = digest_of({{0, "1"}, {0, "2"}}).value();
  EXPECT_EQ(digest_of({{0, "1"}, {0, "2"}}).value(), value);
  for (const auto& others : {std::vector<Row>{{0, "2"}, {0, "1"}},
                             {{0, "1"}, {1, "2"}},
                             {{0, "1"}},
                             {{0, "12"}, {0, ""}},
                             {{0, "1"}, {0, "2", "8"}},
                             {{0, "1", "7"}, {0, "", "27"}}}) {
    EXPECT_NE(digest_of(others).value(), value);
  }
}

TEST(PollDigest, OfASmallBatchEveryOtherRowIsSeen) {
  const auto before = digest_of(rows(1, 100)).sample();
  EXPECT_EQ(before.size(), 100U);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(has_others(before, digest_of(rows(i, i == 0 ? -1 : 100)).sample()));
    EXPECT_TRUE(has_others(before, digest_of({{.id = std::to_string(i), .xid = "8"}}).sample()));
  }
}

TEST(PollDigest, OfALargeOneOtherRowsAreSeenWhereThereAreMany) {
  const auto before = digest_of(rows(1, 100'000)).sample();
  EXPECT_EQ(before.size(), PollDigest::most);
  EXPECT_FALSE(has_others(before, digest_of(rows(1, 100'000)).sample()));
  EXPECT_FALSE(has_others(before, digest_of(rows(30'000, 60'000)).sample()));
  EXPECT_TRUE(has_others(before, digest_of(rows(60'000, 110'000)).sample()));
}

TEST(PollDigest, WhatIsNotKnownHasNoOthers) {
  EXPECT_FALSE(has_others({}, digest_of(rows(1, 2)).sample()));
}

}  // namespace
}  // namespace connector
