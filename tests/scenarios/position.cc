// Where to go on: another server, another timeline, a wiped store, a slot made by hand, a
// configuration that changed between a crash and the restart. Either walferry goes on exactly or it
// stops with 4.
#include <set>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class PositionOf : public Scenario {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  void insert(PostgresCluster& where, int first, int count) {
    for (int i = first; i < first + count; ++i) {
      where.exec("INSERT INTO t VALUES (" + std::to_string(i) + ", 'row')");
    }
  }
  void read_from(PostgresCluster& where) {
    settings().set_string("source", "dsn", where.conninfo());
  }
  std::vector<int> ids() {
    std::vector<int> found;
    for (const auto& record : records()) {
      found.push_back(record.after["id"].get<int>());
    }
    return found;
  }
  static std::vector<int> upto(int last) {
    std::vector<int> numbers;
    for (int i = 1; i <= last; ++i) {
      numbers.push_back(i);
    }
    return numbers;
  }
};

TEST_F(PositionOf, AnotherSystemStopsThoughItHasTheSameSlotAndTable) {
  start();
  insert(postgres_, 1, 20);
  wait_stored(20);
  walferry_.stop();
  PostgresCluster fresh({.own_system = true});
  fresh.exec(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION walferry FOR TABLE t");
  fresh.exec("SELECT pg_create_logical_replication_slot('walferry', 'pgoutput')");
  ASSERT_NE(fresh.value("SELECT system_identifier FROM pg_control_system()"),
            postgres_.value("SELECT system_identifier FROM pg_control_system()"));
  read_from(fresh);
  insert(fresh, 21, 5);
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "system")) << finished.err;
  EXPECT_EQ(stored_records(), 20U);
}

TEST_F(PositionOf, APromotedStandbyThatHasEverythingIsGoneOnWith) {
  start();
  insert(postgres_, 1, 20);
  wait_stored(20);
  walferry_.stop();
  postgres_.stop();
  const auto standby = postgres_.clone();
  standby->be_standby();
  standby->start();
  standby->promote();
  read_from(*standby);
  insert(*standby, 21, 5);
  walferry_.start();
  wait_stored(25);
  walferry_.stop();
  EXPECT_EQ(ids(), upto(25));
}

TEST_F(PositionOf, APromotedStandbyThatLacksWhatIsPublishedStops) {
  settings().set("source", "replay_window", "\"0\"");
  start();
  insert(postgres_, 1, 20);
  wait_stored(20);
  walferry_.stop();
  postgres_.stop();
  const auto standby = postgres_.clone();  // lags: what follows never reaches it
  postgres_.start();
  start();
  insert(postgres_, 21, 20);
  wait_stored(40);
  walferry_.stop();
  standby->be_standby();
  standby->start();
  standby->promote();
  insert(*standby, 1001, 60);
  read_from(*standby);
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "timeline")) << finished.err;
  EXPECT_EQ(stored_records(), 40U);
}

TEST_F(PositionOf, AWipedNatsStoreStopsAndAdoptGoesOn) {
  start();
  insert(postgres_, 1, 20);
  wait_stored(20);
  walferry_.stop();
  nats_.stop();
  nats_.wipe_store();
  nats_.start();
  insert(postgres_, 21, 5);
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "--adopt")) << finished.err;
  EXPECT_EQ(stored_records(), 0U);
  start({"--adopt"});
  // From the slot's confirmed position on: with the default window, all of it.
  expect_exact();
  // Adopted once; the next start needs no flag.
  start();
  insert(postgres_, 26, 1);
  wait_stored(26);
}

TEST_F(PositionOf, AWipedNatsStoreStopsAWalferryThatRuns) {
  start();
  insert(postgres_, 1, 20);
  wait_stored(20);
  nats_.kill_hard();
  nats_.wipe_store();
  nats_.start();
  insert(postgres_, 21, 5);
  const std::string log = expect_exit(4);
  EXPECT_TRUE(says(log, "--adopt")) << log;
}

TEST_F(PositionOf, ASlotMadeByHandIsTakenOverOnlyWithAdopt) {
  exec("CREATE PUBLICATION walferry FOR TABLE t");
  exec("SELECT pg_create_logical_replication_slot('walferry', 'pgoutput')");
  watch();
  insert(postgres_, 1, 5);
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "--adopt")) << finished.err;
  start({"--adopt"});
  insert(postgres_, 6, 5);
  expect_exact();
  EXPECT_EQ(ids(), upto(10));
}

TEST_F(PositionOf, ASlotOfAnotherPluginIsNotTouched) {
  exec("SELECT pg_create_logical_replication_slot('walferry', 'test_decoding')");
  const Finished finished = walferry_.run_to_exit({"--adopt"});
  EXPECT_EQ(finished.exit.code, 3) << finished.err;
  EXPECT_TRUE(says(errors_in(finished.err), "test_decoding")) << finished.err;
  EXPECT_EQ(postgres_.value("SELECT plugin FROM pg_replication_slots WHERE slot_name = 'walferry'"),
            "test_decoding");
}

TEST_F(PositionOf, ATableAddedBetweenACrashAndTheRestartIsPublishedFromThenOn) {
  exec("CREATE TABLE added (id int PRIMARY KEY, v text)");
  start();
  insert(postgres_, 1, 50);
  wait_stored(30);
  walferry_.kill_hard();
  insert(postgres_, 51, 20);
  exec("INSERT INTO added VALUES (1, 'before it was configured')");
  settings().table("public.added");
  start();
  wait_until(
      [&] {
        return postgres_.value(
                   "SELECT count(*) FROM pg_publication_tables WHERE tablename = "
                   "'added'") == "1";
      },
      seconds(30), "the table is published");
  exec("INSERT INTO added VALUES (2, 'after')");
  insert(postgres_, 71, 1);
  wait_stored(72);
  walferry_.stop();
  std::vector<int> of_t;
  std::vector<int> of_added;
  for (const auto& record : records()) {
    (record.table == "t" ? of_t : of_added).push_back(record.after["id"].get<int>());
  }
  EXPECT_EQ(of_t, upto(71));
  EXPECT_EQ(of_added, std::vector<int>{2});
}

TEST_F(PositionOf, ATableRemovedBetweenACrashInATransactionAndTheRestartLeavesTheOthersWhole) {
  create_table("removed", "id int PRIMARY KEY, v text");
  start();
  exec(
      "BEGIN; INSERT INTO t SELECT i FROM generate_series(1, 10000) i;"
      "INSERT INTO removed SELECT i FROM generate_series(1, 10000) i;"
      "INSERT INTO t SELECT i FROM generate_series(10001, 20000) i; COMMIT");
  wait_until([&] { return stored_records() > 10; }, seconds(30), "it is under way");
  walferry_.kill_hard();
  settings().no_tables().table("public.t");
  start();
  insert(postgres_, 20001, 5);
  wait_until([&] { return !records().empty() && records().back().after["id"] == 20005; },
             seconds(60), "the last row");
  walferry_.stop();
  std::vector<int> of_t;
  std::set<std::string> message_ids;
  for (const auto& stored : js().read("CDC")) {
    EXPECT_TRUE(message_ids.insert(stored.headers.at("Nats-Msg-Id")).second);
  }
  for (const Record& record : records()) {
    if (record.table == "t") {
      of_t.push_back(record.after["id"].get<int>());
    }
  }
  EXPECT_EQ(of_t, upto(20005));
}

TEST_F(PositionOf, ASecondStreamNameStartsWithoutTheSlotsPastOnlyByAdopt) {
  start();
  insert(postgres_, 1, 5);
  wait_stored(5);
  walferry_.stop();
  settings().set_string("stream", "name", "OTHER").set_string("stream", "subject_prefix", "other");
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4) << finished.err;
  EXPECT_TRUE(says(finished.err, "--adopt")) << finished.err;
}

TEST_F(PositionOf, ASlotThatWasDroppedStops) {
  start();
  insert(postgres_, 1, 5);
  wait_stored(5);
  walferry_.stop();
  exec("SELECT pg_drop_replication_slot('walferry')");
  insert(postgres_, 6, 5);
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "slot")) << finished.err;
  EXPECT_TRUE(says(finished.err, "accept-gap")) << finished.err;
  EXPECT_FALSE(postgres_.slot_exists("walferry")) << "the loss is not hidden by a new slot";
  start({"--accept-gap"});
  insert(postgres_, 11, 5);
  wait_stored(10);
  walferry_.stop();
  EXPECT_EQ(ids(), (std::vector<int>{1, 2, 3, 4, 5, 11, 12, 13, 14, 15}));
}

TEST_F(PositionOf, ASlotThatWasInvalidatedStops) {
  start();
  insert(postgres_, 1, 5);
  wait_stored(5);
  walferry_.stop();
  exec("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  exec("SELECT pg_reload_conf()");
  for (int i = 0; i < 4; ++i) {
    exec("INSERT INTO t SELECT i, 'x' FROM generate_series(" + std::to_string(100 + i) + ", " +
         std::to_string(100 + i) + ") i");
    exec("SELECT pg_switch_wal()");
    exec("CHECKPOINT");
  }
  ASSERT_EQ(postgres_.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = "
                            "'walferry'"),
            "lost");
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "slot")) << finished.err;
  EXPECT_TRUE(says(finished.err, "accept-gap")) << finished.err;
  EXPECT_EQ(stored_records(), 5U);
}

}  // namespace
}  // namespace scenarios
