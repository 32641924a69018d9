// What orders change of the progress of snapshots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connector/snapshot_progress.h"
#include "connector/snapshot_rate.h"

namespace connector {
namespace {

using publisher::StreamSequence;
using testing::HasSubstr;
using Action = SnapshotOrder::Action;
using State = TableSnapshot::State;
using Tables = std::vector<std::pair<std::string, std::string>>;

const std::string a = R"("public"."a")";

class SnapshotRequests : public testing::Test {
 protected:
  // Gives an order the next id, "1", "2", …, and the LSN of that number.
  std::string give(Action action, Tables tables, const std::string& where = "") {
    std::string id = std::to_string(++orders_);
    EXPECT_TRUE(progress_.take({.action = action,
                                .slot = "walferry",
                                .id = id,
                                .tables = std::move(tables),
                                .where = where},
                               pg::Lsn(orders_)));
    return id;
  }
  std::vector<SnapshotRequest> of(const std::string& id) {
    std::vector<SnapshotRequest> found;
    for (const SnapshotRequest& request : progress_.requests()) {
      if (request.id == id) found.push_back(request);
    }
    return found;
  }
  TableSnapshot& reading(const std::string& id, const std::string& table = "a") {
    return *progress_.find({id, "public", table});
  }
  TableSnapshot& first(State state, const std::string& key_of = "1 \"id\" int4 <") {
    TableSnapshot& table = progress_.tables()[a];
    table.state = state;
    table.key_of = key_of;
    table.add({.rests_on = StreamSequence(10), .rows = 1234, .after = pg::Key{"7"}});
    return table;
  }
  // One order that concerns one table, and what came of it.
  void expect_answer(const std::string& id, State state, const std::string& words) {
    const auto found = of(id);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].reading.state, state) << found[0].reading.note;
    EXPECT_THAT(found[0].reading.note, HasSubstr(words));
  }

  SnapshotProgress progress_;
  std::uint64_t orders_ = 0;
};

TEST_F(SnapshotRequests, AnOrderIsTakenOnce) {
  give(Action::snapshot, {{"public", "a"}});
  EXPECT_FALSE(progress_.take(
      {.slot = "walferry", .id = "1", .tables = {{"public", "a"}}, .where = ""}, pg::Lsn(1)));
  EXPECT_EQ(progress_.requests().size(), 1U);
  progress_ = SnapshotProgress::parse(progress_.to_json());
  EXPECT_FALSE(progress_.take(
      {.slot = "walferry", .id = "1", .tables = {{"public", "b"}}, .where = ""}, pg::Lsn(1)));
}

TEST_F(SnapshotRequests, EachTableWaitsByItselfAndOneNamedTwiceOnce) {
  const auto id = give(Action::snapshot, {{"public", "a"}, {"public", "b"}, {"public", "a"}}, "x");
  const auto found = of(id);
  ASSERT_EQ(found.size(), 2U);
  for (const auto& request : found) {
    EXPECT_EQ(request.reading.state, State::waiting);
    EXPECT_EQ(request.where, "x");
    EXPECT_FALSE(request.joined);
  }
}

TEST_F(SnapshotRequests, AllRowsOfATableThatIsBeingReadAreOneReading) {
  first(State::running);
  const auto id = give(Action::snapshot, {{"public", "a"}});
  EXPECT_EQ(of(id)[0].joined, "");
  EXPECT_EQ(of(id)[0].reading.state, State::running);
  EXPECT_EQ(progress_.reading_of(of(id)[0]).rows(), 1234U);
  const auto some = give(Action::snapshot, {{"public", "a"}}, "id > 7");
  EXPECT_FALSE(of(some)[0].joined) << "these rows are a reading of their own";
  progress_.tables().at(a).state = State::complete;
  progress_.tell_joined();
  EXPECT_EQ(of(id)[0].reading.state, State::complete);
  const auto again = give(Action::snapshot, {{"public", "a"}});
  EXPECT_FALSE(of(again)[0].joined) << "nothing of it is being read any more";
  const auto twice = give(Action::snapshot, {{"public", "a"}});
  EXPECT_EQ(of(twice)[0].joined, again);
  reading(again).stop(State::failed, "why");
  progress_.tell_joined();
  EXPECT_EQ(of(twice)[0].reading.state, State::failed);
  EXPECT_EQ(of(twice)[0].reading.note, "why");
}

TEST_F(SnapshotRequests, WhatItWasOneWithIsGoneThenItIsReadByItself) {
  first(State::running);
  const auto id = give(Action::snapshot, {{"public", "a"}});
  progress_.take_back("another stream", StreamSequence(0));
  EXPECT_FALSE(of(id)[0].joined);
  EXPECT_TRUE(of(id)[0].reading.wanted());
}

TEST_F(SnapshotRequests, PausedIsResumedWhereItWas) {
  first(State::running);
  expect_answer(give(Action::pause, {{"public", "a"}}), State::complete, "behind 1,234 rows");
  EXPECT_EQ(progress_.tables().at(a).state, State::paused);
  EXPECT_TRUE(progress_.tables().at(a).unsettled);
  EXPECT_EQ(progress_.tables().at(a).rows(), 1234U);
  expect_answer(give(Action::pause, {{"public", "a"}}), State::failed, "no snapshot of it");
  expect_answer(give(Action::resume, {{"public", "a"}}), State::complete, "behind 1,234 rows");
  EXPECT_EQ(progress_.tables().at(a).state, State::waiting);
  EXPECT_EQ(progress_.tables().at(a).rows(), 1234U);
  expect_answer(give(Action::resume, {{"public", "a"}}), State::failed, "is paused");
}

TEST_F(SnapshotRequests, CancelledRequestLeavesTheTableCompleteAsItWas) {
  first(State::complete);
  const auto asked = give(Action::snapshot, {{"public", "a"}});
  const auto some = give(Action::snapshot, {{"public", "a"}}, "true");
  reading(asked).state = State::running;
  expect_answer(give(Action::cancel, {{"public", "a"}}), State::complete, "cancelled");
  EXPECT_EQ(reading(asked).state, State::cancelled);
  EXPECT_EQ(reading(some).state, State::cancelled);
  EXPECT_TRUE(progress_.tables().at(a).state == State::complete);
  expect_answer(give(Action::resume, {{"public", "a"}}), State::failed, "is paused");
}

TEST_F(SnapshotRequests, WithoutTablesAllAreMeant) {
  first(State::running);
  const auto b = give(Action::snapshot, {{"public", "b"}});
  const auto paused = give(Action::pause, {});
  EXPECT_EQ(of(paused).size(), 2U);
  EXPECT_EQ(progress_.tables().at(a).state, State::paused);
  EXPECT_EQ(reading(b, "b").state, State::paused);
  EXPECT_EQ(of(give(Action::cancel, {})).size(), 2U);
  expect_answer(give(Action::cancel, {}), State::failed, "no snapshot is being read");
  expect_answer(give(Action::resume, {}), State::failed, "no snapshot is paused");
}

TEST_F(SnapshotRequests, NamesOfAnyKindAreFoundAgain) {
  for (const std::string name : {"a.b", "\"", "a\".\"b", ".", "*"}) {
    const SnapshotJob job{.request = "", .schema = name, .table = name + "x"};
    progress_.tables()[job.name()].state = State::running;
    expect_answer(give(Action::pause, {{name, name + "x"}}), State::complete, "paused");
    const auto cancelled = give(Action::cancel, {});
    ASSERT_EQ(of(cancelled).size(), 1U);
    EXPECT_EQ(of(cancelled)[0].schema, name);
    EXPECT_EQ(of(cancelled)[0].table, name + "x");
  }
}

TEST_F(SnapshotRequests, TableWithoutAKeyIsNotStoppedHalfWay) {
  first(State::running, "16385");
  for (const Action action : {Action::pause, Action::cancel}) {
    expect_answer(give(action, {{"public", "a"}}), State::failed, "has no key");
    EXPECT_EQ(progress_.tables().at(a).state, State::running);
  }
  progress_.tables().at(a).state = State::waiting;
  expect_answer(give(Action::cancel, {{"public", "a"}}), State::complete, "cancelled");
}

TEST_F(SnapshotRequests, TooManyAreRefusedAndTheRestGoesOn) {
  Tables many;
  for (int i = 0; i < 501; ++i) many.emplace_back("public", std::to_string(i));
  const auto id = give(Action::snapshot, many);
  expect_answer(id, State::failed, "too much");
  expect_answer(give(Action::snapshot, {{"public", "a"}}, std::string(70'000, 'x')), State::failed,
                "too much");
  EXPECT_EQ(of(give(Action::snapshot, {{"public", "a"}}))[0].reading.state, State::waiting);
}

TEST_F(SnapshotRequests, AnswersAboutManyTablesAreOne) {
  Tables many;
  for (int i = 0; i < 60; ++i) many.emplace_back("public", std::to_string(i));
  const auto asked = give(Action::snapshot, many);
  expect_answer(give(Action::pause, {}), State::complete, "60 tables");
  EXPECT_EQ(reading(asked, "59").state, State::paused);
  many.emplace_back("public", "none");
  expect_answer(give(Action::resume, many), State::failed,
                R"(61 tables, one of them "public"."none")");
  EXPECT_EQ(reading(asked, "59").state, State::waiting);
}

TEST_F(SnapshotRequests, OnlyWhatIsOverAndCannotComeAgainIsForgotten) {
  for (int i = 0; i < 40; ++i) {
    const auto id = give(Action::snapshot, {{"public", "a"}}, "true");
    reading(id).stop(State::cancelled, "");
  }
  reading("3").state = State::waiting;
  reading("4").add({.rests_on = StreamSequence(100), .rows = 1, .after = std::nullopt});
  reading("5").unsettled = true;
  progress_.forget(pg::Lsn(8), StreamSequence(99));
  std::vector<std::string> left;
  for (const auto& request : progress_.requests()) left.push_back(request.id);
  EXPECT_EQ(left.size(), 40U - 5) << "1, 2, 6, 7 and 8";
  EXPECT_EQ((std::vector<std::string>(left.begin(), left.begin() + 4)),
            (std::vector<std::string>{"3", "4", "5", "9"}));
  progress_.forget(pg::Lsn(1000), StreamSequence(1000));
  EXPECT_EQ(progress_.requests().size(), 20U + 1) << "the last ones, and what waits";
}

TEST_F(SnapshotRequests, ShorterStreamTakesBackRequestsAndThoseThatAreOneWithThem) {
  first(State::complete);
  const auto asked = give(Action::snapshot, {{"public", "a"}});
  const auto joined = give(Action::snapshot, {{"public", "a"}});
  reading(asked).add({.rests_on = StreamSequence(20), .rows = 5, .after = pg::Key{"5"}});
  reading(asked).add({.rests_on = StreamSequence(30), .rows = 9, .after = std::nullopt});
  reading(asked).state = State::complete;
  progress_.tell_joined();
  progress_.stream_created = "then";
  ASSERT_TRUE(progress_.take_back("then", StreamSequence(25)));
  EXPECT_EQ(reading(asked).state, State::running);
  EXPECT_EQ(reading(asked).rows(), 5U);
  EXPECT_EQ(of(joined)[0].reading.state, State::running);
  EXPECT_TRUE(progress_.tables().at(a).state == State::complete) << "it rests on less";
}

TEST_F(SnapshotRequests, WhatWasStoppedMayHaveRowsBehindUntilItIsSettled) {
  TableSnapshot& table = first(State::running);
  table.stop(State::failed, "gone");
  EXPECT_TRUE(progress_.may_have_rows_behind(StreamSequence(1000)));
  EXPECT_TRUE(progress_.settle(StreamSequence(40)));
  EXPECT_FALSE(progress_.settle(StreamSequence(50)));
  EXPECT_FALSE(progress_.may_have_rows_behind(StreamSequence(40)));
  EXPECT_TRUE(progress_.may_have_rows_behind(StreamSequence(39)));
  EXPECT_EQ(table.rows(), 1234U);
  EXPECT_EQ(table.steps.back().after, pg::Key{"7"});
  progress_.take_back(progress_.stream_created, StreamSequence(39));
  EXPECT_EQ(table.state, State::failed) << "it was not complete";
}

TEST_F(SnapshotRequests, ReadWhatTheyWrite) {
  first(State::paused).about = 5000;
  const auto id = give(Action::snapshot, {{"public", "a"}, {"public", "ü\""}}, "v <> '\"'");
  reading(id).rate = 7;
  reading(id).whole = TableSnapshot::Whole{
      .mark = pg::Lsn(0x100), .wal_end = pg::Lsn(0x200), .sees = *pg::Visibility::parse("5:9:6")};
  give(Action::snapshot, {{"public", "a"}});
  give(Action::cancel, {{"public", "none"}});
  progress_.secret = "s";
  progress_.whole_changed();
  const SnapshotProgress again = SnapshotProgress::parse(progress_.to_json());
  EXPECT_EQ(again.tables(), progress_.tables());
  EXPECT_EQ(again.requests(), progress_.requests());
  EXPECT_EQ(again.secret, "s");
  EXPECT_TRUE(again.contains(a, pg::Lsn(0x150), pg::TransactionId(5))) << "a request's counts too";
}

TEST(SnapshotProgress, OfVersionOneIsRead) {
  const auto old = SnapshotProgress::parse(
      R"({"version":1,"stream_created":"c","tables":{"\"public\".\"a\"":{"state":"running",)"
      R"("key_of":"1 k","steps":[{"seq":3,"rows":2,"after":["2"]}]},)"
      R"("\"public\".\"b\"":{"state":"complete","steps":[{"seq":4,"rows":9}]}}})");
  EXPECT_EQ(old.tables().at(a).state, State::running);
  EXPECT_EQ(old.tables().at(a).rows(), 2U);
  EXPECT_TRUE(old.tables().at(R"("public"."b")").state == State::complete);
  EXPECT_TRUE(old.requests().empty());
}

TEST(SnapshotProgress, OfManyTablesStaysBelowWhatAMessageTakes) {
  SnapshotProgress progress;
  constexpr std::uint64_t tables = 5000;
  for (std::uint64_t i = 0; i < tables; ++i) {
    TableSnapshot& table =
        progress.tables()["\"public\".\"a table with a name " + std::to_string(i) + "\""];
    table.key_of = "16385 \"id\" integer OPERATOR(pg_catalog.<)";
    for (std::uint64_t step = 1; step <= 12; ++step) {
      table.add({.rests_on = StreamSequence(i * 100 + step),
                 .rows = step,
                 .after = pg::Key{std::string(100, 'k')}});
    }
    table.state = State::complete;
  }
  progress.thin();
  EXPECT_LT(progress.to_json().size(), 1'000'000U);
  // The stream's end is what it can lose.
  ASSERT_TRUE(progress.take_back("", StreamSequence((tables - 1) * 100 + 5)));
  const auto& tables_now = progress.tables();
  const auto& newest = tables_now.at("\"public\".\"a table with a name 4999\"");
  EXPECT_EQ(newest.state, State::running);
  EXPECT_EQ(newest.rows(), 5U);
  EXPECT_FALSE(newest.key_of.empty());
  const auto& old = tables_now.at("\"public\".\"a table with a name 7\"");
  EXPECT_EQ(old.state, State::complete);
  EXPECT_EQ(old.rows(), 12U);
}

TEST(SnapshotProgress, WhatSnapshotsContainIsDroppedOnceWalBeforeItIsNotReadAgain) {
  SnapshotProgress progress;
  TableSnapshot& table = progress.tables()[a];
  table.whole = TableSnapshot::Whole{
      .mark = pg::Lsn(0x100), .wal_end = pg::Lsn(0x200), .sees = *pg::Visibility::parse("5:9:6")};
  progress.whole_changed();
  EXPECT_FALSE(progress.drop_whole_before(pg::Lsn()));
  EXPECT_FALSE(progress.drop_whole_before(pg::Lsn(0x200)));
  EXPECT_TRUE(progress.contains_any(pg::Lsn(0x200)));
  EXPECT_TRUE(progress.drop_whole_before(pg::Lsn(0x201)));
  EXPECT_FALSE(progress.contains_any(pg::Lsn(0x150)));
  EXPECT_FALSE(progress.contains(a, pg::Lsn(0x150), pg::TransactionId(5)));
}

TEST(TableSnapshot, ShareAndTimeLeftAreWhatIsKnown) {
  TableSnapshot table;
  EXPECT_FALSE(table.share());
  table.about = 1000;
  table.add({.rests_on = StreamSequence(1), .rows = 250, .after = std::nullopt});
  EXPECT_DOUBLE_EQ(*table.share(), 0.25);
  EXPECT_FALSE(table.seconds_left()) << "at no rate";
  table.rate = 50;
  EXPECT_DOUBLE_EQ(*table.seconds_left(), 15);
  table.state = State::paused;
  EXPECT_FALSE(table.seconds_left());
  table.state = State::running;
  table.steps.back().rows = 5000;
  EXPECT_LT(*table.share(), 1) << "it is not complete";
  table.state = State::complete;
  EXPECT_DOUBLE_EQ(*table.share(), 1);
}

TEST(SnapshotRate, IsOfTheLastWhile) {
  using std::chrono::seconds;
  SnapshotRate rate;
  const auto start = SnapshotRate::Clock::now();
  rate.begin(1000, start);
  EXPECT_EQ(rate.at(1000, start), 0U);
  EXPECT_EQ(rate.at(1500, start + seconds(5)), 100U);
  EXPECT_EQ(rate.at(2000, start + seconds(10)), 100U);
  EXPECT_EQ(rate.at(2010, start + seconds(20)), 1U) << "slower since";
  rate.begin(2010, start + seconds(1000));
  EXPECT_EQ(rate.at(2110, start + seconds(1001)), 100U) << "the pause does not count";
}

}  // namespace
}  // namespace connector
