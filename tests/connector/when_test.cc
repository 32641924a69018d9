// Times as people write them: each form, and what is none.
#include "connector/when.h"

#include <gtest/gtest.h>

#include <string>

#include "connector/record.h"

namespace connector {
namespace {

constexpr pg::Timestamp now{849'178'800'123'456};  // 2026-11-28T11:00:00.123456Z

std::string read(const std::string& text) {
  const auto time = parse_when(text, now);
  return time ? iso_time(*time) : "none";
}

TEST(When, ReadsIso8601) {
  const std::vector<std::pair<std::string, std::string>> forms = {
      {"2026-11-23T10:00:00.123456Z", "2026-11-23T10:00:00.123456Z"},
      {"2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000000Z"},
      {"2026-11-23T10:00:00.5Z", "2026-11-23T10:00:00.500000Z"},
      {"2026-11-23 10:00", "2026-11-23T10:00:00.000000Z"},
      {"2026-11-23t10:00z", "2026-11-23T10:00:00.000000Z"},
      {"2026-11-23", "2026-11-23T00:00:00.000000Z"},
      {"2026-11-23T10:00:00+02", "2026-11-23T08:00:00.000000Z"},
      {"2026-11-23T10:00:00+0530", "2026-11-23T04:30:00.000000Z"},
      {"2026-11-23T22:00:00-03:30", "2026-11-24T01:30:00.000000Z"},
      {"1999-12-31T23:59:59.999999Z", "1999-12-31T23:59:59.999999Z"},
      {"2028-02-29", "2028-02-29T00:00:00.000000Z"},
  };
  for (const auto& [text, time] : forms) EXPECT_EQ(read(text), time) << text;
}

TEST(When, ReadsHowLongAgo) {
  EXPECT_EQ(read("0 ago"), iso_time(now));
  EXPECT_EQ(read("250ms ago"), "2026-11-28T10:59:59.873456Z");
  EXPECT_EQ(read("5m ago"), "2026-11-28T10:55:00.123456Z");
  EXPECT_EQ(read("7d ago"), "2026-11-21T11:00:00.123456Z");
}

TEST(When, IsNotGuessed) {
  for (const std::string text : {"",
                                 "now",
                                 "2026",
                                 "2026-11",
                                 "2026-13-01",
                                 "2026-02-29",
                                 "2026-11-23T",
                                 "2026-11-23T10",
                                 "2026-11-23T25:00",
                                 "2026-11-23T10:60",
                                 "2026-11-23T10:00:00.",
                                 "2026-11-23T10:00:00.1234567Z",
                                 "2026-11-23T10:00:00Zx",
                                 "2026-11-23T10:00:00+2",
                                 "2026-11-23T10:00:00+02:",
                                 "26-11-23",
                                 "5 minutes ago",
                                 "ago",
                                 " ago",
                                 "0/16B3748",
                                 "-5m ago"}) {
    EXPECT_EQ(read(text), "none") << text;
  }
}

}  // namespace
}  // namespace connector
