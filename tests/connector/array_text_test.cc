// Arrays' texts, token by token: what array_out prints, and that nothing else passes.
#include "connector/array_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace connector {
namespace {

// { and } are themselves, elements stand in <>, NULL is -.
std::string tokens(std::string_view text, char delimiter = ',') {
  std::string scratch;
  ArrayText array(text, delimiter, scratch);
  std::string seen;
  while (true) {
    switch (array.next()) {
      case ArrayText::Token::open: seen += '{'; break;
      case ArrayText::Token::close: seen += '}'; break;
      case ArrayText::Token::null: seen += '-'; break;
      case ArrayText::Token::element: seen += '<' + std::string(array.element()) + '>'; break;
      case ArrayText::Token::end: return seen;
    }
  }
}

TEST(ArrayText, IsTakenApartAsPostgresPrintsIt) {
  struct Case {
    const char* text;
    const char* tokens;
    char delimiter = ',';
  };
  const std::vector<Case> cases = {
      {"{}", "{}"},
      {"{1}", "{<1>}"},
      {"{1,2,3}", "{<1><2><3>}"},
      {"{NULL}", "{-}"},
      {R"({"NULL",null_and_void,"null"})", "{<NULL><null_and_void><null>}"},
      {R"({""})", "{<>}"},
      {R"({"",NULL,""})", "{<>-<>}"},
      {R"({"a b","c,d","{e}"})", "{<a b><c,d><{e}>}"},
      {R"({"\"","\\","a\"b\\c"})", R"({<"><\><a"b\c>})"},
      {R"({"\\\\\"\""})", R"({<\\"">})"},
      {R"({"plain","es\"caped",plain})", R"({<plain><es"caped><plain>})"},
      {"{{1,2},{3,4}}", "{{<1><2>}{<3><4>}}"},
      {"{{{1},{NULL}},{{2},{3}}}", "{{{<1>}{-}}{{<2>}{<3>}}}"},
      {"{{{{{{1}}}}}}", "{{{{{{<1>}}}}}}"},
      {"{(1,1),(0,0);(3,3),(2,2)}", "{<(1,1),(0,0)><(3,3),(2,2)>}", ';'},
      {"{(1,1),(0,0)}", "{<(1,1),(0,0)>}", ';'},
      {"{\xC3\xA4,\"\xE2\x82\xAC \"}", "{<\xC3\xA4><\xE2\x82\xAC >}"},
      {"{\x01\x7F}", "{<\x01\x7F>}"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(tokens(one.text, one.delimiter), one.tokens) << one.text;
  }
}

TEST(ArrayText, WhatPostgresDoesNotPrintIsRefused) {
  const std::vector<std::string> texts = {
      "",
      "{null}",
      "{1,Null}",
      "{\"a\\b\"}",
      "1",
      "{",
      "}",
      "{1",
      "{1,",
      "{1,}",
      "{,1}",
      "{,}",
      "{1}}",
      "{1} ",
      " {1}",
      "{1}2",
      "{ 1}",
      "{1, 2}",
      "{1\t}",
      "{\"a}",
      "{\"a\\",
      "{\"a\\\"}",
      "{\"a\"b}",
      "{a\"b\"}",
      "{a\\b}",
      "{a{b}",
      "{{}}",
      "{{},{}}",
      "{{1},2}",
      "{1,{2}}",
      "{{1},{2,3}}",
      "{{1,2},{3}}",
      "{{1},{{2}}}",
      "{{1}{2}}",
      "{{1},}",
      "{{1}",
      "[1:2]={1,2}",
      "{{{1}},{{}}}",
      "{{{1},{2}},{{3}}}",
      "{{1},NULL}",
      "{{{{{{{1}}}}}}}",
  };
  for (const std::string& text : texts) {
    EXPECT_THROW(tokens(text), BadValue) << text;
  }
}

TEST(ArrayText, CutAnywhereItIsRefused) {
  const std::string whole = R"({{"a\"b",NULL},{c,"{d}"}})";
  EXPECT_EQ(tokens(whole), R"({{<a"b>-}{<c><{d}>}})");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(tokens(whole.substr(0, length)), BadValue) << length;
  }
}

TEST(ArrayText, OnlyBoundsBeginWithABracket) {
  EXPECT_TRUE(ArrayText::has_bounds("[0:1]={1,2}"));
  EXPECT_TRUE(ArrayText::has_bounds("[-1:-1][2:2]={{1}}"));
  EXPECT_FALSE(ArrayText::has_bounds("{}"));
  EXPECT_FALSE(ArrayText::has_bounds(""));
}

TEST(ArrayText, AnErrorSaysWhereAndNotWhat) {
  try {
    tokens("{open,se cret}");
    FAIL();
  } catch (const BadValue& bad) {
    const std::string what = bad.what();
    EXPECT_NE(what.find("byte 8"), std::string::npos) << what;
    EXPECT_EQ(what.find("cret"), std::string::npos) << what;
  }
}

}  // namespace
}  // namespace connector
