// The commit time in a record's text: the record's own, whatever its row holds.
#include "connector/stamps.h"

#include <gtest/gtest.h>

#include <string>

#include "connector/record.h"

namespace connector {
namespace {

std::string time_in(const std::string& text) {
  const auto time = commit_time_in(text);
  return time ? iso_time(*time) : "none";
}

TEST(CommitTime, OfARecord) {
  EXPECT_EQ(time_in(R"({"op":"insert","after":{"j":{"commit_ts":"2001-01-01T00:00:00Z"},)"
                    R"("s":"\"commit_ts\":\"2002"},"xid":1,)"
                    R"("commit_ts":"2026-11-23T10:00:00.123456Z"})"),
            "2026-11-23T10:00:00.123456Z");
}

TEST(CommitTime, OfAPackIsItsTransactions) {
  const std::string line = R"({"op":"insert","commit_ts":"2026-11-23T10:00:00.123456Z"})";
  EXPECT_EQ(time_in(line + "\n" + line), "2026-11-23T10:00:00.123456Z");
}

TEST(CommitTime, OfTheEndOfARecordThatWasCut) {
  EXPECT_EQ(time_in(R"(xxx"},"commit_ts":"2026-11-23T10:00:00.123456Z"})"),
            "2026-11-23T10:00:00.123456Z");
}

TEST(CommitTime, OfDebeziumsEnvelope) {
  EXPECT_EQ(time_in(R"({"before":null,"after":{"ts_us":1},"source":{"version":"walferry",)"
                    R"("connector":"postgresql","name":"cdc","ts_ms":1795417403042,)"
                    R"("ts_us":1795417403042693,"ts_ns":1795417403042693000},"op":"c"})"),
            "2026-11-23T07:03:23.042693Z");
  EXPECT_EQ(time_in(R"({"op":"m","source":{"version":"walferry","ts_us":0}})"), "none")
      << "a message outside a transaction";
}

TEST(CommitTime, IsNotThereInOtherTexts) {
  for (const std::string text :
       {"", "{}", "x", R"({"columns":[],"lsn":"0/1"})", R"("commit_ts":"x")",
        R"({"source":{"version":"1.9","ts_us":1795417403042693}})"}) {
    EXPECT_EQ(time_in(text), "none") << text;
  }
}

}  // namespace
}  // namespace connector
