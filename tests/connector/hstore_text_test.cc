// An hstore's text, pair by pair: what hstore_out prints, and that nothing else passes.
#include "connector/hstore_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace connector {
namespace {

// Pairs stand as <key=value>, NULL is -.
std::string pairs(std::string_view text) {
  std::string keys;
  std::string values;
  HstoreText hstore(text, keys, values);
  std::string seen;
  while (const auto pair = hstore.next()) {
    seen += '<' + std::string(pair->key) + '=' + std::string(pair->value.value_or("-")) + '>';
  }
  return seen;
}

TEST(HstoreText, IsTakenApartAsPostgresPrintsIt) {
  struct Case {
    const char* text;
    const char* pairs;
  };
  const std::vector<Case> cases = {
      {"", ""},
      {R"("a"=>"1")", "<a=1>"},
      {R"("a"=>"1", "b"=>NULL)", "<a=1><b=->"},
      {R"("a"=>NULL, "b"=>"NULL", "c"=>"")", "<a=-><b=NULL><c=>"},
      {R"(""=>"")", "<=>"},
      {R"("a b"=>"c, d", "e=>f"=>"g\"h\\")", R"(<a b=c, d><e=>f=g"h\>)"},
      {R"("\"\\"=>"\\\"")", R"(<"\=\">)"},
  };
  for (const Case& one : cases) EXPECT_EQ(pairs(one.text), one.pairs) << one.text;
}

TEST(HstoreText, WhatPostgresDoesNotPrintIsRefused) {
  const std::vector<std::string> texts = {
      "a",
      R"("a")",
      R"("a"=>)",
      R"("a"=>1)",
      R"("a"=>null)",
      R"("a"=>"1" )",
      R"("a"=>"1",)",
      R"("a"=>"1", )",
      R"("a" => "1")",
      R"("a"=>"1","b"=>"2")",
      R"("a"=>"1)",
      R"("a"=>"\1")",
      R"("a"=>"1\)",
      R"(, "a"=>"1")",
      R"("a"=>NULL"b"=>"1")",
      R"("a"=>NULLX)",
      R"(NULL=>"1")",
      R"("a"=>"1"; )",
  };
  for (const std::string& text : texts) EXPECT_THROW(pairs(text), BadValue) << text;
}

TEST(HstoreText, CutAnywhereButBetweenPairsItIsRefused) {
  const std::string whole = R"("a\""=>"\\1", "b"=>NULL)";
  const std::size_t first = whole.find(", ");
  EXPECT_EQ(pairs(whole), R"(<a"=\1><b=->)");
  for (std::size_t length = 1; length < whole.size(); ++length) {
    if (length == first) continue;
    EXPECT_THROW(pairs(whole.substr(0, length)), BadValue) << length;
  }
}

}  // namespace
}  // namespace connector
