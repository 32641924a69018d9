#include "connector/copy_row.h"

#include <gtest/gtest.h>

#include "pg/error.h"

namespace connector {
namespace {

std::string shown(pg::Row row) {
  std::string all;
  for (const pg::Value& value : row) {
    const auto* text = std::get_if<std::string_view>(&value);
    all += text == nullptr ? "<NULL>" : "<" + std::string(*text) + ">";
  }
  return all;
}

TEST(CopyRow, TakesFieldsApart) {
  struct Case {
    const char* line;
    std::size_t columns;
    const char* expected;
  };
  const Case cases[] = {{"1\ta\t\\N", 3, "<1><a><NULL>"},
                        {"\t", 2, "<><>"},
                        {"", 1, "<>"},
                        {"", 0, ""},
                        {"a\\tb\\nc\\\\d\\re", 1, "<a\tb\nc\\d\re>"},
                        {"\\\\N\t\\b\\f\\v", 2, "<\\N><\b\f\v>"},
                        {"x\\\\\ty\\\\z", 2, "<x\\><y\\z>"}};
  CopyRow copy;
  for (const Case& one : cases) {
    EXPECT_EQ(shown(copy.parse(one.line, one.columns)), one.expected) << one.line;
  }
}

TEST(CopyRow, RefusesAnotherNumberOfColumns) {
  CopyRow copy;
  EXPECT_THROW(copy.parse("1\t2", 3), pg::ProtocolError);
  EXPECT_THROW(copy.parse("1\t2", 1), pg::ProtocolError);
}

}  // namespace
}  // namespace connector
