#include "connector/snapshot_progress.h"

#include <gtest/gtest.h>

#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

SnapshotStep step(std::uint64_t sequence, std::uint64_t rows, const char* after) {
  return {.rests_on = StreamSequence(sequence), .rows = rows, .after = pg::Key{after, "ü\n"}};
}

SnapshotProgress two_tables() {
  SnapshotProgress progress;
  progress.stream_created = "then";
  TableSnapshot& running = progress.tables()[R"("public"."running")"];
  running.add(step(10, 5, "e"));
  running.add(step(20, 9, "i"));
  TableSnapshot& whole = progress.tables()[R"("public"."whole")"];
  whole.add({.rests_on = StreamSequence(30), .rows = 7, .after = std::nullopt});
  whole.state = TableSnapshot::State::complete;
  whole.whole = TableSnapshot::Whole{
      .mark = pg::Lsn(0x100), .wal_end = pg::Lsn(0x200), .sees = *pg::Visibility::parse("5:9:6")};
  progress.whole_changed();
  return progress;
}

TEST(SnapshotProgress, ReadsWhatItWrites) {
  const SnapshotProgress progress = two_tables();
  const SnapshotProgress again = SnapshotProgress::parse(progress.to_json());
  EXPECT_EQ(again.tables(), progress.tables());
  EXPECT_EQ(again.stream_created, "then");
  EXPECT_TRUE(again.contains_any(pg::Lsn(0x200)));
  EXPECT_FALSE(again.contains_any(pg::Lsn(0x201)));
}

TEST(SnapshotProgress, RefusesWhatItDidNotWrite) {
  for (const char* text :
       {"", "{}", R"({"version":3,"stream_created":"","tables":{}})",
        R"({"version":1,"stream_created":"","tables":{"t":{"state":"odd","steps":[]}}})"}) {
    EXPECT_THROW(SnapshotProgress::parse(text), Stop) << text;
  }
}

TEST(SnapshotProgress, ShorterStreamTakesBackWhatRestedOnTheRest) {
  SnapshotProgress progress = two_tables();
  EXPECT_FALSE(progress.take_back("then", StreamSequence(30)));
  EXPECT_TRUE(progress.take_back("then", StreamSequence(15)));
  EXPECT_EQ(progress.tables().at(R"("public"."running")").rows(), 5U);
  const TableSnapshot& whole = progress.tables().at(R"("public"."whole")");
  EXPECT_EQ(whole.state, TableSnapshot::State::running);
  EXPECT_FALSE(progress.contains_any(pg::Lsn(0x150)));
}

TEST(SnapshotProgress, AnotherStreamHasNothing) {
  SnapshotProgress progress = two_tables();
  EXPECT_TRUE(progress.take_back("later", StreamSequence(100)));
  EXPECT_TRUE(progress.tables().empty());
  EXPECT_EQ(progress.stream_created, "later");
}

TEST(SnapshotProgress, WholeTableContainsWhatItsSnapshotSeesUpToItsEnd) {
  const SnapshotProgress progress = two_tables();
  const std::string whole = R"("public"."whole")";
  const auto contains = [&](std::uint64_t lsn, std::uint32_t xid) {
    return progress.contains(whole, pg::Lsn(lsn), pg::TransactionId(xid));
  };
  EXPECT_TRUE(contains(0x150, 5));
  EXPECT_FALSE(contains(0x150, 6)) << "was running";
  EXPECT_FALSE(contains(0x150, 9));
  EXPECT_TRUE(contains(0x100, 4)) << "right behind the mark";
  EXPECT_FALSE(contains(0xFF, 4)) << "published before the mark";
  EXPECT_FALSE(contains(0x201, 4)) << "an id that was used again";
  EXPECT_FALSE(progress.contains(R"("public"."running")", pg::Lsn(0x150), pg::TransactionId(5)));
}

TEST(SnapshotProgress, OldStepsAreThinnedAndTheNewestStay) {
  TableSnapshot table;
  for (std::uint64_t i = 1; i <= 10'000; ++i) table.add(step(i, i, "k"));
  ASSERT_LE(table.steps.size(), 12U);
  EXPECT_EQ(table.steps.back().rests_on.value, 10'000U);
  EXPECT_GE(table.steps[table.steps.size() - 2].rests_on.value, 9'990U);
  EXPECT_LE(table.steps.front().rests_on.value, 9'000U) << "something to go back to";
}

TEST(SnapshotProgress, RowsMayStandBehindWhatIsNotComplete) {
  SnapshotProgress progress = two_tables();
  EXPECT_TRUE(progress.may_have_rows_behind(StreamSequence(50)));
  progress.tables().erase(R"("public"."running")");
  EXPECT_FALSE(progress.may_have_rows_behind(StreamSequence(30)));
  EXPECT_TRUE(progress.may_have_rows_behind(StreamSequence(29)));
}

}  // namespace
}  // namespace connector
