#include "pg/copy_text.h"

#include <gtest/gtest.h>

#include "pg/error.h"

namespace pg {
namespace {

std::vector<std::string> split(std::string_view line, std::size_t columns) {
  std::string buffer = "left over";
  std::vector<Value> row(3);
  split_copy_line(line, columns, buffer, row);
  std::vector<std::string> texts;
  for (const Value& value : row) {
    const auto* text = std::get_if<std::string_view>(&value);
    texts.push_back(text == nullptr ? "NULL" : "'" + std::string(*text) + "'");
  }
  return texts;
}

TEST(CopyText, TakesARowApart) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(split("1\tabc", 2), (Texts{"'1'", "'abc'"}));
  EXPECT_EQ(split("", 1), (Texts{"''"}));
  EXPECT_EQ(split("", 0), Texts{});
  EXPECT_EQ(split("\\N\t\t\\\\N", 3), (Texts{"NULL", "''", "'\\N'"}));
  EXPECT_EQ(split("a\\tb\\nc\\rd\\\\e\\bf\\fg\\vh", 1), (Texts{"'a\tb\nc\rd\\e\bf\fg\vh'"}));
  EXPECT_EQ(split("\\.\t日本", 2), (Texts{"'.'", "'日本'"}));
}

TEST(CopyText, WhatIsNoRowOfThisTableIsRefused) {
  EXPECT_THROW(split("1\t2", 1), ProtocolError);
  EXPECT_THROW(split("1", 2), ProtocolError);
  EXPECT_THROW(split("1\\", 1), ProtocolError);
  EXPECT_THROW(split("1", 0), ProtocolError);
}

}  // namespace
}  // namespace pg
