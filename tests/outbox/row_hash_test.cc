// The hashes are PostgreSQL's: the values are what a server of version 15 says.
#include "outbox/row_hash.h"

#include <gtest/gtest.h>

#include <string_view>

#include "outbox/diff_table.h"

namespace outbox {
namespace {

constexpr std::uint64_t seed = 81985529216486895;

std::int64_t bytes(std::size_t length, std::uint64_t of_seed) {
  constexpr std::string_view text = "The quick brown fox jumps over the lazy dog";
  return static_cast<std::int64_t>(hash_bytes(text.substr(0, length), of_seed));
}

TEST(RowHash, OfBytesIsHashtextextended) {
  const struct {
    std::size_t length;
    std::int64_t without_seed, with_seed;
  } cases[] = {{0, -6939563903564495251, 5714803967801994901},
               {1, -1338225982912146468, 8792632492724849583},
               {7, -2752675330521770124, 5078416493131429934},
               {8, -1544529330263215465, 4950310369887154785},
               {9, -3165377590426475634, 8599459483138225411},
               {11, 2869438648668390509, 5951539711052503355},
               {12, -9210305663925663560, 1014272991485057561},
               {13, -3863872140344080773, 2557231074522563402},
               {24, 8360766130984247540, 2908118672008254739},
               {43, 2182139051089226439, -8119536654850546482}};
  for (const auto& one : cases) {
    EXPECT_EQ(bytes(one.length, 0), one.without_seed) << one.length;
    EXPECT_EQ(bytes(one.length, seed), one.with_seed) << one.length;
  }
}

TEST(RowHash, OfNumbersIsHashint4extended) {
  const auto number = [](std::int32_t value, std::uint64_t of_seed) {
    return static_cast<std::int64_t>(hash_uint32(static_cast<std::uint32_t>(value), of_seed));
  };
  EXPECT_EQ(number(-1, 0), -1888257769727981238);
  EXPECT_EQ(number(0, 0), 4154612158245552303);
  EXPECT_EQ(number(1, seed), -2002263800794802243);
  EXPECT_EQ(number(2147483647, seed), -2924246970129791737);
}

// PostgreSQL folds an int8 to 32 bits: 1 and 2^32 would be one.
TEST(RowHash, OfWideNumbersTellsThemApart) {
  const RowHasher hasher{{RowHasher::How::wide}};
  const auto of = [&](std::string_view text) {
    const pg::Value row[] = {text};
    return hasher(row, seed);
  };
  EXPECT_NE(of("1"), of("4294967296"));
  EXPECT_NE(of("-1"), of("-4294967297"));
  EXPECT_EQ(of("7"), of("7"));
}

TEST(RowHash, NullIsNoEmptyText) {
  const RowHasher hasher{{RowHasher::How::text}};
  const pg::Value null[] = {pg::Null{}};
  const pg::Value empty[] = {std::string_view()};
  EXPECT_NE(hasher(null, seed), hasher(empty, seed));
}

TEST(RowHash, SeedsAreDrawn) { EXPECT_FALSE(draw_seeds() == draw_seeds()); }

}  // namespace
}  // namespace outbox
