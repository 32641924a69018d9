#include "outbox/sort_key.h"

#include <gtest/gtest.h>

#include <limits>

#include "outbox/checked_file.h"

namespace outbox {
namespace {

std::string integer(std::int64_t value) {
  std::string key;
  append_integer(key, value);
  return key;
}

std::string text(std::string_view value) {
  std::string key;
  append_text(key, value);
  return key;
}

TEST(SortKey, IntegersAreInTheirOrder) {
  constexpr std::int64_t values[] = {
      std::numeric_limits<std::int64_t>::min(), -4294967297, -256, -1, 0, 1, 255, 256, 4294967296,
      std::numeric_limits<std::int64_t>::max()};
  for (std::size_t i = 1; i < std::size(values); ++i) {
    EXPECT_LT(integer(values[i - 1]), integer(values[i]));
    EXPECT_EQ(integer_of(integer(values[i])), values[i]);
  }
}

TEST(SortKey, TextIsInTheOrderOfItsBytesAndNullComesFirst) {
  std::string null;
  append_null(null);
  EXPECT_LT(null, text(""));
  EXPECT_LT(null, integer(std::numeric_limits<std::int64_t>::min()));
  EXPECT_LT(text(""), text("\x01"));
  EXPECT_LT(text("a"), text("a\x01"));
  EXPECT_LT(text("a\x7f"), text("a\xc3\xa4"));
  // The first column decides, however long it is.
  EXPECT_LT(text("a") + text("z"), text("a\x01") + text("a"));
}

TEST(SortKey, TellsItsPartsAgain) {
  std::string key = integer(-7) + text("a\tb");
  append_null(key);
  const auto parts = parts_of(key);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0], "-7");
  EXPECT_EQ(parts[1], "a\tb");
  EXPECT_FALSE(parts[2]);
}

TEST(SortKey, NoKeyIsAnError) {
  EXPECT_THROW(parts_of("\x07"), FileError);
  EXPECT_THROW(parts_of("\x02no end"), FileError);
  EXPECT_THROW(parts_of(integer(1).substr(0, 5)), FileError);
  EXPECT_THROW(integer_of(text("1")), FileError);
  EXPECT_FALSE(parse_integer("1x"));
  EXPECT_FALSE(parse_integer(""));
}

}  // namespace
}  // namespace outbox
