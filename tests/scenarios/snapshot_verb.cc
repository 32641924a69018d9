// `walferry snapshot`: rows of tables that are there already, published again when they are asked
// for, while changes go on; paused, resumed and cancelled. snapshot_verb_traps.cc has what comes in
// between.
#include "tests/scenarios/snapshot_verb_rig.h"

namespace scenarios {
namespace {

TEST_F(SnapshotVerb, PublishesTheRowsOfATableThatNoSnapshotHad) {
  fill_t(250);
  settings().set("source", "messages", "[\"*\"]");
  start();
  EXPECT_EQ(snapshot_rows(), 0U);
  const Finished finished = ask({"public.t"});
  EXPECT_EQ(finished.out, "public.t  complete, 250 rows\n");
  EXPECT_EQ(snapshot_rows(), 250U);
  const auto word = js().read("CDC").back();
  EXPECT_EQ(word.subject, "cdc._snapshot.public.t");
  EXPECT_EQ(word.headers.at("Walferry-Rows"), "250");
  EXPECT_EQ(js().count("CDC", "cdc._message.>"), 0U) << "orders and marks are nobody's messages";
  EXPECT_EQ(word.headers.at("Walferry-Request"), last_request().at("id").get<std::string>());
  // Once more, under other ids.
  ask({"public.t"});
  EXPECT_EQ(snapshot_rows(), 500U);
  expect_t();
}

TEST_F(SnapshotVerb, UnderLoadFoldsToTheTables) {
  load_tables_to_read();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1), .truncates = true});
  start();
  wait_words(4);
  ask({"public.load_a", "public.load_b", "public.load_d"});
  ask({"public.load_c", "--where", "id % 2 = 0"});
  load.stop();
  wait_for_all();
  EXPECT_EQ(walferry_.verb({"verify"}).exit.code, 0);
  walferry_.stop();
  expect_load_tables();
}

TEST_F(SnapshotVerb, WhereReadsTheRowsThatItHoldsFor) {
  fill_t(250);
  start();
  EXPECT_EQ(
      ask({"public.t", "--where", "id BETWEEN 101 AND 150 OR v = 'row 7' -- and no more"}).out,
      "public.t  complete, 51 rows\n");
  EXPECT_EQ(js().read("CDC").back().headers.at("Walferry-Partial"), "true");
  const SnapshotFold fold = folded();
  EXPECT_EQ(fold.rows("public.t").size(), 51U);
  EXPECT_EQ(fold.rows("public.t").count(R"({"id":7})"), 1U);
}

TEST_F(SnapshotVerb, WhereThatFailsOnARowEndsThatRequestAlone) {
  fill_t(250);
  start();
  const Finished failed = ask({"public.t", "--where", "1 / (id - 200) > 5"}, 1);
  EXPECT_TRUE(says(failed.out, "division by zero")) << failed.out;
  EXPECT_EQ(ask({"public.t", "--where", "id > 240"}).out, "public.t  complete, 10 rows\n");
  EXPECT_TRUE(walferry_.running());
}

TEST_F(SnapshotVerb, RefusesWhatItCannotRead) {
  fill_t(10);
  create_table("h", "a int");
  exec("CREATE TABLE other (id int PRIMARY KEY)");
  exec(
      "CREATE TABLE r (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE r_1 PARTITION OF r FOR VALUES FROM (0) TO (10)");
  const auto expect_refused = [&](const std::vector<std::string>& args, int code,
                                  const std::string& words) {
    const Finished refused = ask(args, code);
    EXPECT_TRUE(says(refused.err, words)) << refused.err;
  };
  settings().no_tables().table("public.t").table("public.h").table("public.r");
  start();
  settings().table("public.gone").table("public.r_1");
  wait_until([&] { return js().key_value("walferry", "CDC.walferry.snapshots").has_value(); },
             seconds(30), "the progress is saved");
  expect_refused({"public.other"}, 2, "public.other is not captured");
  expect_refused({"public.gone"}, 3, "there is no table public.gone");
  expect_refused({"public.h", "--where", "true"}, 2, "public.h has no key");
  for (const std::string where :
       {"true) OR (true", "id >", "true); DROP TABLE other; --", "true, true", "nothing = 1", "id",
        "id = $1", "'", "/*", "true] OR ARRAY[true", "count(*) > 0", "1 / 0 = 1"}) {
    expect_refused({"public.t", "--where", where}, 2, "--where does not fit table public.t");
  }
  EXPECT_EQ(postgres_.query("SELECT FROM other").size(), 0U) << "it is still there";
  EXPECT_EQ(saved().at("requests").size(), 0U);
  ask({"public.r"});
}

TEST_F(SnapshotVerb, NamesOfAnyKindCanBeAskedFor) {
  for (const std::string name : {"a.b", "Ä*>", "it''s \\ \"\"so\"\""}) {
    exec("CREATE TABLE public.\"" + name + "\" (id int PRIMARY KEY)");
    exec("INSERT INTO public.\"" + name + "\" VALUES (1), (2)");
    settings().table("public.\"" + name + "\"");
  }
  start();
  for (const std::string name : {"a.b", "Ä*>", "it''s \\ \"\"so\"\""}) {
    const auto finished = ask({"public.\"" + name + "\"", "--where", "id = 2"});
    EXPECT_TRUE(says(finished.out, "complete, 1 rows")) << finished.out;
  }
}

TEST_F(SnapshotVerb, PausedOverARestartThenResumedGoesOnWhereItWas) {
  fill_t(scaled(8000, 20'000));
  start();
  const auto watching = ask_aside({"public.t"});
  wait_rows(100);
  ask({"--pause", "public.t"});
  wait_state("paused");
  exec("UPDATE t SET v = 'changed' WHERE id % 7 = 0");
  wait_for_all();
  const auto paused_at = snapshot_rows();
  EXPECT_LT(paused_at, scaled(8000U, 20'000U));
  walferry_.kill_hard();
  start();
  wait_for_all();
  exec("INSERT INTO t VALUES (0, 'new')");
  wait_for_all();
  EXPECT_EQ(snapshot_rows(), paused_at) << "it stays paused";
  const auto status = nlohmann::json::parse(walferry_.verb({"status", "--json"}).out);
  bool shown = false;
  for (const auto& one : status.at("snapshots")) {
    shown = shown || (one.at("table") == "public.t" && one.at("state") == "paused");
  }
  EXPECT_TRUE(shown) << status.dump();
  EXPECT_TRUE(says(walferry_.verb({"status"}).out, "paused"));
  ask({"--resume"});
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 0) << read_file(dir_.file("err"));
  expect_t();
  EXPECT_LE(folded().read_again("public.t"), 4U * 20) << "but for the chunks in flight";
}

TEST_F(SnapshotVerb, CancelledIsOverAndLeavesTheTableAsItWas) {
  fill_t(scaled(8000, 20'000));
  start();
  const auto watching = ask_aside({"public.t"});
  wait_rows(100);
  EXPECT_TRUE(says(ask({"--cancel"}).out, "public.t  cancelled behind"));
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 1) << read_file(dir_.file("out"));
  EXPECT_TRUE(says(read_file(dir_.file("out")), "cancelled"));
  const auto rows = snapshot_rows();
  walferry_.stop();
  start();
  exec("INSERT INTO t VALUES (0, 'new')");
  wait_for_all();
  EXPECT_LE(snapshot_rows(), rows + 100) << "it is not begun again";
  EXPECT_TRUE(says(ask({"--cancel"}, 1).out, "no snapshot is being read"));
  ask({"public.t"});
  expect_t();
}

TEST_F(SnapshotVerb, InitialSnapshotIsPausedAndCancelledAlike) {
  table_to_read("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t SELECT i, 'row' FROM generate_series(1, 8000) i");
  start();
  wait_rows(100);
  ask({"--pause"});
  walferry_.stop();
  start();
  const auto rows = snapshot_rows();
  exec("INSERT INTO t VALUES (0, 'new')");
  wait_for_all();
  EXPECT_EQ(snapshot_rows(), rows);
  ask({"--cancel", "public.t"});
  walferry_.stop();
  start();
  exec("INSERT INTO t VALUES (-1, 'new')");
  wait_for_all();
  EXPECT_EQ(snapshot_rows(), rows);
  EXPECT_EQ(saved().at("tables").at("\"public\".\"t\"").at("state"), "cancelled");
  ask({"public.t"});
  expect_t();
}

TEST_F(SnapshotVerb, AskedForTwiceIsReadOnce) {
  fill_t(8000);
  start();
  const auto first = ask_aside({"public.t"});
  wait_rows(40);
  const Finished second = ask({"public.t"});
  EXPECT_EQ(second.out, "public.t  complete, 8,000 rows\n");
  EXPECT_TRUE(says(second.err, "one with it")) << second.err;
  EXPECT_EQ(first->wait_exit(seconds(60)).code, 0);
  EXPECT_EQ(snapshot_rows(), 8000U);
}

TEST_F(SnapshotVerb, AskedForWhileNoWalferryRunsIsTakenByTheNext) {
  fill_t(250);
  start();
  wait_for_all();
  walferry_.stop();
  const Finished asked = ask({"public.t", "--no-wait"});
  EXPECT_TRUE(says(asked.err, "no walferry reads slot")) << asked.err;
  const auto watching = ask_aside({"public.t"});
  wait_until([&] { return says(read_file(dir_.file("err")), "no walferry reads slot"); },
             seconds(30), "it waits");
  start();
  EXPECT_EQ(watching->wait_exit(seconds(60)).code, 0) << read_file(dir_.file("err"));
  EXPECT_EQ(snapshot_rows(), 250U) << "both are one reading";
  expect_t();
}

TEST_F(SnapshotVerb, OnlyWhoKnowsTheSecretGivesOrders) {
  fill_t(250);
  start();
  wait_for_all();
  exec(
      "SELECT pg_logical_emit_message(false, 'walferry.snapshot.order', 'walferry ' || "
      "repeat('0', 64) || ' {\"slot\":\"walferry\",\"id\":\"1\",\"action\":\"snapshot\","
      "\"tables\":[[\"public\",\"t\"]],\"where\":\"\"}')");
  wait_for_all();
  EXPECT_EQ(saved().at("requests").size(), 0U);
  EXPECT_TRUE(says(walferry_.log(), "is not signed"));
  EXPECT_EQ(snapshot_rows(), 0U);
}

TEST_F(SnapshotVerb, RunThatEndsLeavesRequestsToTheNextThatDoesNot) {
  fill_t(250);
  start();
  wait_for_all();
  walferry_.stop();
  ask({"public.t", "--no-wait"});
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_EQ(last_request().at("state"), "waiting");
  EXPECT_EQ(snapshot_rows(), 0U);
  start();
  wait_words(1);
  expect_t();
}

TEST_F(SnapshotVerb, WatchingEndsWithCtrlCAndTheRequestDoesNot) {
  fill_t(8000);
  start();
  const auto watching = ask_aside({"public.t"});
  wait_rows(40);
  watching->send(SIGINT);
  EXPECT_EQ(watching->wait_exit(seconds(10)).code, 0);
  EXPECT_TRUE(says(read_file(dir_.file("err")), "what was asked for stays"));
  wait_words(1);
  EXPECT_EQ(snapshot_rows(), 8000U);
}

}  // namespace
}  // namespace scenarios
