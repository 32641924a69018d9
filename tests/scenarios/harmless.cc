// No write of the application ever fails because walferry is there, whatever its tables look like;
// and an idle published table on a busy server holds no WAL.
#include <map>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Harmless : public Scenario {
 protected:
  // What an application does to a table (id int, v text), one statement at a time.
  void expect_writes_work(const std::string& table) {
    for (const std::string& sql :
         {"INSERT INTO " + table + " VALUES (1, 'a'), (2, 'b')",
          "UPDATE " + table + " SET v = 'c' WHERE id = 1",
          "UPDATE " + table + " SET id = 3 WHERE id = 1", "DELETE FROM " + table + " WHERE id = 2",
          "TRUNCATE " + table, "INSERT INTO " + table + " VALUES (9, 'last')"}) {
      EXPECT_NO_THROW(exec(sql)) << sql;
    }
  }
  // The publications that have it, by name.
  std::string publications_of(const std::string& table) {
    return postgres_.value(
        "SELECT string_agg(pubname, ' ' ORDER BY pubname) FROM pg_publication_tables WHERE "
        "tablename = " +
        sql_literal(table));
  }
  void wait_published(const std::string& table, Milliseconds deadline = seconds(30)) {
    wait_until([&] { return !publications_of(table).empty(); }, deadline,
               table + " is in a publication");
  }
  // Without a replica identity only inserts and truncates can be published.
  static Expected inserts_only(const std::string& table) {
    Expected expected;
    expected.published = [table](const std::string& name, const std::string& op) {
      return name != table || op == "insert" || op == "truncate";
    };
    return expected;
  }
  void expect_exact_inserts_only(const std::string& table) {
    const Expected expected = inserts_only(table);
    std::uint64_t due = 0;
    for (const auto& transaction : oracle_->read()) {
      for (const auto& change : transaction.changes) {
        due += expected.published("public." + change.table, change.op) ? 1U : 0U;
      }
    }
    wait_stored(due);
    walferry_.stop();
    EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_, expected));
  }
};

TEST_F(Harmless, ATableWithoutAKeyIsWrittenAsEverAndItsInsertsArrive) {
  create_table("keyless", "id int, v text");
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  expect_writes_work("keyless");
  expect_writes_work("t");
  EXPECT_EQ(postgres_.value("SELECT string_agg(tablename, ',') FROM pg_publication_tables WHERE "
                            "pubname = 'walferry_insert'"),
            "keyless");
  EXPECT_EQ(postgres_.value("SELECT pubinsert::text || pubupdate || pubdelete || pubtruncate FROM "
                            "pg_publication WHERE pubname = 'walferry_insert'"),
            "truefalsefalsetrue");
  EXPECT_TRUE(says(walferry_.log(), "keyless")) << "a warning names the table";
  expect_exact_inserts_only("public.keyless");
}

TEST_F(Harmless, ATableWithADeferrablePrimaryKeyIsWrittenAsEver) {
  create_table("late", "id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text");
  start();
  expect_writes_work("late");
  expect_exact_inserts_only("public.late");
}

TEST_F(Harmless, ATableWithIdentityNothingIsWrittenAsEver) {
  create_table("nothing", "id int PRIMARY KEY, v text");
  exec("ALTER TABLE nothing REPLICA IDENTITY NOTHING");
  start();
  expect_writes_work("nothing");
  expect_exact_inserts_only("public.nothing");
}

TEST_F(Harmless, ATableUnderFullIdentityIsWrittenAsEverAndArrivesWhole) {
  create_table("whole", "id int, v text");
  exec("ALTER TABLE whole REPLICA IDENTITY FULL");
  start();
  expect_writes_work("whole");
  expect_exact();
}

TEST_F(Harmless, APatternTakesTablesOfAllKindsAndBreaksNone) {
  exec(
      "CREATE TABLE keyed (id int PRIMARY KEY, v text);"
      "CREATE TABLE keyless (id int, v text);"
      "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, v text);"
      "CREATE TABLE whole (id int, v text); ALTER TABLE whole REPLICA IDENTITY FULL;"
      "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, v text);"
      "CREATE TABLE root (id int, v text) PARTITION BY RANGE (id);"
      "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (100);"
      "CREATE VIEW view AS SELECT * FROM keyed;"
      "CREATE MATERIALIZED VIEW materialized AS SELECT * FROM keyed");
  settings().table("public.*");
  start();
  for (const std::string table :
       {"keyed", "keyless", "late", "whole", "unlogged", "root", "leaf"}) {
    expect_writes_work(table);
  }
  wait_until(
      [&] {
        const auto all = records();
        return !all.empty() && all.back().table == "root" && all.back().op == "insert" &&
               all.back().after["id"] == 9 && all.size() > 18;
      },
      seconds(30), "the last insert");
  walferry_.stop();
  std::map<std::string, int> inserts;
  for (const auto& record : records()) {
    inserts[record.table] += record.op == "insert" ? 1 : 0;
  }
  EXPECT_EQ(inserts["keyed"], 3);
  EXPECT_EQ(inserts["keyless"], 3);
  EXPECT_EQ(inserts["late"], 3);
  EXPECT_EQ(inserts["whole"], 3);
  EXPECT_EQ(inserts["root"], 6);
}

TEST_F(Harmless, APartitionedTableWithoutAKeyIsWrittenAsEver) {
  exec(
      "CREATE TABLE root (id int, v text) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (3);"
      "CREATE TABLE high PARTITION OF root FOR VALUES FROM (3) TO (100)");
  settings().table("public.root");
  start();
  expect_writes_work("root");
}

TEST_F(Harmless, APartitionWithAnotherIdentityThanItsRootIsWrittenAsEver) {
  exec(
      "CREATE TABLE root (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (3);"
      "CREATE TABLE high PARTITION OF root FOR VALUES FROM (3) TO (100);"
      "ALTER TABLE low REPLICA IDENTITY NOTHING");
  settings().table("public.root");
  start();
  expect_writes_work("root");
}

TEST_F(Harmless, ANewTableOfAPatternIsTakenUpAfterSighup) {
  exec("CREATE TABLE first (id int PRIMARY KEY, v text)");
  settings().table("public.*");
  start();
  exec(
      "CREATE TABLE second (id int PRIMARY KEY, v text);"
      "CREATE TABLE third (id int, v text)");
  walferry_.send(SIGHUP);
  wait_published("second");
  wait_published("third");
  expect_writes_work("second");
  expect_writes_work("third");
  expect_exact_inserts_only("public.third");
}

TEST_F(Harmless, ANewTableOfAPatternIsTakenUpByItselfWithinAMinute) {
  if (!long_tests()) {
    GTEST_SKIP() << "it waits for the next look at the tables";
  }
  exec("CREATE TABLE first (id int PRIMARY KEY, v text)");
  settings().table("public.*");
  start();
  exec("CREATE TABLE second (id int PRIMARY KEY, v text)");
  exec("CREATE TABLE third (id int, v text)");
  wait_published("second", seconds(70));
  wait_published("third", seconds(5));
  expect_writes_work("second");
  expect_writes_work("third");
  expect_exact_inserts_only("public.third");
}

TEST_F(Harmless, ATableThatLosesItsPrimaryKeyCanBeUpdatedAgainAfterSighup) {
  create_table("t", "id int PRIMARY KEY, v text");
  create_table("other", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'keyed')");
  EXPECT_EQ(publications_of("t"), "walferry");
  exec("ALTER TABLE t DROP CONSTRAINT t_pkey");
  walferry_.send(SIGHUP);
  wait_until([&] { return publications_of("t") == "walferry_insert"; }, seconds(30),
             "only its inserts are published");
  expect_writes_work("t");
  expect_writes_work("other");
  const auto warned = [&] {
    const std::string warnings = lines_saying(walferry_.log(), "Z warn");
    return says(warnings, "public.t") && says(warnings, "replica identity");
  };
  EXPECT_TRUE(becomes_true(warned, seconds(10))) << walferry_.log();
  EXPECT_FALSE(says(lines_saying(walferry_.log(), "Z warn"), "public.other")) << walferry_.log();
  expect_exact_inserts_only("public.t");
  const auto all = records();
  EXPECT_EQ(all.at(0).key.dump(), R"({"id":1})");
  EXPECT_TRUE(all.at(1).key.is_null()) << all.at(1).payload;
}

TEST_F(Harmless, APatternLeavesOutExcludedTables) {
  exec("CREATE TABLE taken (id int PRIMARY KEY, v text); CREATE TABLE left_out (id int, v text)");
  settings().table("public.*").set("source", "exclude_tables", "[\"public.left_out\"]");
  start();
  expect_writes_work("left_out");
  exec("INSERT INTO taken VALUES (1, 'x')");
  wait_stored(1);
  EXPECT_EQ(records().at(0).table, "taken");
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication_tables WHERE tablename = "
                            "'left_out'"),
            "0");
}

TEST_F(Harmless, AnApplicationsWritesWorkWhileNatsIsDown) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  nats_.kill_hard();
  expect_writes_work("t");
  nats_.start();
  expect_exact();
}

// ---- idle: nothing to publish, much to read

class Idle : public Scenario {
 protected:
  void SetUp() override {
    create_table("idle", "id int PRIMARY KEY, v text");
    exec("CREATE TABLE busy (id int PRIMARY KEY, v text)");
  }
  void write_busily() {
    for (int i = 0; i < 20; ++i) {
      exec(
          "INSERT INTO busy SELECT i, repeat('x', 100) FROM generate_series(1, 500) i;"
          "DELETE FROM busy");
    }
  }
  void expect_confirmed_follows() {
    const std::uint64_t goal = postgres_.current_lsn();
    // An idle server writes nothing more by itself that would carry the position along.
    wait_until([&] { return postgres_.confirmed_flush("walferry") >= goal; }, seconds(30),
               "the slot's confirmed position follows to " + lsn_text(goal));
  }
};

TEST_F(Idle, TheConfirmedPositionFollowsABusyServerThoughNothingIsPublished) {
  settings().set("source", "replay_window", "\"0\"");
  start();
  write_busily();
  expect_confirmed_follows();
  exec("INSERT INTO idle VALUES (1, 'x')");
  wait_stored(1);
  write_busily();
  expect_confirmed_follows();
}

TEST_F(Idle, TheConfirmedPositionFollowsBehindASmallReplayWindow) {
  settings().set("source", "replay_window", "\"1s\"");
  start();
  exec("INSERT INTO idle VALUES (1, 'x')");
  write_busily();
  expect_confirmed_follows();
}

TEST_F(Idle, ABusyNeighbourDatabaseHoldsNoWal) {
  settings().set("source", "replay_window", "\"0\"");
  exec("CREATE DATABASE neighbour");
  start();
  PgSession neighbour(postgres_.conninfo() + " dbname=neighbour");
  neighbour.exec(
      "CREATE TABLE busy AS SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i");
  expect_confirmed_follows();
}

TEST_F(Idle, AReplayWindowHoldsNoMoreWalThanItsLimit) {
  settings()
      .set("source", "replay_window", "\"1h\"")
      .set("source", "replay_window_max", "\"1MiB\"");
  start();
  const std::uint64_t begin = postgres_.confirmed_flush("walferry");
  for (int i = 0; i < 8; ++i) {
    exec("INSERT INTO idle SELECT i, repeat('x', 500) FROM generate_series(" +
         std::to_string(i * 1000) + ", " + std::to_string(i * 1000 + 999) + ") i");
  }
  const std::uint64_t end = postgres_.current_lsn();
  ASSERT_GT(end, begin + (4U << 20U));
  wait_until([&] { return postgres_.confirmed_flush("walferry") + (2U << 20U) >= end; },
             seconds(30), "the confirmed position follows within the limit");
  EXPECT_LT(postgres_.confirmed_flush("walferry"), end) << "and keeps the window";
}

TEST_F(Idle, AStreamThatCannotBeReachedIsNeverConfirmedPast) {
  settings().set("source", "replay_window", "\"0\"");
  start();
  exec("INSERT INTO idle VALUES (1, 'x')");
  wait_stored(1);
  nats_.kill_hard();
  exec("INSERT INTO idle VALUES (2, 'not stored')");
  const std::uint64_t end = oracle_->read().back().end_lsn;
  write_busily();
  EXPECT_TRUE(stays_true([&] { return postgres_.confirmed_flush("walferry") < end; }, seconds(3)));
  nats_.start();
  wait_stored(2);
  expect_confirmed_follows();
}

}  // namespace
}  // namespace scenarios
