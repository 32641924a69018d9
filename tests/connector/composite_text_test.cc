// Rows' texts, field by field: what record_out prints, and that nothing else passes.
#include "connector/composite_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace connector {
namespace {

// Fields stand in <>, NULL is -.
std::string fields(std::string_view text, std::size_t count) {
  std::string scratch;
  CompositeText row(text, scratch);
  std::string seen;
  for (std::size_t i = 0; i < count; ++i) {
    const auto field = row.next();
    seen += field ? '<' + std::string(*field) + '>' : "-";
  }
  row.finish(count);
  return seen;
}

TEST(CompositeText, IsTakenApartAsPostgresPrintsIt) {
  struct Case {
    const char* text;
    std::size_t count;
    const char* fields;
  };
  const std::vector<Case> cases = {
      {"()", 0, ""},
      {"()", 1, "-"},
      {"(,)", 2, "--"},
      {"(1,)", 2, "<1>-"},
      {"(,,3)", 3, "--<3>"},
      {R"((""))", 1, "<>"},
      {R"(("",""))", 2, "<><>"},
      {R"((1,"a b",t))", 3, "<1><a b><t>"},
      {R"-(("a""b","c\\d","(e)","f,g"))-", 4, R"(<a"b><c\d><(e)><f,g>)"},
      {R"(("""",""""""))", 2, R"(<"><"">)"},
      {R"(("\\""",x))", 2, R"(<\"><x>)"},
      {R"((NULL,null))", 2, "<NULL><null>"},
      {R"(({},"{1,2}"))", 2, "<{}><{1,2}>"},
      {R"-(("(1,""x y"")"))-", 1, R"(<(1,"x y")>)"},
      {"(\xC3\xA4)", 1, "<\xC3\xA4>"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(fields(one.text, one.count), one.fields) << one.text;
  }
}

TEST(CompositeText, WhatPostgresDoesNotPrintOrAnotherCountIsRefused) {
  struct Case {
    const char* text;
    std::size_t count;
  };
  const std::vector<Case> cases = {
      {"", 0},         {"1", 1},         {"(", 1},        {"(1", 1},         {"1)", 1},
      {"(1)", 0},      {"(1)", 2},       {"(1,2)", 1},    {"(1,2)", 3},      {"()", 2},
      {"(1)x", 1},     {"(1) ", 1},      {" (1)", 1},     {"( 1)", 1},       {"(a b)", 1},
      {"(a\"b\")", 1}, {"(\"a\"b)", 1},  {"(\"a)", 1},    {"(\"a\\b\")", 1}, {"(a\\b)", 1},
      {"((1))", 1},    {"(\"a\"\")", 1}, {"(\"\\\")", 1}, {"(\"\\)", 1},     {"{1}", 1},
      {"()()", 0},     {"(1,)", 1},
  };
  for (const Case& one : cases) {
    EXPECT_THROW(fields(one.text, one.count), BadValue) << one.text << " of " << one.count;
  }
}

TEST(CompositeText, CutAnywhereItIsRefused) {
  const std::string whole = R"((1,"a""b","c\\",))";
  EXPECT_EQ(fields(whole, 4), R"(<1><a"b><c\>-)");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(fields(whole.substr(0, length), 4), BadValue) << length;
  }
}

}  // namespace
}  // namespace connector
