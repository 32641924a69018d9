#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "connector/status.h"

namespace connector {
namespace {

using testing::HasSubstr;
using testing::Not;

StatusReport running() {
  StatusReport report;
  report.server = "host=db dbname=app";
  report.version = "PostgreSQL 15.18";
  report.wal_end = pg::Lsn(0x2000);
  report.slot_name = "walferry";
  report.slot = pg::SlotInfo{};
  report.slot->active = true;
  report.slot->active_pid = 42;
  report.slot->confirmed = pg::Lsn(0x1000);
  report.slot->restart = pg::Lsn(0x800);
  report.slot->wal_status = "reserved";
  report.slot->retained_bytes = 0x1800;
  report.nats_url = "nats://127.0.0.1:4222";
  report.stream_name = "CDC";
  report.stream = publisher::StreamInfo{};
  report.stream->created = "2026-11-23T06:17:10.985945123Z";
  report.stream->first = publisher::StreamSequence(2);
  report.stream->last = publisher::StreamSequence(1235);
  report.stream->messages = 1234;
  report.stream->bytes = 2048;
  report.last = LastRecord{.sequence = publisher::StreamSequence(1235),
                           .position = pg::Position{pg::Lsn(0x1C00), 3},
                           .commit_ts = "2026-11-23T10:00:00.123456Z",
                           .age_seconds = 61.0};
  report.saved = SavedPosition{};
  report.saved->last = publisher::StreamSequence(1200);
  report.saved->confirmed = pg::Lsn(0x1100);
  return report;
}

TEST(StatusReport, LagReachesFromWhatIsSurelyStoredToTheServersEnd) {
  StatusReport report = running();
  EXPECT_EQ(report.lag_bytes(), 0x400U);  // behind the last record
  report.slot->confirmed = pg::Lsn(0x1F00);
  EXPECT_EQ(report.lag_bytes(), 0x100U) << "other tables' WAL was confirmed beyond it";
  report.slot->confirmed = pg::Lsn(0x3000);
  EXPECT_EQ(report.lag_bytes(), 0U) << "the server's end was asked a moment earlier";
}

TEST(StatusReport, LagIsUnknownWhileOneSideIs) {
  StatusReport report = running();
  report.wal_end = pg::Lsn();
  EXPECT_EQ(report.lag_bytes(), std::nullopt);
  report = running();
  report.slot.reset();
  report.last.reset();
  report.saved.reset();
  EXPECT_EQ(report.lag_bytes(), std::nullopt);
}

TEST(StatusText, ShowsBothSides) {
  const std::string text = status_text(running(), {});
  for (const char* words :
       {"running (its session has pid 42)", "1.0 KiB of WAL at most", "PostgreSQL 15.18", "0/2000",
        "0/1000, 4.0 KiB behind the server", "holds 6.0 KiB of WAL",
        "never (max_slot_wal_keep_size is unlimited)", "CDC, 1,234 messages, 2.0 KiB", "2 to 1235",
        "created           2026-11-23T06:17:10Z",
        "0/1C00:3, committed 2026-11-23T10:00:00Z, 1 min 1 s ago",
        "message 1,200, confirmed 0/1100"}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
}

StatusReport reading() {
  StatusReport report = running();
  report.snapshots = SnapshotProgress();
  auto& tables = report.snapshots->tables();
  tables[R"("public"."done")"].state = TableSnapshot::State::complete;
  tables[R"("public"."later")"].state = TableSnapshot::State::waiting;
  TableSnapshot& now = tables[R"("public"."now")"];
  now.about = 1000;
  now.rate = 50;
  now.add({.rests_on = publisher::StreamSequence(1), .rows = 250, .after = std::nullopt});
  report.snapshots->take(
      {.slot = "walferry", .id = "7f", .tables = {{"public", "done"}}, .where = "id > 7"},
      pg::Lsn(1));
  return report;
}

TEST(StatusText, ShowsHowFarSnapshotsAre) {
  const std::string text = status_text(reading(), {});
  for (const char* words :
       {"1 table complete, 1 to be read", "public.now",
        "250 of about 1,000 rows (25 %), 50 a second, 15 s left", "asked for: waiting"}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
}

TEST(StatusJson, ShowsHowFarSnapshotsAre) {
  const auto shown = nlohmann::json::parse(status_json(reading(), true)).at("snapshots");
  ASSERT_EQ(shown.size(), 4U);
  EXPECT_EQ(shown[0].at("state"), "complete");
  EXPECT_EQ(shown[0].at("percent"), 100);
  EXPECT_EQ(shown[1].at("state"), "waiting");
  EXPECT_EQ(shown[1].at("percent"), nullptr);
  EXPECT_EQ(shown[2], (nlohmann::json{{"table", "public.now"},
                                      {"state", "running"},
                                      {"rows", 250},
                                      {"percent", 25},
                                      {"rows_per_second", 50},
                                      {"seconds_left", 15}}));
  EXPECT_EQ(shown[3].at("request"), "7f");
  EXPECT_EQ(shown[3].at("where"), "id > 7");
}

TEST(StatusText, ShowsMarksAndWhatTheyHold) {
  StatusReport report = running();
  Mark mark{.name = "a", .slot = "walferry_mark_a", .info = {}};
  mark.info.confirmed = pg::Lsn(0x800);
  mark.info.retained_bytes = 3072;
  mark.info.wal_status = "reserved";
  report.marks = {mark};
  EXPECT_THAT(status_text(report, {}), HasSubstr("mark       a at 0/800, holds 3.0 KiB of WAL"));
  const auto json = nlohmann::json::parse(status_json(report, false));
  EXPECT_EQ(json.at("marks").at(0).at("lsn"), "0/800");
  EXPECT_EQ(json.at("marks").at(0).at("retained_bytes"), 3072);
  report.marks[0].info.wal_status = "lost";
  EXPECT_THAT(status_text(report, {}), HasSubstr("a was invalidated"));
}

TEST(StatusText, SaysWhatIsNotThere) {
  StatusReport report = running();
  report.slot.reset();
  report.stream.reset();
  report.last.reset();
  report.saved.reset();
  const std::string text = status_text(report, {});
  EXPECT_THAT(text, HasSubstr("not running"));
  EXPECT_THAT(text, HasSubstr("walferry does not exist"));
  EXPECT_THAT(text, HasSubstr("CDC does not exist"));
}

TEST(StatusText, OfASideThatCannotBeAskedShowsTheOther) {
  StatusReport report = running();
  report.slot.reset();
  report.postgres_error = "connection refused";
  const std::string text = status_text(report, {});
  EXPECT_THAT(text, HasSubstr("cannot be asked: connection refused"));
  EXPECT_THAT(text, HasSubstr("CDC, 1,234 messages"));
  EXPECT_THAT(text, Not(HasSubstr("not running"))) << "nobody knows";
}

TEST(StatusJson, HasRawNumbersUnderStableNames) {
  const auto json = nlohmann::json::parse(status_json(running(), false));
  EXPECT_EQ(json.at("running"), true);
  EXPECT_EQ(json.at("lag_bytes"), 0x400);
  EXPECT_EQ(json.at("lag_seconds"), 61.0);
  EXPECT_EQ(json.at("postgres").at("wal_lsn"), "0/2000");
  EXPECT_EQ(json.at("slot").at("active_pid"), 42);
  EXPECT_EQ(json.at("slot").at("confirmed_lsn"), "0/1000");
  EXPECT_EQ(json.at("slot").at("safe_wal_bytes"), nullptr);
  EXPECT_EQ(json.at("stream").at("messages"), 1234);
  EXPECT_EQ(json.at("stream").at("leader"), nullptr);
  EXPECT_EQ(json.at("last_record").at("position"), "0000000000001C00:3");
  EXPECT_EQ(json.at("saved").at("last_seq"), 1200);
}

TEST(StatusJson, OfASideThatCannotBeAskedIsNullAndSaysWhy) {
  StatusReport report = running();
  report.stream.reset();
  report.last.reset();
  report.saved.reset();
  report.nats_error = "no answer";
  const auto json = nlohmann::json::parse(status_json(report, false));
  EXPECT_EQ(json.at("nats"), (nlohmann::json{{"reachable", false}, {"error", "no answer"}}));
  EXPECT_EQ(json.at("stream"), nullptr);
  EXPECT_EQ(json.at("slot").at("exists"), true);
}

TEST(StatusJson, OnOneLineIsOneLine) {
  const std::string line = status_json(running(), true);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

}  // namespace
}  // namespace connector
