// A column that a filter uses is never missed, however it is written.
#include "connector/filter_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace connector {
namespace {

using testing::ElementsAre;

const std::vector<std::string> columns{"id", "Id", "amount", "we\"ird", "a b", "größe"};

std::vector<std::string> used(const std::string& where) {
  std::vector<std::string> names;
  for (const std::size_t i : columns_used(where, columns, "orders")) names.push_back(columns[i]);
  return names;
}

struct Case {
  std::string where;
  std::vector<std::string> used;
};

TEST(ColumnsUsed, AreFoundHoweverTheyAreWritten) {
  const Case cases[] = {
      {"id > 5", {"id"}},
      {"ID>5", {"id"}},
      {"\"Id\" > 5", {"Id"}},
      {"\"Id\" = id", {"id", "Id"}},
      {"abs(amount)<id", {"id", "amount"}},
      {"orders.id = 1", {"id"}},
      {"orders . \"Id\" = 1", {"Id"}},
      {"\"we\"\"ird\" IS NULL", {"we\"ird"}},
      {"\"a b\" = ''", {"a b"}},
      {"größe > 1", {"größe"}},
      {"(amount)::text = 'x'", {"amount"}},
      {"identity > 1", {}},
      {"true", {}},
      {"1=1 -- amount", {"amount"}},
      {"/*x*/amount/*y*/ > 0", {"amount"}},
  };
  for (const Case& c : cases) EXPECT_EQ(used(c.where), c.used) << c.where;
}

TEST(ColumnsUsed, OfTheWholeRowAreAll) {
  for (const char* where : {"orders IS NOT NULL", "orders.* IS NOT NULL", "(orders) = (orders)",
                            "\"orders\" IS NULL", "U&\"\\0061mount\" > 1", "orders"}) {
    EXPECT_EQ(used(where), columns) << where;
  }
}

TEST(ColumnsUsed, AreNotHiddenByQuotesInLiterals) {
  EXPECT_THAT(used("'\"' <> '' AND \"Id\" > 1"), testing::Contains("Id"));
  EXPECT_THAT(used("'it''s \"' || amount || '\"' = ''"), testing::Contains("amount"));
  EXPECT_THAT(used("$$\"$$ = '' OR \"a b\" = ''"), testing::Contains("a b"));
  EXPECT_THAT(used("'\"\"\"' = \"a b\""), testing::Contains("a b"));
}

TEST(ColumnsUsed, AreFoundByNamesThatPostgresCuts) {
  const std::string longest(63, 'x');
  EXPECT_THAT(columns_used(longest + "yz > 1", {longest}, "t"), ElementsAre(0U));
  EXPECT_THAT(columns_used("\"" + longest + "yz\" > 1", {longest}, "t"), ElementsAre(0U));
  const std::string cut = std::string(62, 'x');
  EXPECT_THAT(columns_used(cut + "ö > 1", {cut}, "t"), ElementsAre(0U));
}

}  // namespace
}  // namespace connector
