// What makes a snapshot wrong: commits that are in the stream and not visible yet, writers that are
// older than the publication, a crash at each step, tables that do not stay as they were.
// snapshot_keys.cc has the keys.
#include <thread>

#include "tests/scenarios/snapshot_rig.h"

namespace scenarios {
namespace {

struct SnapshotTraps : Snapshot {
  void fill_t(int rows) {
    table_to_read("t", "id int PRIMARY KEY, v text");
    exec("INSERT INTO t SELECT i, 'old' FROM generate_series(1, " + std::to_string(rows) + ") i");
  }
  // The slot and the publication are there, and nothing was read of t.
  void begin_without_snapshot() {
    settings().no_tables().table("public.t");
    start();
    walferry_.stop();
    settings().no_tables().table("public.t", "");
  }
  void expect_t() {
    wait_for_all();
    walferry_.stop();
    EXPECT_EQ(folded().rows("public.t"),
              rows_of(postgres_, "SELECT json_build_object('id', id), row_to_json(t) FROM t"));
  }
  void wait_rows(std::uint64_t rows) {
    wait_until([&] { return js().count("CDC", "cdc.public.*.snapshot") >= rows; }, seconds(60),
               std::to_string(rows) + " rows of the snapshot");
  }
  void synchronous_standby(const std::string& names) {
    exec("ALTER SYSTEM SET synchronous_standby_names = '" + names + "'");
    exec("SELECT pg_reload_conf()");
    wait_until([&] { return postgres_.connect().value("SHOW synchronous_standby_names") == names; },
               seconds(10), "the setting is in force");
  }
};

TEST_F(SnapshotTraps, CommitThatWaitsForAStandbyIsNotUndoneByAnOldRow) {
  fill_t(scaled(3000, 30000));
  settings().set("snapshot", "chunk_rows", "20");
  begin_without_snapshot();
  start();
  wait_rows(40);
  synchronous_standby("nobody");
  // Each is in WAL, and so in the stream, and stays invisible until the standby is given up.
  std::vector<std::thread> writers;
  writers.reserve(8);
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([&, i] {
      postgres_.connect().exec("UPDATE t SET v = 'new' WHERE id % 8 = " + std::to_string(i) +
                               " AND id > 500");
    });
  }
  const auto updates = [&] { return js().count("CDC", "cdc.public.t.update"); };
  wait_until([&] { return updates() > 0; }, seconds(60), "an update is in the stream");
  let_pass(Milliseconds(500));  // however far the snapshot would come
  EXPECT_EQ(words(), 0U);
  // Not through walferry's own statements: setting it commits locally.
  PgSession session = postgres_.connect();
  session.exec("SET synchronous_commit = local");
  session.exec("ALTER SYSTEM RESET synchronous_standby_names");
  session.exec("SELECT pg_reload_conf()");
  for (std::thread& writer : writers) writer.join();
  wait_words(1);
  expect_t();
}

TEST_F(SnapshotTraps, RowsOfWritersThatAreOlderThanThePublicationAreThere) {
  table_to_read("u", "id int PRIMARY KEY");
  start();
  wait_words(1);
  exec("CREATE TABLE t (id int PRIMARY KEY, v text)");
  exec("INSERT INTO t VALUES (1, 'there')");
  PgSession writer = postgres_.connect();
  writer.exec("BEGIN; INSERT INTO t VALUES (2, 'before the publication')");
  walferry_.stop();
  settings().table("public.t", "");
  start();
  wait_until([&] { return says(walferry_.log(), "waits for 1 open transaction"); }, seconds(30),
             "the snapshot waits");
  EXPECT_EQ(js().count("CDC", "cdc.public.t.snapshot"), 0U);
  // More transactions than are kept in mind before it is asked which of them are visible.
  exec(
      "DO $$ BEGIN FOR i IN 11..12010 LOOP INSERT INTO t VALUES (i, 'short'); COMMIT; END LOOP; "
      "END $$");
  wait_until([&] { return js().count("CDC", "cdc.public.t.insert") == 12000; }, seconds(60),
             "changes are published while the snapshot waits");
  writer.exec("UPDATE t SET v = v || ', changed after' WHERE id = 2; COMMIT");
  wait_words(2);
  expect_t();
}

TEST_F(SnapshotTraps, KilledAtEachStepItGoesOnAndRepeatsOnlyWhatWasInFlight) {
  fill_t(1000);
  exec("UPDATE t SET v = 'x'");
  begin_without_snapshot();
  for (const std::string step :
       {"before_low_mark:2", "snapshot_piece:2", "before_high_mark:2", "mid_chunk:150",
        "stored_unacked:2", "chunk_stored:2", "progress_saved:2", "shape_saved:1"}) {
    walferry_.start({}, {"WALFERRY_FAILPOINT=" + step});
    wait_until([&] { return !walferry_.running() || words() > 0; }, seconds(60), step);
    if (!walferry_.running()) {
      EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << step;
    }
    exec("UPDATE t SET v = v || 'y' WHERE id % 3 = 0");
    if (words() > 0) break;
  }
  if (!walferry_.running()) start();
  wait_words(1);
  expect_t();
  const SnapshotFold fold = folded();
  EXPECT_GE(fold.complete_with("public.t"), 0);
  // At most three chunks are in flight, and each death repeats those.
  EXPECT_LE(fold.read_again("public.t"), 8U * 3 * 100);
}

// The row's record at its new key lacks the document, its old key is not there to be read any more,
// and what is before has been read: it must be read once more, whatever dies in between.
TEST_F(SnapshotTraps, ARowMovedBackIntoWhatIsReadIsNotWithoutItsUnchangedValues) {
  table_to_read("t", "id int PRIMARY KEY, v text, doc text");
  exec("ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL");
  exec(
      "INSERT INTO t SELECT i, 'there', repeat(md5(i::text), 100) "
      "FROM generate_series(1, 1000) i");
  begin_without_snapshot();
  walferry_.start({}, {"WALFERRY_FAILPOINT=progress_saved:2"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  exec("UPDATE t SET id = -id WHERE id > 995");  // while nobody watches
  exec("UPDATE t SET id = id * 2 WHERE id < -997");
  for (int run = 0; run < 30 && words() == 0; ++run) {
    walferry_.start({}, {"WALFERRY_FAILPOINT=progress_saved:1"});
    wait_until([&] { return !walferry_.running() || words() > 0; }, seconds(60), "another step");
    if (run == 3) exec("UPDATE t SET id = id - 5000 WHERE id BETWEEN 900 AND 903");
  }
  walferry_.wait_exit();  // once the word is stored, that is saved
  start();
  wait_words(1);
  wait_for_all();
  expect_t();
}

TEST_F(SnapshotTraps, TruncateInBetweenLeavesNothingOfBefore) {
  fill_t(4000);
  settings().set("snapshot", "chunk_rows", "20");
  start();
  wait_rows(100);
  exec("TRUNCATE t; INSERT INTO t SELECT i, 'new' FROM generate_series(2000, 2100) i");
  wait_words(1);
  expect_t();
}

TEST_F(SnapshotTraps, TableAlteredInBetweenGoesOnInItsNewShape) {
  fill_t(3000);
  settings().set("snapshot", "chunk_rows", "20");
  start();
  wait_rows(100);
  exec("ALTER TABLE t ADD extra int");
  exec("UPDATE t SET extra = 7 WHERE id % 2 = 0");
  exec("ALTER TABLE t ALTER id TYPE bigint");
  wait_words(1);
  wait_for_all();
  walferry_.stop();
  const auto fold = folded();
  const auto rows = fold.rows("public.t");
  EXPECT_EQ(rows.size(), 3000U);
  EXPECT_EQ(rows.at(R"({"id":3000})").dump(), R"({"extra":7,"id":3000,"v":"old"})");
}

TEST_F(SnapshotTraps, DroppedTableEndsItsSnapshotAndNothingElse) {
  fill_t(3000);
  settings().set("snapshot", "chunk_rows", "20");
  table_to_read("u", "id int PRIMARY KEY");
  exec("INSERT INTO u VALUES (1)");
  start();
  wait_rows(100);
  exec("DROP TABLE t");
  wait_words(1);
  walferry_.stop();
  EXPECT_EQ(folded().complete_with("public.u"), 1);
}

TEST_F(SnapshotTraps, ATableThatTookTheNameOfOneThatWasReadIsReadToo) {
  fill_t(100);
  start();
  wait_words(1);
  exec(
      "CREATE TABLE fresh (id int PRIMARY KEY, v text); "
      "INSERT INTO fresh SELECT i, 'fresh' FROM generate_series(1, 300) i; "
      "DROP TABLE t; ALTER TABLE fresh RENAME TO t");
  walferry_.send(SIGHUP);
  wait_words(2);
  expect_t();
}

TEST_F(SnapshotTraps, ATableThatIsTakenOutAndPutInAgainIsReadAgain) {
  settings().set("source", "replay_window", "\"0\"");
  table_to_read("u", "id int PRIMARY KEY");
  const Settings without = settings();
  fill_t(100);
  start();
  wait_words(2);
  const Settings with = settings();
  const auto saved = [&] {
    return js().key_value("walferry", "CDC.walferry.snapshots").value_or("");
  };
  // Its reading is forgotten once the stream cannot lose it any more.
  walferry_.stop();
  settings() = without;
  start();
  wait_until(
      [&] {
        exec("INSERT INTO u SELECT coalesce(max(id), 0) + 1 FROM u");
        walferry_.send(SIGHUP);
        return !says(saved(), "\"t\\\"");
      },
      seconds(60), "the reading of t is forgotten");
  exec("UPDATE t SET v = 'unseen'; INSERT INTO t VALUES (101, 'unseen')");
  walferry_.stop();
  settings() = with;
  start();
  wait_words(3);
  expect_t();
}

TEST_F(SnapshotTraps, PartitionsAreReadThroughTheirRootAndParentsWithoutTheirChildren) {
  exec(
      "CREATE TABLE part (id int, region text, v int, PRIMARY KEY (id, region)) "
      "PARTITION BY LIST (region);"
      "CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');"
      "CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us');"
      "INSERT INTO part SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, i "
      "FROM generate_series(1, 250) i;"
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);"
      "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);"
      "CREATE TABLE empty (id int PRIMARY KEY);"
      "CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);"
      "INSERT INTO made VALUES (4)");
  for (const char* table : {"part", "parent", "empty", "made"}) {
    settings().table(std::string("public.") + table, "");
  }
  start();
  wait_words(4);
  exec("UPDATE made SET id = 5; UPDATE part SET v = 0 WHERE id = 3");
  wait_for_all();
  walferry_.stop();
  const SnapshotFold fold = folded();
  EXPECT_EQ(fold.complete_with("public.part"), 250);
  EXPECT_EQ(fold.rows("public.part").size(), 250U);
  EXPECT_EQ(fold.complete_with("public.parent"), 1);
  EXPECT_EQ(fold.complete_with("public.empty"), 0);
  EXPECT_EQ(fold.rows("public.made").begin()->second.dump(), R"({"id":5})");
  std::string shapes;
  for (const Stored& stored : js().read("CDC")) {
    if (stored.subject == "cdc._schema.public.made") shapes += stored.payload + "\n";
  }
  EXPECT_EQ(js().count("CDC", "cdc._schema.public.made"), 1U) << shapes;
}

TEST_F(SnapshotTraps, WhatIsChosenOfATableIsChosenOfItsSnapshot) {
  exec("CREATE TABLE t (id int PRIMARY KEY, region text, secret text, doc text)");
  exec(
      "INSERT INTO t SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, 's' || i, "
      "repeat('x', i * 100) FROM generate_series(1, 100) i");
  settings().table("public.t",
                   "where = \"region = 'eu'\"\nmask = { secret = \"redact\" }\n"
                   "exclude = [\"region\"]");
  settings().set_string("publish", "oversize", "omit").set_string("publish", "max_message", "5KiB");
  start();
  wait_words(1);
  const auto rows = folded().rows("public.t");
  EXPECT_EQ(rows.size(), 50U);
  EXPECT_EQ(rows.at(R"({"id":2})").dump(),
            R"({"doc":")" + std::string(200, 'x') + R"(","id":2,"secret":"***"})");
  EXPECT_EQ(rows.at(R"({"id":100})").dump(), R"({"id":100,"secret":"***"})");
}

TEST_F(SnapshotTraps, WideRowsAreReadInConstantMemory) {
  table_to_read("t", "id int PRIMARY KEY, doc text");
  exec("ALTER TABLE t ALTER doc SET STORAGE EXTERNAL");
  exec("INSERT INTO t SELECT i, repeat(md5(i::text), 6250) FROM generate_series(1, 500) i");
  settings().set("snapshot", "chunk_rows", "10000");
  start();
  wait_words(1);
  EXPECT_EQ(folded().complete_with("public.t"), 500);
  EXPECT_EQ(folded().read_again("public.t"), 0U);
}

}  // namespace
}  // namespace scenarios
