#include "connector/diff_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace connector {
namespace {

using outbox::BlockRange;
using Ranges = std::vector<BlockRange>;

std::vector<bool> bits(std::string_view text) {
  std::vector<bool> bits;
  for (const char c : text) bits.push_back(c == '1');
  return bits;
}

outbox::DiffTable table_of(bool indexed) {
  outbox::DiffTable table;
  table.key = {{.place = 0, .integer = true, .nullable = false, .indexed = indexed}};
  return table;
}

TEST(DiffSums, ASampleIsOneBlockOfEachPartAndNeitherTheFirstNorTheLast) {
  for (const std::size_t blocks : {64U, 65U, 127U, 2048U, 16384U, 30000U}) {
    const auto sampled = sampled_blocks(blocks);
    ASSERT_GE(sampled.size(), 2U);
    EXPECT_LE(sampled.size() * 32, blocks);
    for (std::size_t i = 0; i < sampled.size(); ++i) {
      EXPECT_GE(sampled[i], std::max<std::size_t>(i * blocks / sampled.size(), 1));
      EXPECT_LT(sampled[i], std::min((i + 1) * blocks / sampled.size(), blocks - 1));
    }
  }
  EXPECT_TRUE(sampled_blocks(63).empty());
}

TEST(DiffSums, AreAskedWhereTheSampleIsAsItWas) {
  const struct {
    const char* changed;
    Ranges asked;
  } cases[] = {{"0000", {{0, 400}}},
               {"1111", {}},
               {"0001", {{0, 300}}},
               {"1100", {{200, 400}}},
               {"0101", {{0, 100}, {200, 300}}},
               // Few changed parts, all over the table: it is asked whole.
               {"00010001000100010000", {{0, 400}}},
               // Many: nothing is asked.
               {"01010101010101010101", {}}};
  for (const auto& one : cases) EXPECT_EQ(asked_blocks(400, bits(one.changed)), one.asked);
}

TEST(DiffSums, RunsAreReadWhenThatIsLessThanAll) {
  EXPECT_EQ(runs_to_read(table_of(true), bits("0110001000")), (Ranges{{1, 3}, {6, 7}}));
  EXPECT_EQ(runs_to_read(table_of(true), bits("0111111111")), (Ranges{{1, 10}}));
  EXPECT_EQ(runs_to_read(table_of(true), bits("1111111111")), std::nullopt);
  EXPECT_EQ(runs_to_read(table_of(true), bits("1011011011")), std::nullopt);
  EXPECT_EQ(runs_to_read(table_of(true), bits("1")), std::nullopt);
}

// Each run would be a scan of the whole table.
TEST(DiffSums, WithoutAnIndexOneRunAtMostIsRead) {
  EXPECT_EQ(runs_to_read(table_of(false), bits("0110000000")), (Ranges{{1, 3}}));
  EXPECT_EQ(runs_to_read(table_of(false), bits("0110001000")), std::nullopt);
}

}  // namespace
}  // namespace connector
