// What comes between a request for a snapshot and its end: a crash at each step, a table that is
// dropped, altered, or no more configured, and one without a key.
#include "tests/scenarios/snapshot_verb_rig.h"

namespace scenarios {
namespace {

TEST_F(SnapshotVerb, KilledBetweenReadingTheRequestAndTakingItTakesItOnce) {
  fill_t(250);
  start();
  wait_for_all();
  for (const std::string step : {"order_read:1", "order_saved:1"}) {
    walferry_.stop();
    start({}, {"WALFERRY_FAILPOINT=" + step});
    const auto watching = ask_aside({"public.t"});
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << step;
    start();
    EXPECT_EQ(watching->wait_exit(seconds(60)).code, 0) << read_file(dir_.file("err"));
  }
  EXPECT_EQ(snapshot_rows(), 500U);
  // What comes out of WAL again is not taken again.
  walferry_.kill_hard();
  start();
  exec("INSERT INTO t VALUES (0, 'new')");
  wait_for_all();
  EXPECT_EQ(snapshot_rows(), 500U);
  EXPECT_EQ(saved().at("requests").size(), 2U);
  expect_t();
}

TEST_F(SnapshotVerb, KilledAtEachStepOfItsReadingGoesOnWhereItWas) {
  fill_t(1000);
  start();
  wait_for_all();
  const auto watching = ask_aside({"public.t"});
  wait_rows(20);
  walferry_.kill_hard();
  for (const std::string step : {"before_low_mark:2", "snapshot_piece:2", "before_high_mark:2",
                                 "mid_chunk:30", "chunk_stored:2", "progress_saved:2"}) {
    walferry_.start({}, {"WALFERRY_FAILPOINT=" + step});
    wait_until([&] { return !walferry_.running() || words() > 0; }, seconds(60), step);
    exec("UPDATE t SET v = v || 'y' WHERE id % 3 = 0");
    if (words() > 0) break;
  }
  if (!walferry_.running()) start();
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 0) << read_file(dir_.file("err"));
  expect_t();
  EXPECT_LE(folded().read_again("public.t"), 7U * 4 * 20);
}

TEST_F(SnapshotVerb, TableThatIsDroppedEndsItsRequestAndNoOther) {
  fill_t(8000);
  create_table("u", "id int PRIMARY KEY");
  exec("INSERT INTO u VALUES (1)");
  start();
  const auto watching = ask_aside({"public.t"});
  wait_rows(100);
  const auto other = walferry_.verb({"snapshot", "public.u", "--no-wait"});
  EXPECT_EQ(other.exit.code, 0) << other.err;
  exec("DROP TABLE t");
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 1);
  EXPECT_TRUE(says(read_file(dir_.file("out")), "there is no such table"))
      << read_file(dir_.file("out"));
  wait_words(1);
  EXPECT_EQ(folded().complete_with("public.u"), 1);
}

TEST_F(SnapshotVerb, TableThatIsAlteredMeanwhileGoesOnInItsNewShape) {
  fill_t(8000);
  start();
  const auto watching = ask_aside({"public.t"});
  wait_rows(100);
  exec("ALTER TABLE t ADD extra int");
  exec("UPDATE t SET extra = 7 WHERE id % 2 = 0");
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 0) << read_file(dir_.file("err"));
  wait_for_all();
  walferry_.stop();
  EXPECT_EQ(folded().rows("public.t").at(R"({"id":3999})").size(), 3U);
}

TEST_F(SnapshotVerb, TableWithoutAKeyIsReadWholeAndNothingOfItTwice) {
  create_table("h", "a int, v text");
  exec("ALTER TABLE h REPLICA IDENTITY FULL");
  exec("INSERT INTO h SELECT i % 70, 'row' FROM generate_series(1, 2000) i");
  start();
  exec("INSERT INTO h VALUES (1, 'more')");
  const auto watching = ask_aside({"public.h"});
  for (int i = 0; i < 200; ++i) exec("INSERT INTO h VALUES (" + std::to_string(i) + ", 'more')");
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 0) << read_file(dir_.file("err"));
  walferry_.kill_hard();
  start();
  exec("DELETE FROM h WHERE ctid = (SELECT min(ctid) FROM h)");
  wait_for_all();
  walferry_.stop();
  std::map<std::string, int> heap;
  for (const auto& row : postgres_.query("SELECT row_to_json(h) FROM h")) {
    ++heap[nlohmann::json::parse(row.at(0).value()).dump()];
  }
  EXPECT_EQ(folded().heap("public.h"), heap);
  EXPECT_EQ(folded().restarts("public.h"), 1);
}

TEST_F(SnapshotVerb, TableTakenOutOfTheConfigurationIsNotTakenForOneThatIsRead) {
  table_to_read("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t SELECT i, 'row' FROM generate_series(1, 8000) i");
  create_table("u", "id int PRIMARY KEY");
  start();
  wait_rows(100);
  walferry_.kill_hard();
  settings().no_tables().table("public.u");
  start();
  const auto entry = [&] { return saved().at("tables").at("\"public\".\"t\""); };
  wait_until([&] { return entry().at("state") == "failed" && !entry().contains("unsettled"); },
             seconds(30), "it is given up");
  exec("INSERT INTO u VALUES (1)");
  wait_for_all();
  walferry_.stop();
  // A tail that has expired is no loss, then.
  js().purge("CDC");
  start();
  exec("INSERT INTO u VALUES (2)");
  wait_for_all();
}

}  // namespace
}  // namespace scenarios
