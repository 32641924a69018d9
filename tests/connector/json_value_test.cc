#include "connector/json_value.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace connector {
namespace {

std::string json(JsonKind kind, std::string_view text) {
  std::string out;
  append_json_value(out, kind, text);
  return out;
}

std::string as_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonValue, KindsOfPostgresTypes) {
  const std::vector<std::pair<unsigned, JsonKind>> kinds = {
      {16, JsonKind::boolean},   {20, JsonKind::number},      {21, JsonKind::number},
      {23, JsonKind::number},    {26, JsonKind::number},      {700, JsonKind::floating},
      {701, JsonKind::floating}, {114, JsonKind::json},       {3802, JsonKind::json},
      {17, JsonKind::bytes},     {1114, JsonKind::timestamp}, {1184, JsonKind::timestamptz},
      {1700, JsonKind::string},  {25, JsonKind::string},      {1082, JsonKind::string},
      {2950, JsonKind::string},  {790, JsonKind::string},     {16400, JsonKind::string}};
  for (const auto& [type, kind] : kinds) EXPECT_EQ(kind_of(pg::TypeId(type)), kind) << type;
}

TEST(JsonValue, Booleans) {
  EXPECT_EQ(json(JsonKind::boolean, "t"), "true");
  EXPECT_EQ(json(JsonKind::boolean, "f"), "false");
  for (const char* bad : {"", "true", "T", "1"}) {
    EXPECT_THROW(json(JsonKind::boolean, bad), BadValue) << bad;
  }
}

TEST(JsonValue, IntegersAreExact) {
  for (const char* text : {"0", "-1", "9223372036854775807", "-9223372036854775808"}) {
    EXPECT_EQ(json(JsonKind::number, text), text);
  }
  for (const char* bad : {"", "-", "1.0", "1e3", "+1", " 1", "1 ", "0x1", "--1", "NaN"}) {
    EXPECT_THROW(json(JsonKind::number, bad), BadValue) << bad;
  }
}

TEST(JsonValue, FloatsAsPostgresPrintsThem) {
  for (const char* text : {"0", "-0", "0.1", "1e+300", "-1.5e-300", "123456.78"}) {
    EXPECT_EQ(json(JsonKind::floating, text), text);
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
  for (const char* text : {"NaN", "Infinity", "-Infinity"}) {
    EXPECT_EQ(json(JsonKind::floating, text), "\"" + std::string(text) + "\"");
  }
  for (const char* bad : {"", "1,5", "1 ", "-inf", "1}"}) {
    EXPECT_THROW(json(JsonKind::floating, bad), BadValue) << bad;
  }
}

TEST(JsonValue, JsonLosesWhiteSpaceOutsideStringsOnly) {
  EXPECT_EQ(json(JsonKind::json, "{ \"a b\" :\n\t[ 1 ,\r\n 2.50 ] }"), R"({"a b":[1,2.50]})");
  EXPECT_EQ(json(JsonKind::json, R"( "x \" y"  )"), R"("x \" y")");
  EXPECT_EQ(json(JsonKind::json, R"(["a\\" , "b c"])"), R"(["a\\","b c"])");
  EXPECT_EQ(json(JsonKind::json, R"(["\\\" , " , 1])"), R"(["\\\" , ",1])");
  EXPECT_EQ(json(JsonKind::json, R"({"ä €" : "😀 \u00e4"})"), R"({"ä €":"😀 \u00e4"})");
  EXPECT_EQ(json(JsonKind::json, R"({"a":1, "a":2})"), R"({"a":1,"a":2})");
  for (const char* scalar : {"null", "true", "-1.50e+2", "\"s\"", "12345678901234567890.10"}) {
    EXPECT_EQ(json(JsonKind::json, scalar), scalar);
  }
  EXPECT_THROW(json(JsonKind::json, "\"\xFF\""), BadValue);
}

TEST(JsonValue, BytesAreBase64) {
  EXPECT_EQ(json(JsonKind::bytes, "\\x"), R"("")");
  EXPECT_EQ(json(JsonKind::bytes, "\\x66"), R"("Zg==")");  // the vectors of RFC 4648
  EXPECT_EQ(json(JsonKind::bytes, "\\x666f"), R"("Zm8=")");
  EXPECT_EQ(json(JsonKind::bytes, "\\x666f6f"), R"("Zm9v")");
  EXPECT_EQ(json(JsonKind::bytes, "\\x666f6f626172"), R"("Zm9vYmFy")");
  EXPECT_EQ(json(JsonKind::bytes, "\\x00fbff"), R"("APv/")");
  for (const char* bad : {"", "\\", "x66", "\\x6", "\\x6g", "\\x6G", "\\xFF", "abc\\141"}) {
    EXPECT_THROW(json(JsonKind::bytes, bad), BadValue) << bad;
  }
}

// Longer than any buffer inside, and of every remainder.
TEST(JsonValue, LongBytesHaveNoSeam) {
  for (const std::size_t size : {767U, 768U, 769U, 1535U, 1536U, 1537U, 100'000U}) {
    std::string hex = "\\x";
    for (std::size_t i = 0; i < size; ++i) hex += "00";
    std::string wanted((size + 2) / 3 * 4, 'A');
    const std::size_t padding = (3 - size % 3) % 3;
    wanted.replace(wanted.size() - padding, padding, std::string(padding, '='));
    EXPECT_EQ(json(JsonKind::bytes, hex), "\"" + wanted + "\"") << size;
  }
}

TEST(JsonValue, Timestamps) {
  EXPECT_EQ(json(JsonKind::timestamp, "2026-11-23 10:00:00"), R"("2026-11-23T10:00:00")");
  EXPECT_EQ(json(JsonKind::timestamp, "2\x16\" 1"), R"("2\u0016\"T1")");  // JSON whatever comes
  EXPECT_EQ(json(JsonKind::timestamp, "2026-11-23 10:00:00.5"), R"("2026-11-23T10:00:00.5")");
  EXPECT_EQ(json(JsonKind::timestamptz, "2026-11-23 10:00:00.123456+00"),
            R"("2026-11-23T10:00:00.123456Z")");
  EXPECT_EQ(json(JsonKind::timestamptz, "294276-12-31 23:59:59+00"), R"("294276-12-31T23:59:59Z")");
}

TEST(JsonValue, InfinityAndBeforeChristStayAsPostgresPrintsThem) {
  for (const char* text :
       {"infinity", "-infinity", "0044-03-15 12:00:00 BC", "4713-01-01 00:00:00+00 BC"}) {
    EXPECT_EQ(json(JsonKind::timestamp, text), "\"" + std::string(text) + "\"");
    EXPECT_EQ(json(JsonKind::timestamptz, text), "\"" + std::string(text) + "\"");
  }
}

// Wherever it stands among those that are looked at eight at a time.
TEST(JsonValue, EveryByteBelowAsciiDeleteComesBack) {
  for (int c = 0; c < 0x80; ++c) {
    for (std::size_t at = 0; at < 20; ++at) {
      std::string text(20, 'a');
      text[at] = static_cast<char>(c);
      const std::string out = as_string(text);
      ASSERT_EQ(nlohmann::json::parse(out).get<std::string>(), text) << c << " at " << at;
      for (const char written : out) ASSERT_GE(written, ' ') << c << " at " << at;
    }
  }
}

TEST(JsonValue, EscapesAreTheShortOnesWhereThereAreAny) {
  EXPECT_EQ(as_string("\"\\\n\r\t\b\f/"), R"("\"\\\n\r\t\b\f/")");
  EXPECT_EQ(as_string(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(as_string(""), R"("")");
  EXPECT_EQ(as_string("ä€😀"), "\"ä€😀\"");
}

// The edges of Unicode's table 3-7, "Well-Formed UTF-8 Byte Sequences".
TEST(JsonValue, WellFormedUtf8Passes) {
  for (const char* text : {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xE0\xBF\xBF", "\xEC\xBF\xBF",
                           "\xED\x80\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
                           "\xF0\x90\x80\x80", "\xF3\xBF\xBF\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(as_string(text), "\"" + std::string(text) + "\"");
    const std::string within = "abcdef" + std::string(text) + "abcdefgh";
    EXPECT_EQ(as_string(within), "\"" + within + "\"");
  }
}

TEST(JsonValue, IllFormedUtf8IsAnErrorWhereverItStands) {
  for (const char* bad : {"\x80",
                          "\xBF",
                          "\xC0\x80",
                          "\xC1\xBF",
                          "\xC2",
                          "\xC2\x7F",
                          "\xC2\xC0",
                          "\xE0\x9F\xBF",
                          "\xE1\x80",
                          "\xE1\x80\x7F",
                          "\xED\xA0\x80",
                          "\xED\xBF\xBF",
                          "\xF0\x8F\xBF\xBF",
                          "\xF0\x90\x80",
                          "\xF1\x80\x80\xC0",
                          "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80",
                          "\xF8\x88\x80\x80\x80",
                          "\xFE",
                          "\xFF"}) {
    EXPECT_THROW(as_string(bad), BadValue);
    EXPECT_THROW(as_string("abc" + std::string(bad)), BadValue);
    EXPECT_THROW(as_string("abcdef" + std::string(bad) + "abcdefgh"), BadValue);
    EXPECT_THROW(as_string(std::string(bad) + "abc"), BadValue);
    EXPECT_THROW(json(JsonKind::json, "\"" + std::string(bad) + "\""), BadValue);
    EXPECT_THROW(json(JsonKind::timestamp, bad), BadValue);
  }
}

TEST(JsonValue, ErrorsSayNoValue) {
  for (const JsonKind kind : {JsonKind::string, JsonKind::boolean, JsonKind::number,
                              JsonKind::floating, JsonKind::json, JsonKind::bytes}) {
    try {
      json(kind, "1secret\xFF");
      FAIL();
    } catch (const BadValue& bad) {
      EXPECT_EQ(std::string(bad.what()).find("secret"), std::string::npos) << bad.what();
    }
  }
}

}  // namespace
}  // namespace connector
