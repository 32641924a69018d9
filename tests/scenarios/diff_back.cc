// Snapshot-diff whose tables, files and stores go away and come back, each by itself: the stream
// says what the tables are again, or walferry says that it cannot know.
#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

namespace fs = std::filesystem;

class DiffBack : public Diff {
 protected:
  std::string folder() const { return state_.path() + "/CDC.walferry"; }
  void two_tables() {
    diff_table("a", "id int PRIMARY KEY, v int");
    diff_table("b", "id int PRIMARY KEY, v int");
    exec(
        "INSERT INTO a SELECT i, i FROM generate_series(1, 20) i;"
        "INSERT INTO b SELECT i, -i FROM generate_series(11, 40) i");
  }
  std::string accept_gap() {
    const Finished finished = walferry_.run_to_exit({"--once", "--accept-gap"});
    EXPECT_EQ(finished.exit.code, 0) << finished.err;
    return finished.err;
  }
};

TEST_F(DiffBack, ATableThatLeavesTheConfigurationAndComesBackBeginsAgain) {
  two_tables();
  diff_table("c", "id int PRIMARY KEY, v int", "first = \"baseline\"");
  exec("INSERT INTO c SELECT i, 0 FROM generate_series(1, 5) i");
  round();
  settings().no_tables();
  compare_table("public.a");
  round();
  exec("DELETE FROM b WHERE id = 11; DELETE FROM c WHERE id = 1; UPDATE a SET v = 0 WHERE id = 1");
  // Not for as long as it is remembered in one session alone.
  round();
  compare_table("public.b");
  compare_table("public.c", "first = \"baseline\"");
  round();
  expect_folds_to({"a", "b", "c"});
  EXPECT_EQ(folded().restarts("public.a"), 0);
  EXPECT_EQ(folded().restarts("public.b"), 1);
  EXPECT_EQ(folded().restarts("public.c"), 1);
  exec("UPDATE b SET v = 7 WHERE id = 12");
  round();
  expect_folds_to({"a", "b", "c"});
  EXPECT_EQ(folded().restarts("public.b"), 1);
  EXPECT_EQ(walferry_.verb({"verify"}).exit.code, 0);
}

TEST_F(DiffBack, ATableThatIsDroppedAndMadeAnewUnderAPatternBeginsAgain) {
  exec(
      "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);"
      "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1), (2)");
  compare_table("public.*");
  round();
  exec("DROP TABLE b");
  round();
  exec(
      "CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (2), (3);"
      "CREATE TABLE new (id int PRIMARY KEY); INSERT INTO new VALUES (1)");
  round();
  expect_folds_to({"a", "b", "new"});
  EXPECT_EQ(folded().restarts("public.b"), 1);
  EXPECT_EQ(folded().restarts("public.new"), 0);
}

TEST_F(DiffBack, AKilledRoundDoesNotForgetThatATableLeft) {
  two_tables();
  round();
  settings().no_tables();
  compare_table("public.a");
  exec("UPDATE a SET v = 0");
  walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=diff_round_written:1"});
  walferry_.wait_exit();
  exec("DELETE FROM b WHERE id = 11");
  compare_table("public.b");
  round();
  expect_folds_to({"a", "b"});
  EXPECT_EQ(folded().restarts("public.b"), 1);
}

TEST_F(DiffBack, PartsGoOnInTheCutThatTheyBeganWith) {
  settings().set("publish", "max_in_flight", "1");
  settings()
      .set_string("publish", "oversize", "split")
      .set_string("publish", "max_message", "2KiB");
  diff_table("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t VALUES (1, 'a')");
  round();
  for (const std::string next : {"3KiB", "1KiB", "512KiB"}) {
    exec("UPDATE t SET v = v || repeat(md5(random()::text), 300)");
    walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=before_publish:4"});
    walferry_.wait_exit();
    settings().set_string("publish", "max_message", next);
    round();
    const auto verified = walferry_.verb({"verify"});
    EXPECT_EQ(verified.exit.code, 0) << next << verified.out << verified.err;
    settings().set_string("publish", "max_message", "2KiB");
  }
}

TEST_F(DiffBack, TheFileOfAnotherTableOrOfAnotherRoundIsNotBelieved) {
  two_tables();
  round();
  const auto states = files(".state");
  ASSERT_EQ(states.size(), 2U);
  fs::copy_file(states[0], states[1], fs::copy_options::overwrite_existing);
  std::string log = round();
  EXPECT_TRUE(says(log, "the state of table public.b is lost")) << log;
  EXPECT_TRUE(says(log, "is of table public.a")) << log;
  expect_folds_to({"a", "b"});
  EXPECT_EQ(folded().restarts("public.b"), 1);
  exec("UPDATE a SET v = 0 WHERE id = 1");
  round();
  const auto rounds = files(".round");
  fs::copy_file(rounds.front(), rounds.back(), fs::copy_options::overwrite_existing);
  exec("UPDATE a SET v = 0 WHERE id = 2");
  log = round();
  EXPECT_TRUE(says(log, "is the file of another round")) << log;
  expect_folds_to({"a", "b"});
}

TEST_F(DiffBack, BothStoresGoneAndTheFolderThereIsAPositionLost) {
  two_tables();
  round();
  nats_.stop();
  nats_.wipe_store();
  nats_.start();
  exec("DELETE FROM a WHERE id = 1");
  const std::string log = round_fails(4);
  EXPECT_TRUE(says(log, folder())) << log;
  EXPECT_TRUE(says(log, "accept-gap")) << log;
  EXPECT_EQ(walferry_.verb({"check"}).exit.code, 4);
  accept_gap();
  expect_folds_to({"a", "b"});
  EXPECT_EQ(folded().restarts("public.a"), 1);
  EXPECT_EQ(folded().restarts("public.b"), 1);
}

// The server does nothing meanwhile: its LSN is that of the round which is not known any more.
TEST_F(DiffBack, IdsOfARoundThatIsForgottenAreNotUsedAgain) {
  for (const bool purged : {false, true}) {
    if (!purged) two_tables();
    round();
    nats_.stop();
    nats_.save_store("older");
    nats_.start();
    fs::remove_all(state_.path() + "/kept");
    fs::copy(folder(), state_.path() + "/kept");
    exec("UPDATE a SET v = v + 1; UPDATE b SET v = v + 1");
    round();
    nats_.kill_hard();
    nats_.restore_stream("older", "KV_walferry");
    nats_.start();
    fs::remove_all(folder());
    fs::rename(state_.path() + "/kept", folder());
    if (purged) js().purge("CDC");
    walferry_.start({"--once"});
    EXPECT_EQ(walferry_.wait_exit(seconds(20)).code, 0);
    EXPECT_TRUE(says(walferry_.log(), "every table begins again")) << walferry_.log();
    expect_folds_to({"a", "b"});
  }
}

TEST_F(DiffBack, IdsOfBeforeATeardownAreNotUsedAgain) {
  two_tables();
  round();
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
  js().purge("CDC");
  walferry_.start({"--once", "--accept-gap"});
  EXPECT_EQ(walferry_.wait_exit(seconds(20)).code, 0);
  expect_folds_to({"a", "b"});
  // The round's place is above the server's LSN, and counts.
  const auto verified = walferry_.verb({"verify", "--partial"});
  EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
  EXPECT_TRUE(says(verified.out, "equal")) << verified.out;
  const std::uint64_t last = js().last_sequence("CDC");
  round();
  EXPECT_EQ(js().last_sequence("CDC"), last);
}

TEST_F(DiffBack, ATableThatIsDroppedDoesNotEndTheDaemonAtItsReconnect) {
  settings().no_tables();
  two_tables();
  settings().no_tables();
  compare_table("public.a", "interval = \"100ms\"\nfirst = \"snapshot\"");
  compare_table("public.b", "interval = \"100ms\"\nfirst = \"snapshot\"");
  walferry_.start();
  const auto arrives = [&](const std::string& table) {
    wait_until([&] { return folded().rows("public." + table) == table_rows(table); }, seconds(30),
               table);
  };
  arrives("a");
  arrives("b");
  exec("DROP TABLE b");
  postgres_.restart();
  exec("UPDATE a SET v = 0");
  arrives("a");
  wait_until([&] { return says(walferry_.log(), "table public.b is gone"); }, seconds(30), "said");
  exec("CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (11, 0), (99, 0)");
  arrives("b");
  exec("DROP TABLE b");
  walferry_.stop();
  // At a start it is not known to have been there.
  EXPECT_TRUE(says(round_fails(3), "does not exist"));
}

class DiffSmallPayload : public DiffBack {
 protected:
  void SetUp() override {
    nats_.stop();
    nats_.set_max_payload(4096);
    nats_.start();
    settings().set_string("publish", "max_message", "1KiB");
    settings().set("source", "replay_window", "\"1h\"");
  }
};

TEST_F(DiffSmallPayload, RoundsThatAreKeptDoNotOutgrowThePosition) {
  two_tables();
  std::string log;
  for (int i = 0; i < 52; ++i) {
    exec("UPDATE a SET v = v + 1 WHERE id = 1");
    log += round();
  }
  expect_folds_to({"a", "b"});
  EXPECT_TRUE(says(log, "no room for all rounds")) << log;
  EXPECT_LT(files(".round").size(), 50U);
}

TEST_F(DiffSmallPayload, MoreTablesThanThePositionHasRoomForAreSaid) {
  for (int i = 0; i < 24; ++i) exec("CREATE TABLE t" + std::to_string(i) + " (id int PRIMARY KEY)");
  compare_table("public.*");
  const std::string log = round_fails(3);
  EXPECT_TRUE(says(log, "24 tables")) << log;
  EXPECT_TRUE(says(log, "raise max_payload")) << log;
}

}  // namespace
}  // namespace scenarios
