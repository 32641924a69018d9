// Values as Debezium encodes them, against its documentation, its source, and Java's own notions of
// BigInteger.toByteArray, BitSet.toByteArray and java.time.
#include "connector/debezium_value.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connector/json_value.h"

namespace connector {
namespace {

constexpr std::uint32_t hstore = 16500;
constexpr std::uint32_t hstores = 16501;
constexpr std::uint32_t price = 16502;     // a domain over numeric(10,2)
constexpr std::uint32_t discount = 16503;  // a domain over price
constexpr std::uint32_t prices = 16504;    // price[]
constexpr std::uint32_t composite = 16505;
constexpr std::uint32_t mood = 16506;

std::optional<pg::TypeRow> look_up(pg::TypeId type) {
  const auto numeric_10_2 = static_cast<std::int32_t>(((10 << 16) | 2) + 4);
  switch (type.value) {
    case hstore: return pg::TypeRow{.hstore = true, .name = "hstore"};
    case hstores: return pg::TypeRow{.below = pg::TypeId(hstore), .array = true};
    case price:
      return pg::TypeRow{.type = 'd', .below = pg::TypeId(1700), .modifier = numeric_10_2};
    case discount: return pg::TypeRow{.type = 'd', .below = pg::TypeId(price)};
    case prices: return pg::TypeRow{.below = pg::TypeId(price), .array = true};
    case composite: return pg::TypeRow{.type = 'c', .fields = {{"a", pg::TypeId(23)}}};
    case mood: return pg::TypeRow{.type = 'e'};
    default: return std::nullopt;
  }
}

pg::TypeCatalog types(look_up);
DebeziumValues values;

std::string json(std::uint32_t type, std::int32_t modifier, const std::string& text) {
  std::string out;
  values.append(out, debezium_type(*types.shape(pg::TypeId(type)), modifier), text);
  return out;
}
std::string unavailable(std::uint32_t type) {
  std::string out;
  values.append_unavailable(out, debezium_type(*types.shape(pg::TypeId(type)), -1));
  return out;
}

std::int32_t numeric(int precision, int scale) { return ((precision << 16) | (scale & 0x7FF)) + 4; }

struct Case {
  std::uint32_t type;
  std::int32_t modifier;
  std::string text;
  std::string json;
};

void expect_all(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    try {
      EXPECT_EQ(json(one.type, one.modifier, one.text), one.json) << one.type << " " << one.text;
    } catch (const BadValue& bad) {
      ADD_FAILURE() << one.type << " " << one.text << ": " << bad.what();
    }
  }
}

TEST(DebeziumValue, PlainTypes) {
  expect_all({{16, -1, "t", "true"},
              {16, -1, "f", "false"},
              {21, -1, "-32768", "-32768"},
              {20, -1, "9223372036854775807", "9223372036854775807"},
              {26, -1, "4294967295", "4294967295"},
              {700, -1, "1.5", "1.5"},
              {701, -1, "NaN", "\"NaN\""},
              {701, -1, "-Infinity", "\"-Infinity\""},
              {25, -1, "a \"b\"", R"("a \"b\"")"},
              {1042, 9, "ab   ", R"("ab   ")"},
              {3802, -1, R"({"a": 1})", R"("{\"a\": 1}")"},
              {114, -1, "[1, 2]", "\"[1, 2]\""},
              {142, -1, "<a/>", "\"<a/>\""},
              {2950, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
               "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""},
              {869, -1, "10.0.0.1/8", "\"10.0.0.1/8\""},
              {3904, -1, "[1,6)", "\"[1,6)\""},
              {mood, -1, "so so", "\"so so\""},
              {17, -1, "\\x0001feff", "\"AAH+/w==\""},
              {17, -1, "\\x", "\"\""},
              {composite, -1, "(1)", "\"(1)\""},
              {3220, -1, "16/B374D848", "\"16/B374D848\""}});
}

TEST(DebeziumValue, DecimalsAreUnscaledBigEndianTwosComplement) {
  expect_all({{1700, numeric(12, 2), "12.30", "\"BM4=\""},   // 1230 = 04CE
              {1700, numeric(12, 2), "-12.30", "\"+zI=\""},  // FB32
              {1700, numeric(12, 2), "0.00", "\"AA==\""},
              {1700, numeric(5, 0), "127", "\"fw==\""},   // 7F
              {1700, numeric(5, 0), "128", "\"AIA=\""},   // 0080
              {1700, numeric(5, 0), "-128", "\"gA==\""},  // 80
              {1700, numeric(5, 0), "-129", "\"/38=\""},  // FF7F
              {1700, numeric(5, 0), "-1", "\"/w==\""},
              {1700, numeric(5, 0), "255", "\"AP8=\""},
              {1700, numeric(5, 0), "-256", "\"/wA=\""},     // FF00
              {1700, numeric(3, 5), "0.00123", "\"ew==\""},  // 123
              // 2^64 and its negative: 01 then eight 00; FF then eight 00.
              {1700, numeric(20, 0), "18446744073709551616", "\"AQAAAAAAAAAA\""},
              {1700, numeric(20, 0), "-18446744073709551616", "\"/wAAAAAAAAAA\""},
              // 2^63, which needs a ninth byte, and -2^63, which does not.
              {1700, numeric(19, 0), "9223372036854775808", "\"AIAAAAAAAAAA\""},
              {1700, numeric(19, 0), "-9223372036854775808", "\"gAAAAAAAAAA=\""},
              {1700, numeric(1, 0), "NaN", R"({"special":"NaN"})"},
              {price, -1, "9.90", "\"A94=\""},  // 990 = 03DE
              {discount, -1, "9.90", "\"A94=\""},
              {790, -1, "$1,234.50", "\"AeI6\""},  // 123450 = 01E23A
              {790, -1, "-$0.01", "\"/w==\""}});
}

TEST(DebeziumValue, NumericWithoutAScaleBringsItWithoutTrailingZeros) {
  expect_all({{1700, -1, "12.300", R"({"scale":1,"value":"ew=="})"},
              {1700, -1, "0.000", R"({"scale":0,"value":"AA=="})"},
              {1700, -1, "1000", R"({"scale":0,"value":"A+g="})"},
              {1700, -1, "-0.5", R"({"scale":1,"value":"+w=="})"},
              {1700, -1, "NaN", R"({"special":"NaN"})"},
              {1700, -1, "-Infinity", R"({"special":"-Infinity"})"},
              // numeric(3,-2): rounded to hundreds.
              {1700, numeric(3, -2), "12300", R"({"scale":0,"value":"MAw="})"}});
}

TEST(DebeziumValue, DatesAndTimesCountFromTheEpochAndMidnight) {
  expect_all({{1082, -1, "1970-01-01", "0"},
              {1082, -1, "2018-06-20", "17702"},
              {1082, -1, "1969-12-31", "-1"},
              {1082, -1, "2000-02-29", "11016"},
              {1082, -1, "0001-01-01", "-719162"},
              {1082, -1, "0001-12-31 BC", "-719163"},
              {1082, -1, "4714-11-24 BC", "-2440588"},    // Julian day 0
              {1082, -1, "5874897-12-31", "2145042905"},  // Postgres's last
              {1082, -1, "infinity", "-2147472692"},
              {1082, -1, "-infinity", "-2147472691"},
              {1083, -1, "10:00:00.5", "36000500000"},
              {1083, 6, "10:00:00.000001", "36000000001"},
              {1083, 3, "10:00:00.5", "36000500"},
              {1083, 0, "00:00:01", "1000"},
              {1083, -1, "24:00:00", "86400000000"},
              {1083, 3, "00:00:00", "0"}});
}

TEST(DebeziumValue, TimestampsFollowTheirPrecision) {
  // 1529507596945104 is the documentation's own example.
  expect_all({{1114, -1, "2018-06-20 15:13:16.945104", "1529507596945104"},
              {1114, 6, "2018-06-20 15:13:16.9", "1529507596900000"},
              {1114, 3, "2018-06-20 15:13:16.945", "1529507596945"},
              {1114, 0, "2018-06-20 15:13:16", "1529507596000"},
              {1114, -1, "1970-01-01 00:00:00.000001", "1"},
              {1114, -1, "1969-12-31 23:59:59.999999", "-1"},
              {1114, -1, "1969-12-31 23:59:58.5", "-1500000"},
              {1114, 3, "1969-12-31 23:59:59.5", "-500"},
              {1114, -1, "0044-03-15 12:00:00 BC", "-63517780800000000"},
              {1114, -1, "294276-12-31 23:59:59.999999", "9224318015999999999"},
              {1114, -1, "infinity", "9223372036825200000"},
              {1114, -1, "-infinity", "-9223372036832400000"},
              {1114, 3, "infinity", "9223372036825200"}});
}

TEST(DebeziumValue, ZonedTimesAreIsoStringsInUtc) {
  expect_all({{1184, -1, "2026-11-23 08:00:00.123456+00", "\"2026-11-23T08:00:00.123456Z\""},
              {1184, -1, "2026-11-23 08:00:00+00", "\"2026-11-23T08:00:00.000000Z\""},
              {1184, 3, "2026-11-23 08:00:00.5+00", "\"2026-11-23T08:00:00.500Z\""},
              {1184, 0, "2026-11-23 08:00:00+00", "\"2026-11-23T08:00:00Z\""},
              {1184, 0, "0044-03-15 12:00:00+00 BC", "\"-0043-03-15T12:00:00Z\""},
              {1184, 0, "0001-03-15 12:00:00+00 BC", "\"0000-03-15T12:00:00Z\""},
              {1184, 0, "12026-03-15 12:00:00+00", "\"+12026-03-15T12:00:00Z\""},
              {1184, -1, "infinity", "\"infinity\""},
              {1184, -1, "-infinity", "\"-infinity\""},
              {1266, -1, "10:00:00+02", "\"08:00:00Z\""},
              {1266, -1, "01:00:00.5+02", "\"23:00:00.5Z\""},
              {1266, -1, "23:00:00.000001-05:30", "\"04:30:00.000001Z\""},
              {1266, -1, "24:00:00+00", "\"24:00:00Z\""},
              {1266, -1, "24:00:00+02", "\"22:00:00Z\""},
              {1266, -1, "10:00:00+02:03:04", "\"07:56:56Z\""}});
}

TEST(DebeziumValue, IntervalsAreMicrosecondsWithAnAverageMonth) {
  expect_all({{1186, -1, "PT0S", "0"},
              {1186, -1, "PT4H5M6.7S", "14706700000"},
              {1186, -1, "P1Y2M3DT4H5M6.78S", "37091106780000"},  // 426.125 + 3 days, and the rest
              {1186, -1, "P1M", "2629800000000"},
              {1186, -1, "PT-0.000001S", "-1"},
              {1186, -1, "P-1DT0.5S", "-86399500000"},
              {1186, -1, "P-1Y-2M3DT-4H-5M-6.7S", "-36572706700000"},
              {1186, -1, "P178000000Y", "5617252800000000000000"},
              {1186, -1, "infinity", R"({"special":"infinity"})"}});
}

TEST(DebeziumValue, BitsAreLittleEndianWithoutZeroBytesAtTheEnd) {
  expect_all({{1560, 1, "1", "true"},
              {1560, 1, "0", "false"},
              {1562, 1, "1", "true"},
              {1560, 2, "11", "\"Aw==\""},
              {1560, 7, "1000000", "\"QA==\""},
              {1562, 24, "000000110000001000000001", "\"AQID\""},
              {1562, -1, "101", "\"BQ==\""},
              {1562, -1, "111011010001000110000001000000001", "\"AQIj2gE=\""},
              {1560, 16, "0000000000000001", "\"AQ==\""},
              {1562, 2, "00", "\"\""},
              {1562, -1, "", "\"\""}});
}

TEST(DebeziumValue, PointsHaveCoordinatesAndWellKnownBinary) {
  expect_all(
      {{600, -1, "(1,1)", R"({"x":1,"y":1,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAPA/","srid":null})"},
       {600, -1, "(-0.5,1e+20)",
        R"({"x":-0.5,"y":1e+20,"wkb":"AQEAAAAAAAAAAADgv0CMtXgdrxVE","srid":null})"}});
  EXPECT_NE(json(600, -1, "(NaN,Infinity)").find(R"("x":"NaN","y":"Infinity")"), std::string::npos);
}

TEST(DebeziumValue, ArraysHoldTheirElementsEncodings) {
  expect_all({{1007, -1, "{1,NULL}", "[1,null]"},
              {1007, -1, "{}", "[]"},
              {1007, -1, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
              {1007, -1, "[2:3]={1,2}", "\"[2:3]={1,2}\""},
              {1009, -1, R"({"a b",NULL,"NULL"})", R"(["a b",null,"NULL"])"},
              {1231, numeric(12, 2), "{12.30,NULL}", "[\"BM4=\",null]"},
              {1231, -1, "{12.30}", R"([{"scale":1,"value":"ew=="}])"},
              {prices, -1, "{9.90}", "[\"A94=\"]"},
              {1182, -1, "{1970-01-02}", "[1]"},
              {1185, -1, R"({"2026-11-23 08:00:00+00"})", "[\"2026-11-23T08:00:00.000000Z\"]"},
              {3807, -1, R"({"{\"a\": 1}"})", R"(["{\"a\": 1}"])"},
              {1001, -1, R"({"\\x00ff"})", "[\"AP8=\"]"},
              {hstores, -1, R"({"\"a\"=>\"1\""})", R"(["{\"a\":\"1\"}"])"}});
}

TEST(DebeziumValue, HstoreIsAStringThatHoldsJson) {
  expect_all({{hstore, -1, "", "\"{}\""},
              {hstore, -1, R"("a"=>"1", "b\"c"=>NULL)", R"("{\"a\":\"1\",\"b\\\"c\":null}")"}});
}

TEST(DebeziumValue, WhatPostgresDidNotSendIsDebeziumsPlaceholder) {
  const std::string spelt =
      "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,"
      "108,117,101]";
  for (const std::uint32_t type : {25U, 3802U, 1700U, 1562U, composite}) {
    EXPECT_EQ(unavailable(type), "\"__debezium_unavailable_value\"") << type;
  }
  EXPECT_EQ(unavailable(17), "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"");
  EXPECT_EQ(unavailable(1009), "[\"__debezium_unavailable_value\"]");
  EXPECT_EQ(unavailable(1007), spelt);
  EXPECT_EQ(unavailable(1016), spelt);
  EXPECT_EQ(unavailable(1182), spelt);
  EXPECT_EQ(unavailable(hstore),
            R"("{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}")");
}

TEST(DebeziumValue, ATextThatIsNotItsTypesIsNeverGuessedAt) {
  const std::vector<std::pair<std::uint32_t, std::string>> wrong = {
      {16, "yes"},
      {20, "1.5"},
      {1700, "1e5"},
      {1700, ""},
      {1700, "-"},
      {1700, "."},
      {1700, "1.2.3"},
      {790, "12.345"},
      {1082, "23/11/26"},
      {1082, "2026-13-01"},
      {1082, "2026-11-23 X"},
      {1083, "10:00"},
      {1083, "1:2:3.1234567"},
      {1114, "2026-11-23"},
      {1184, "2026-11-23 10:00:00+02"},
      {1266, "10:00:00"},
      {1186, "1 day"},
      {1186, "P1H"},
      {1186,
       "P"
       "T1Y"},
      {1560, "012"},
      {600, "(1)"},
      {600, "(a,b)"},
      {1007, "{1"},
      {17, "abc"},
      {hstore, "a"},
      {1186, "P9999999999999Y"}};
  for (const auto& [type, text] : wrong) {
    EXPECT_THROW(json(type, -1, text), BadValue) << type << " " << text;
  }
  EXPECT_THROW(json(1700, numeric(5, 1), "1.25"), BadValue);
}

}  // namespace
}  // namespace connector
