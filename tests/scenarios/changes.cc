// Every kind of change and every shape of transaction arrives: once, in commit order, with the
// values that the server's own test_decoding prints.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Changes : public Scenario {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
};

TEST_F(Changes, InsertUpdateDeleteAndTruncateArriveWithTheirImages) {
  start();
  exec("INSERT INTO t VALUES (1, 'a')");
  exec("UPDATE t SET v = 'b' WHERE id = 1");
  exec("DELETE FROM t WHERE id = 1");
  exec("TRUNCATE t");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].key.dump(), R"({"id":1})");
  EXPECT_EQ(all[0].after.dump(), R"({"id":1,"v":"a"})");
  EXPECT_EQ(all[1].key.dump(), R"({"id":1})");
  EXPECT_TRUE(all[1].before.is_null());
  EXPECT_EQ(all[1].after.dump(), R"({"id":1,"v":"b"})");
  EXPECT_EQ(all[2].key.dump(), R"({"id":1})");
  EXPECT_EQ(all[2].before.dump(), R"({"id":1})");
  EXPECT_EQ(all[3].op, "truncate");
}

TEST_F(Changes, PrimaryKeyUpdateCarriesTheOldKeyInBefore) {
  start();
  exec("INSERT INTO t VALUES (1, 'a'); UPDATE t SET id = 2");
  exec("UPDATE t SET v = 'c'");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].key.dump(), R"({"id":2})");
  EXPECT_EQ(all[1].before.dump(), R"({"id":1})");
  EXPECT_TRUE(all[2].before.is_null());
}

TEST_F(Changes, TruncateOfSeveralTablesIsOneRecordATable) {
  create_table("parent", "id int PRIMARY KEY");
  create_table("child", "id int PRIMARY KEY, p int REFERENCES parent");
  start();
  exec("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1); INSERT INTO t VALUES (1)");
  exec(
      "BEGIN; TRUNCATE parent CASCADE; INSERT INTO t VALUES (2); TRUNCATE t RESTART IDENTITY; "
      "COMMIT");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 7U);
  EXPECT_EQ(all[4].op, "truncate");
  EXPECT_EQ(all[4].ordinal, 2U);
  EXPECT_EQ(all[6].ordinal, 4U);
  EXPECT_TRUE(all[6].tx_last);
}

TEST_F(Changes, EmptyAndRolledBackTransactionsLeaveNoTrace) {
  exec("CREATE TABLE unpublished (id int PRIMARY KEY)");
  start();
  exec("BEGIN; COMMIT");
  exec("INSERT INTO unpublished VALUES (1)");
  exec("BEGIN; INSERT INTO t VALUES (1); ROLLBACK");
  exec("BEGIN; INSERT INTO unpublished VALUES (2); INSERT INTO t VALUES (2); COMMIT");
  exec("UPDATE t SET v = 'x' WHERE id = 77");
  exec("INSERT INTO t VALUES (3)");
  oracle_->read();
  wait_stored(2);
  walferry_.stop();
  Expected expected;
  expected.published = [](const std::string& table, const std::string&) {
    return table == "public.t";
  };
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_, expected));
  EXPECT_EQ(stored_records(), 2U);
}

TEST_F(Changes, RolledBackSavepointsAreLeftOutAndReleasedOnesAreNot) {
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); SAVEPOINT b;"
      "INSERT INTO t VALUES (3); ROLLBACK TO b; INSERT INTO t VALUES (4); RELEASE a;"
      "SAVEPOINT c; DELETE FROM t; ROLLBACK TO c; INSERT INTO t VALUES (5); COMMIT");
  expect_exact();
  EXPECT_EQ(records().size(), 4U);
}

TEST_F(Changes, InterleavedTransactionsArriveWholeAndInCommitOrder) {
  start();
  PgSession first = postgres_.connect();
  PgSession second = postgres_.connect();
  first.exec("BEGIN; INSERT INTO t VALUES (1)");
  second.exec("BEGIN; INSERT INTO t VALUES (2)");
  first.exec("INSERT INTO t VALUES (3)");
  second.exec("INSERT INTO t VALUES (4)");
  exec("INSERT INTO t VALUES (5)");
  second.exec("COMMIT");
  first.exec("INSERT INTO t VALUES (6)");
  first.exec("COMMIT");
  expect_exact();
  std::string order;
  for (const auto& record : records()) {
    order += record.after["id"].dump();
  }
  EXPECT_EQ(order, "524136");
}

TEST_F(Changes, TransactionsThatFollowEachOtherWithoutAGapKeepTheirOwnPositions) {
  start();
  // Nothing lies between one's commit record and the next one's first change.
  for (int i = 0; i < 50; ++i) {
    exec("INSERT INTO t VALUES (" + std::to_string(i) + ")");
  }
  expect_exact();
}

TEST_F(Changes, RowsOfOneCopyAreDistinctThoughTheyShareAnLsn) {
  start();
  std::string rows;
  for (int i = 0; i < 5000; ++i) {
    rows += std::to_string(i) + "\trow " + std::to_string(i) + "\n";
  }
  postgres_.connect().copy_in("COPY t FROM STDIN", rows);
  expect_exact();
}

TEST_F(Changes, OneHugeTransactionArrivesWholeBetweenSmallOnes) {
  start();
  exec("INSERT INTO t VALUES (-1, 'before')");
  const int rows = scaled(50000, 500000);
  exec("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, " + std::to_string(rows) +
       ") i");
  exec("INSERT INTO t VALUES (-2, 'after')");
  oracle_->read();
  ASSERT_EQ(oracle_->changes(), static_cast<std::size_t>(rows) + 2);
  wait_complete(seconds(300));
  expect_exact();
}

TEST_F(Changes, AlterTableWithinATransactionChangesTheShapeOfTheRecordsAfterIt) {
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ADD extra int DEFAULT 7;"
      "INSERT INTO t VALUES (2, 'b'); ALTER TABLE t DROP v; INSERT INTO t VALUES (3, 8); COMMIT");
  exec("ALTER TABLE t RENAME extra TO other; UPDATE t SET other = 9 WHERE id = 1");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].after.dump(), R"({"id":1,"v":"a"})");
  EXPECT_EQ(all[1].after.dump(), R"({"id":2,"v":"b","extra":7})");
  EXPECT_EQ(all[2].after.dump(), R"({"id":3,"extra":8})");
  EXPECT_EQ(all[3].after.dump(), R"({"id":1,"other":9})");
}

TEST_F(Changes, LogicalMessagesNeitherArriveNorDisturbTheCounting) {
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'app', 'in tx');"
      "INSERT INTO t VALUES (2); COMMIT");
  exec("SELECT pg_logical_emit_message(false, 'app', 'outside')");
  exec("INSERT INTO t VALUES (3)");
  wait_stored(3);
  walferry_.stop();
  // Whether a message in a transaction takes an ordinal is for the position to say; that the
  // records rise, and that none is missing, is for us.
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].ordinal, 1U);
  EXPECT_GT(all[1].ordinal, all[0].ordinal);
  EXPECT_EQ(all[2].ordinal, 1U);
}

TEST_F(Changes, RandomLoadArrivesExactlyAndFoldsToTheTables) {
  create_load_tables();
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1), .truncates = true});
  load.wait_for_more(scaled<std::uint64_t>(1500, 10000), seconds(400));
  load.stop();
  expect_exact();
  expect_folds_to_load_tables();
}

TEST_F(Changes, PartitionsAreReadUnderTheirRoot) {
  exec(
      "CREATE TABLE part (id int, region text, v int, PRIMARY KEY (id, region)) "
      "PARTITION BY LIST (region);"
      "CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');"
      "CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us')");
  settings().table("public.part");
  start();
  exec("INSERT INTO part VALUES (1, 'eu', 1), (2, 'us', 1)");
  exec("UPDATE part SET v = 2 WHERE id = 1");
  exec("UPDATE part SET region = 'us' WHERE id = 1");  // moves: a delete and an insert
  exec("INSERT INTO part_eu VALUES (3, 'eu', 3)");
  exec("DELETE FROM part WHERE id = 2");
  Expected expected;
  expected.root_of = {{"public.part_eu", "public.part"}, {"public.part_us", "public.part"}};
  expect_exact(expected);
}

TEST_F(Changes, PositionsBeyondFourGigabytesOfWalAreWrittenWhole) {
  postgres_.stop();
  postgres_.jump_to_wal_segment("00000001FFFFABCD00000042");
  postgres_.start();
  start();
  exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].commit_lsn >> 32U, 0xFFFFABCDU);
  walferry_.start();
  exec("INSERT INTO t VALUES (3, 'c')");
  expect_exact();
}

TEST_F(Changes, NamesOfOnesOwnAreUsedThroughout) {
  settings()
      .set_string("source", "slot", "my_slot_1")
      .set_string("source", "publication", "My pub");
  settings()
      .set_string("stream", "name", "My-Stream")
      .set_string("stream", "subject_prefix", "a.b-c");
  watch();
  walferry_.start();
  wait_until([&] { return postgres_.slot_active("my_slot_1"); }, seconds(30), "the slot is read");
  exec("INSERT INTO t VALUES (1, 'a'); UPDATE t SET v = 'b'");
  wait_until([&] { return js().last_sequence("My-Stream") >= 2; }, seconds(30), "both are stored");
  walferry_.stop();
  Expected expected;
  expected.naming = {"my_slot_1", "a.b-c"};
  EXPECT_TRUE(each_change_once(js().read("My-Stream"), *oracle_, expected));
  EXPECT_TRUE(js().key_value("walferry", "My-Stream.my_slot_1").has_value());
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication WHERE pubname = 'My pub'"), "1");
}

TEST_F(Changes, TheSmallestWindowStillLetsEverythingPass) {
  settings()
      .set("publish", "max_in_flight", "1")
      .set_string("publish", "max_in_flight_bytes", "4KiB");
  settings().set_string("publish", "max_message", "4KiB");
  start();
  exec("INSERT INTO t SELECT i, repeat('x', 3000) FROM generate_series(1, 200) i");
  exec("INSERT INTO t SELECT -i, 'small' FROM generate_series(1, 200) i");
  expect_exact();
}

struct CommitTimes : Scenario {
  CommitTimes()
      : Scenario({.settings = {"track_commit_timestamp=on", "max_prepared_transactions=5"}}) {}
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
};

TEST_F(CommitTimes, AreThoseThatTheServerRecorded) {
  start();
  for (int i = 0; i < 20; ++i) {
    exec("INSERT INTO t VALUES (" + std::to_string(i) + ")");
  }
  expect_exact();
  for (const auto& record : records()) {
    EXPECT_EQ(
        postgres_.value("SELECT to_char(pg_xact_commit_timestamp('" + std::to_string(record.xid) +
                        "'::xid) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
        record.commit_ts);
  }
}

TEST_F(CommitTimes, PreparedTransactionsArriveWhenTheyAreCommitted) {
  start();
  exec("BEGIN; INSERT INTO t VALUES (1, 'prepared'); PREPARE TRANSACTION 'one'");
  exec("BEGIN; INSERT INTO t VALUES (2, 'never'); PREPARE TRANSACTION 'two'");
  exec("INSERT INTO t VALUES (3, 'between')");
  exec("ROLLBACK PREPARED 'two'");
  exec("COMMIT PREPARED 'one'");
  exec("INSERT INTO t VALUES (4, 'after')");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].after["id"], 1);
}

}  // namespace
}  // namespace scenarios
