#include "connector/subject.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace connector {
namespace {

TEST(Subject, PlainNamesStayAsTheyAre) {
  EXPECT_EQ(escape_token("orders"), "orders");
  EXPECT_EQ(escape_token("AZaz09_-"), "AZaz09_-");
  EXPECT_EQ(escape_token("_leading"), "_leading");
}

TEST(Subject, EverythingElseIsEscapedByteByByte) {
  EXPECT_EQ(escape_token("a.b"), "a%2Eb");
  EXPECT_EQ(escape_token("*"), "%2A");
  EXPECT_EQ(escape_token(">"), "%3E");
  EXPECT_EQ(escape_token("100%"), "100%25");
  EXPECT_EQ(escape_token(" \t\r\n"), "%20%09%0D%0A");
  EXPECT_EQ(escape_token("é"), "%C3%A9");
  EXPECT_EQ(escape_token(std::string("\0$\x7f\xff", 4)), "%00%24%7F%FF");
}

TEST(Subject, AnEmptyOneIsAToken) {
  EXPECT_EQ(escape_token(""), "%");
  EXPECT_EQ(escape_schema(""), "%");
}

TEST(Subject, ASchemasLeadingUnderscoreIsEscaped) {
  EXPECT_EQ(escape_schema("_message"), "%5Fmessage");
  EXPECT_EQ(escape_schema("_"), "%5F");
  EXPECT_EQ(escape_schema("__"), "%5F_");
  EXPECT_EQ(escape_schema("a_b"), "a_b");
  EXPECT_EQ(escape_schema("a.b"), "a%2Eb");
}

// All names of up to two bytes: no two share a token, and none is more than one token.
TEST(Subject, IsInjectiveAndAlwaysOneToken) {
  std::set<std::string> tokens;
  std::set<std::string> schemas;
  std::size_t names = 0;
  const auto add = [&](const std::string& name) {
    const std::string token = escape_token(name);
    EXPECT_EQ(token.find_first_of(".*> \t\r\n$"), std::string::npos) << name;
    EXPECT_FALSE(token.empty());
    EXPECT_EQ(unescape_token(token), name);
    tokens.insert(token);
    const std::string schema = escape_schema(name);
    EXPECT_NE(schema.front(), '_') << name;
    schemas.insert(schema);
    ++names;
  };
  add("");
  for (int a = 0; a < 256; ++a) {
    add(std::string(1, static_cast<char>(a)));
    for (int b = 0; b < 256; ++b) add({static_cast<char>(a), static_cast<char>(b)});
  }
  EXPECT_EQ(tokens.size(), names);
  EXPECT_EQ(schemas.size(), names);
}

}  // namespace
}  // namespace connector
