// source.streaming = "on": transactions that arrive while they run, are rolled back in part or
// wholly, are cut short by a crash on either side, or do not fit the disk. What is published is
// what was committed, as ever.
#include <algorithm>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Streaming : public Scenario {
 protected:
  explicit Streaming(const std::vector<std::string>& more = {}) : Scenario(with(more)) {}
  void SetUp() override {
    create_table("t", "id bigint PRIMARY KEY, v text");
    create_table("u", "id bigint PRIMARY KEY, v text");
    settings().set_string("source", "streaming", "on");
    settings().set_string("source", "replay_window", "0");
  }

  static std::string rows(const std::string& table, int first, int count) {
    return "INSERT INTO " + table + " SELECT i, repeat('x', 100) FROM generate_series(" +
           std::to_string(first) + ", " + std::to_string(first + count - 1) + ") i";
  }
  std::uint64_t streamed_bytes() {
    const std::string value = postgres_.value(
        "SELECT stream_bytes FROM pg_stat_replication_slots WHERE slot_name = 'walferry'");
    return value.empty() ? 0 : std::stoull(value);
  }
  // Up to where the server has decoded for walferry.
  std::uint64_t decoded() {
    const std::string sent = postgres_.value(
        "SELECT sent_lsn FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid "
        "WHERE slot_name = 'walferry'");
    return sent.empty() ? 0 : parse_lsn(sent);
  }
  // What open transactions have written so far reaches the disk, and so the slot.
  void flush_wal() { exec("CREATE TABLE IF NOT EXISTS flush (); DROP TABLE flush"); }
  // Runs `sql` in an open transaction, and waits until (most of) it has been sent.
  void exec_streamed(PgSession& session, const std::string& sql) {
    const std::uint64_t before = streamed_bytes();
    session.exec(sql);
    flush_wal();
    const std::uint64_t end = parse_lsn(postgres_.value("SELECT pg_current_wal_flush_lsn()"));
    wait_until([&] { return streamed_bytes() > before && decoded() >= end; }, seconds(30),
               "the server streams a transaction in progress");
  }
  // The same, and the next statement comes while the server still decodes this one.
  void exec_half_streamed(PgSession& session, const std::string& sql) {
    const std::uint64_t before = streamed_bytes();
    session.exec(sql);
    flush_wal();
    becomes_true([&] { return streamed_bytes() > before; }, Milliseconds(300));
  }
  std::vector<long> ids(const std::string& table) {
    std::vector<long> found;
    for (const auto& record : records()) {
      if (record.table == table) found.push_back(record.after["id"].get<long>());
    }
    return found;
  }

 private:
  static PostgresOptions with(const std::vector<std::string>& more) {
    PostgresOptions options{
        .settings = {"logical_decoding_work_mem=64kB", "max_prepared_transactions=4"}};
    options.settings.insert(options.settings.end(), more.begin(), more.end());
    return options;
  }
};

TEST_F(Streaming, ATransactionInProgressIsReceivedAndNotPublished) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, 3000));
  exec("INSERT INTO u VALUES (1, 'small')");
  wait_stored(1);
  exec_streamed(session, rows("t", 3001, 3000));
  EXPECT_EQ(stored_records(), 1U);
  session.exec("COMMIT");
  expect_exact();
  EXPECT_EQ(records().size(), 6001U);
}

TEST_F(Streaming, RollbackToASavepointTakesItsOwnChangesOnly) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, 2000));
  session.exec("SAVEPOINT outer_one");
  exec_streamed(session, rows("t", 10001, 2000));
  session.exec("SAVEPOINT inner_one");
  exec_streamed(session, rows("t", 20001, 2000));
  session.exec("ROLLBACK TO inner_one");
  exec_streamed(session, rows("t", 30001, 2000));
  session.exec("RELEASE inner_one; SAVEPOINT inner_two");
  exec_streamed(session, rows("t", 40001, 2000));
  session.exec("RELEASE inner_two; ROLLBACK TO outer_one");
  exec_streamed(session, rows("t", 50001, 2000));
  session.exec("SAVEPOINT kept");
  exec_streamed(session, rows("t", 60001, 2000));
  session.exec("RELEASE kept; COMMIT");
  expect_exact();
  const auto stored = ids("t");
  EXPECT_EQ(stored.size(), 6000U);
  EXPECT_EQ(
      std::count_if(stored.begin(), stored.end(), [](long id) { return id > 10000 && id < 50000; }),
      0);
}

// pgoutput describes the altered table under the sub-transaction that is rolled back, and the table
// as it is again behind it.
TEST_F(Streaming, AnAlterTableThatWasTakenBackLeavesNoTrace) {
  start();
  exec("INSERT INTO t VALUES (1, 'before')");
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 100, 2000));
  session.exec("SAVEPOINT s; ALTER TABLE t ADD COLUMN w int DEFAULT 7");
  exec_streamed(session, rows("t", 10000, 2000));
  session.exec("ROLLBACK TO s");
  exec_streamed(session, rows("t", 20000, 2000));
  session.exec("ALTER TABLE t ADD COLUMN z int");
  exec_streamed(session, "INSERT INTO t SELECT i, 'z', i FROM generate_series(30000, 32000) i");
  session.exec("COMMIT");
  exec("INSERT INTO t VALUES (2, 'after', 3)");
  expect_exact();
  for (const auto& record : records()) {
    EXPECT_FALSE(record.after.contains("w")) << record.payload;
  }
}

// The server itself fails at times, when what it decodes is altered or rolled back under its hands:
// then walferry does without streaming for a while.
TEST_F(Streaming, AnAlterTableWhileItIsDecodedLosesNothing) {
  start();
  const auto insert = [](const std::string& table, int first) {
    return "INSERT INTO " + table + " (id, v) SELECT i, repeat('x', 100) FROM generate_series(" +
           std::to_string(first) + ", " + std::to_string(first + 1999) + ") i";
  };
  for (int i = 0; i < scaled(3, 30); ++i) {
    exec(insert("t", i * 100000 + 90000));
    PgSession session = postgres_.connect();
    const int first = i * 100000;
    session.exec("BEGIN");
    exec_half_streamed(session, insert("t", first));
    session.exec("SAVEPOINT s; ALTER TABLE t ADD COLUMN w int DEFAULT 7");
    exec_half_streamed(session, insert("t", first + 10000));
    session.exec("ROLLBACK TO s");
    exec_half_streamed(session, insert("t", first + 20000));
    session.exec("ALTER TABLE t ADD COLUMN z" + std::to_string(i) + " int");
    exec_half_streamed(session, insert("t", first + 30000));
    session.exec("COMMIT");
    wait_complete();
  }
  std::cout << lines_saying(walferry_.log(), "without streaming");
  expect_exact();
}

TEST_F(Streaming, TwoInterleavedOnesASmallOneAndOneRolledBackKeepCommitOrder) {
  start();
  PgSession one = postgres_.connect();
  PgSession two = postgres_.connect();
  PgSession gone = postgres_.connect();
  for (PgSession* session : {&one, &two, &gone}) session->exec("BEGIN");
  for (int i = 0; i < 3; ++i) {
    exec_streamed(one, rows("t", 1 + i * 2000, 2000));
    exec_streamed(two, rows("u", 1 + i * 2000, 2000));
    exec_streamed(gone, rows("t", 50000 + i * 2000, 2000));
  }
  exec("INSERT INTO u VALUES (100000, 'small')");
  two.exec("TRUNCATE u; COMMIT");
  gone.exec("ROLLBACK");
  exec("INSERT INTO u VALUES (100001, 'small')");
  one.exec("COMMIT");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 1U + 6001U + 1U + 6000U);
  EXPECT_EQ(all[0].after["id"], 100000);
  EXPECT_EQ(all[6001].op, "truncate");
  EXPECT_EQ(all[6002].after["id"], 100001);
  EXPECT_EQ(all.back().table, "t");
}

TEST_F(Streaming, APreparedTransactionArrivesAtItsCommitPrepared) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, 3000));
  session.exec("PREPARE TRANSACTION 'p'");
  exec("INSERT INTO u VALUES (1, 'small')");
  wait_stored(1);
  EXPECT_EQ(stored_records(), 1U);
  exec("COMMIT PREPARED 'p'");
  expect_exact();
}

// The confirmed position passes the first changes of an open transaction; they come again all the
// same, from restart_lsn, which does not.
TEST_F(Streaming, AnOpenTransactionDoesNotHoldTheConfirmedPositionAndIsNotLostByIt) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, 3000));
  exec("INSERT INTO u VALUES (1, 'small')");
  const std::uint64_t behind = postgres_.current_lsn();
  wait_until([&] { return postgres_.confirmed_flush("walferry") >= behind; }, seconds(30),
             "the confirmed position passes the open transaction");
  exec("CHECKPOINT");
  walferry_.kill_hard();
  start();
  exec_streamed(session, rows("t", 3001, 3000));
  session.exec("COMMIT");
  expect_exact();
  EXPECT_EQ(records().size(), 6001U);
}

TEST_F(Streaming, KilledWhileItReceivesAndWhileItReplays) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, 3000));
  walferry_.kill_hard();
  session.exec(rows("t", 3001, 3000));
  flush_wal();
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:4000"});
  wait_streaming();
  exec_streamed(session, rows("t", 6001, 3000));
  session.exec("COMMIT");
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << walferry_.log();
  EXPECT_LT(stored_records(), 9000U);
  start();
  expect_exact();
}

// The rest of a half stored transaction goes out under the other setting.
TEST_F(Streaming, TheSettingMayChangeInTheMiddleOfATransaction) {
  start();
  PgSession session = postgres_.connect();
  for (const char* setting : {"off", "on", "off"}) {
    const auto before = stored_records();
    walferry_.stop();
    walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:1500"});
    wait_streaming();
    session.exec("BEGIN; TRUNCATE t");
    session.exec(rows("t", 1, 4000));
    session.exec("COMMIT");
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << walferry_.log();
    settings().set_string("source", "streaming", setting);
    start();
    wait_stored(before + 4001);
  }
  expect_exact();
}

TEST_F(Streaming, StoppedInTheMiddleOfAReplayItDrainsAndGoesOn) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, scaled(60000, 300000)));
  session.exec("COMMIT");
  wait_stored(1);
  walferry_.stop();
  const auto stored = stored_records();
  EXPECT_LT(stored, static_cast<std::uint64_t>(scaled(60000, 300000)));
  start();
  expect_exact();
}

TEST_F(Streaming, UntilEndsBehindAStreamedTransactionAndBeforeTheNext) {
  start();
  walferry_.stop();
  exec("BEGIN; " + rows("t", 1, 3000) + "; COMMIT");
  const std::string until = lsn_text(postgres_.current_lsn());
  exec("BEGIN; " + rows("t", 3001, 3000) + "; COMMIT");
  EXPECT_EQ(walferry_.run_to_exit({"--until-lsn", until}).exit.code, 0);
  EXPECT_EQ(stored_records(), 3000U);
  EXPECT_GT(streamed_bytes(), 0U);
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

TEST_F(Streaming, ACrashOfTheServerDropsWhatWasInProgress) {
  start();
  {
    PgSession session = postgres_.connect();
    session.exec("BEGIN");
    exec_streamed(session, rows("t", 1, 3000));
    postgres_.stop_immediately();
  }
  postgres_.start();
  wait_streaming();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 10001, 3000));
  session.exec("COMMIT");
  expect_exact();
  EXPECT_EQ(records().size(), 3000U);
}

TEST_F(Streaming, BeyondSpillMaxItGoesOnWithoutStreamingAndLosesNothing) {
  settings().set_string("source", "spill_max", "1MiB");
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, 20000));
  wait_until([&] { return says(walferry_.log(), "source.spill_max"); }, seconds(30),
             "the limit is said");
  exec("INSERT INTO u VALUES (1, 'small')");
  wait_stored(1);
  session.exec("COMMIT");
  wait_complete();
  const auto streamed = streamed_bytes();
  session.exec("BEGIN; " + rows("t", 30001, 3000) + "; COMMIT");
  wait_complete();
  EXPECT_EQ(streamed_bytes(), streamed) << "the session is still without streaming";
  EXPECT_TRUE(says(walferry_.log(), "more than 1048576 bytes")) << walferry_.log();
  expect_exact();
  start();  // and now with it again
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 40001, 3000));
  session.exec("COMMIT");
  expect_exact();
}

// PostgreSQL gives each message the number of its whole transaction: which of them ROLLBACK TO took
// back is only known at the commit.
TEST_F(Streaming, AMessageThatWasTakenBackIsNeitherPublishedNorCounted) {
  settings().set("source", "messages", "[\"note\"]");
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  session.exec("SELECT pg_logical_emit_message(true, 'note', 'kept')");
  session.exec("SAVEPOINT a");
  session.exec("SELECT pg_logical_emit_message(true, 'note', 'taken back')");
  exec_streamed(session, rows("t", 1, 2000));
  session.exec("ROLLBACK TO a");
  session.exec("SELECT pg_logical_emit_message(true, 'note', 'kept too')");
  session.exec(rows("t", 3001, 2000));
  session.exec("COMMIT");
  exec("INSERT INTO u VALUES (1, 'small')");
  wait_complete();
  EXPECT_TRUE(says(walferry_.log(), "does not say which of its logical messages"));
  walferry_.stop();
  std::vector<std::string> messages;
  std::uint64_t last_row = 0;
  for (const Stored& stored : js().read("CDC")) {
    if (stored.subject == "cdc._message.note") messages.push_back(stored.payload);
    if (stored.subject != "cdc.public.t.insert") continue;
    last_row = nlohmann::json::parse(stored.payload)["seq"].get<std::uint64_t>();
  }
  EXPECT_EQ(messages, (std::vector<std::string>{"kept", "kept too"}));
  EXPECT_EQ(last_row, 2002U);
}

TEST_F(Streaming, AFolderThatCannotBeWrittenToIsAPrecondition) {
  settings().set_string("source", "spill_dir", "");
  walferry_.start({}, {"TMPDIR=/nonexistent"});
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "/nonexistent")) << log;
  EXPECT_TRUE(says(log, "source.spill_dir")) << log;
}

TEST_F(Streaming, AHugeTransactionTakesNoMoreMemoryThanASmallOne) {
  start();
  PgSession session = postgres_.connect();
  session.exec("BEGIN");
  exec_streamed(session, rows("t", 1, scaled(50000, 500000)));
  for (int i = 0; i < scaled(20, 500); ++i) {
    session.exec("SAVEPOINT s; " + rows("t", 1000000 + i * 100, 100) + "; ROLLBACK TO s");
  }
  session.exec("COMMIT");
  wait_complete(seconds(scaled(90, 600)));
  walferry_.terminate();
  const Exit exit = walferry_.wait_exit();
  EXPECT_EQ(exit.code, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(exit.peak_memory_kib, 64 * 1024);
#endif
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

}  // namespace
}  // namespace scenarios
