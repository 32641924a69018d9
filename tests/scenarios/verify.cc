// walferry verify: the stream folded by key against the tables, with real servers. What it must
// call equal, in running loads and every format.
#include "tests/scenarios/verify_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

TEST_F(Verify, FindsAllEqualUnderARunningLoadInEveryFormat) {
  create_load_tables();
  start();
  Load load(postgres_.conninfo(), {.truncates = true});
  load.wait_for_more(200);
  for (const std::string format : {"json", "debezium", "cloudevents", "json"}) {
    walferry_.stop();
    settings().set_string("publish", "format", format);
    start();
    load.wait_for_more(scaled(200U, 2000U));
    const json report = expect_equal();
    EXPECT_EQ(report.size(), Load::tables().size()) << format;
  }
  load.stop();
  std::uint64_t rows = 0;
  const json settled = expect_equal();
  for (const json& table : settled) rows += table["rows"].get<unsigned>();
  EXPECT_GT(rows, 100U);
}

TEST_F(Verify, FindsAllEqualWithPacksAndSplitRecords) {
  create_load_tables();
  create_table("wide", "id int PRIMARY KEY, a text, b text");
  settings().set_string("publish", "pack", "transaction");
  settings().set_string("publish", "oversize", "split");
  settings().set_string("publish", "max_message", "4KiB");
  start();
  Load load(postgres_.conninfo(), {});
  exec("INSERT INTO wide SELECT i, repeat(md5(i::text), 200), 'x' FROM generate_series(1, 30) i");
  exec("UPDATE wide SET b = 'y' WHERE id % 3 = 0");
  load.wait_for_more(scaled(300U, 3000U));
  expect_equal();
}

TEST_F(Verify, FollowsUnchangedValuesKeysThatChangeAndTruncates) {
  exec("CREATE TABLE t (id int PRIMARY KEY, big text, v text)");
  exec("ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
  settings().table("public.t");
  for (const std::string format : {"json", "debezium"}) {
    settings().set_string("publish", "format", format);
    start();
    exec("INSERT INTO t VALUES (1, repeat('a', 5000), 'gone'), (2, 'b', 'gone')");
    exec("TRUNCATE t");
    exec("INSERT INTO t SELECT i, repeat(i::text, 5000), 'new' FROM generate_series(1, 9) i");
    exec("UPDATE t SET v = 'one'");
    exec("UPDATE t SET v = 'two' WHERE id < 4");
    exec(
        "BEGIN; UPDATE t SET id = -id WHERE id = 8; UPDATE t SET id = 8, v = 'moved' WHERE id = 9;"
        "UPDATE t SET id = 9 WHERE id = -8; COMMIT");
    exec("DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 'short', 'again')");
    const json report = expect_equal();
    EXPECT_EQ(report["public.t"]["rows"], 9) << format;
    EXPECT_EQ(report["public.t"]["not_compared"]["unchanged"], 0) << "moved with their values";
    exec("TRUNCATE t");
    EXPECT_EQ(expect_equal()["public.t"]["rows"], 0);
    walferry_.stop();
  }
}

TEST_F(Verify, CountsTheRowsOfATableWithoutAKey) {
  create_table("log", "at int, what text");
  exec("ALTER TABLE log REPLICA IDENTITY FULL");
  create_table("append", "at int, what text");
  start();
  exec("INSERT INTO log SELECT i % 3, 'x' FROM generate_series(1, 30) i");
  exec("DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE at = 1 LIMIT 4)");
  exec("UPDATE log SET what = 'y' WHERE ctid IN (SELECT ctid FROM log WHERE at = 2 LIMIT 3)");
  exec("INSERT INTO append SELECT i % 3, NULL FROM generate_series(1, 30) i");
  const json report = expect_equal();
  EXPECT_EQ(report["public.log"]["rows"], 26);
  EXPECT_EQ(report["public.append"]["rows"], 30);
  walferry_.stop();
  plant(R"({"op":"insert","schema":"public","table":"log","key":null,"before":null,)"
        R"("after":{"at":0,"what":"x"},"lsn":"0/1","commit_lsn":"0/1","seq":1,"xid":3})",
        "cdc.public.log.insert");
  const json differences = expect_different();
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_EQ(differences[0]["difference"], "extra");
  EXPECT_EQ(differences[0]["key"], json::parse(R"({"at":0,"what":"x"})"));
  EXPECT_EQ(differences[0]["times_in_table"], 10);
  EXPECT_EQ(differences[0]["times_in_stream"], 11);
}

TEST_F(Verify, KnowsMasksFiltersChosenColumnsAndKeys) {
  exec("CREATE TABLE t (id int PRIMARY KEY, secret text, hidden text, n int, u text NOT NULL)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  settings().table("public.t",
                   "snapshot = \"never\"\nexclude = [\"hidden\"]\nmask = { secret = \"hash\" }\n"
                   "where = \"n > 10\"\nkey = [\"u\"]");
  for (const std::string format : {"json", "debezium"}) {
    settings().set_string("publish", "format", format);
    start();
    exec("INSERT INTO t SELECT i, 's' || i, 'h', i, 'u' || i FROM generate_series(1, 20) i");
    exec("UPDATE t SET n = 5 WHERE id = 12");
    exec("UPDATE t SET n = 50 WHERE id = 2");
    const json report = expect_equal();
    EXPECT_EQ(report["public.t"]["rows"], 10);
    exec("DELETE FROM t");
    EXPECT_EQ(expect_equal()["public.t"]["rows"], 0);
    walferry_.stop();
  }
}

TEST_F(Verify, ReadsTablesOfHostileNamesAndEveryType) {
  const std::string name = "a.b \"c\" *>%Ä";
  exec("CREATE TABLE " + sql_name(name) + " (" + sql_name("key \\ \"\t") +
       " numeric(8,2), \"Id\" timestamptz, \"id\" date, " + sql_name("\x01\n") +
       " text, arr text[], doc jsonb, bytes bytea, f float8, e interval, "
       "PRIMARY KEY (" +
       sql_name("key \\ \"\t") + ", \"Id\", \"id\"))");
  exec("CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)");
  exec("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)");
  exec("CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)");
  exec("CREATE TABLE parent (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)");
  exec("CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)");
  settings().table("public.*");
  for (const std::string format : {"json", "debezium"}) {
    settings().set_string("publish", "format", format);
    settings().set_string("stream", "name", "CDC_" + format);
    settings().set_string("stream", "subject_prefix", "cdc_" + format);
    settings().set_string("source", "slot", "walferry_" + format);
    walferry_.start();
    wait_until([&] { return postgres_.slot_active("walferry_" + format); }, seconds(30), "starts");
    exec("INSERT INTO " + sql_name(name) +
         " VALUES (1.50, '2026-11-24 10:00:00.25+02', '2026-11-24', E'tab\\t nl\\n back\\\\ nul', "
         "'{a,NULL,\"b c\"}', '{\"a\": [1, 2.50]}', '\\x00ff', 'NaN', '1 day'), "
         "(2, 'infinity', '-infinity', '', '{}', 'null', '', 1e300, NULL), "
         "(3, '0044-03-15 BC', '0044-03-15 BC', NULL, NULL, NULL, NULL, -0.0, '-1 mon')");
    exec("UPDATE " + sql_name(name) + " SET f = 2, doc = '[]' WHERE arr IS NULL");
    exec("INSERT INTO parts SELECT i, 'p' FROM generate_series(1, 19) i");
    exec("UPDATE parts SET id = 19 - id WHERE id = 19");
    exec("INSERT INTO parent VALUES (1)");
    exec("INSERT INTO child VALUES (2)");
    const json report = expect_equal();
    EXPECT_EQ(report["public." + name]["rows"], 3);
    EXPECT_EQ(report["public.parts"]["rows"], 19);
    EXPECT_EQ(report["public.parent"]["rows"], 1);
    EXPECT_EQ(report["public.child"]["rows"], 1);
    walferry_.stop();
    exec("TRUNCATE parts, parent, child, " + sql_name(name));
  }
}

TEST_F(Verify, DoesNotCountWhatItsSnapshotDoesNotSee) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 50) i");
  wait_stored(50);
  // A commit that waits for a standby is in WAL and in the stream, and nobody sees it.
  exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  exec("SELECT pg_reload_conf()");
  PgSession writer = postgres_.connect();
  std::thread waits([&] {
    try {
      writer.exec("UPDATE t SET v = 'new' WHERE id <= 20");
    } catch (const SqlError&) {  // its session is ended below
    }
  });
  wait_stored(70);
  const json report = expect_equal();
  EXPECT_EQ(report["public.t"]["rows"], 50);
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM t WHERE v = 'old'"), "50");
  exec("ALTER SYSTEM RESET synchronous_standby_names");
  exec("SELECT pg_reload_conf()");
  waits.join();
  expect_equal();
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM t WHERE v = 'old'"), "30");
}

TEST_F(Verify, CountsColumnsThatCameLaterAndSaysWhichTypesHaveChanged) {
  create_table("t", "id int PRIMARY KEY, n int");
  start();
  exec("INSERT INTO t SELECT i, i FROM generate_series(1, 10) i");
  exec("ALTER TABLE t ADD later text DEFAULT 'd'");
  exec("UPDATE t SET n = 0 WHERE id <= 3");
  const json report = expect_equal();
  EXPECT_EQ(report["public.t"]["not_compared"]["absent"], 7);
  exec("ALTER TABLE t ALTER n TYPE numeric(6,2)");
  const Finished finished = verify({}, 1);
  EXPECT_TRUE(says(finished.out, "type of column n has changed")) << finished.out;
  EXPECT_TRUE(says(finished.out, "10 altered")) << finished.out;
  exec("ALTER TABLE t DROP later");
  EXPECT_TRUE(says(verify({}, 1).out, "column later of the stream not compared"));
}

// There every value is a part of the row's name.
TEST_F(Verify, RowsWithoutAKeyThatAreNotToldWholeAreNotFollowed) {
  create_table("log", "at int, what text");
  exec("ALTER TABLE log REPLICA IDENTITY FULL");
  settings().set_string("publish", "oversize", "omit");
  settings().set_string("publish", "max_message", "2KiB");
  for (const std::string format : {"json", "debezium"}) {
    settings().set_string("publish", "format", format);
    start();
    exec("INSERT INTO log SELECT i % 3, 'x' FROM generate_series(1, 30) i");
    expect_equal();
    exec("INSERT INTO log VALUES (1, repeat('x', 5000))");
    EXPECT_TRUE(says(verify({}, 3).out, "cannot be followed")) << format;
    exec("TRUNCATE log");
    expect_equal();
    exec("INSERT INTO log SELECT i % 3, 'x' FROM generate_series(1, 30) i");
    exec("ALTER TABLE log ADD later int");
    const Finished finished = verify({}, 3);
    EXPECT_TRUE(says(finished.out, "not verified: it has no key")) << finished.out;
    exec("TRUNCATE log; ALTER TABLE log DROP later");
    exec("INSERT INTO log VALUES (1, 'x')");
    EXPECT_EQ(expect_equal()["public.log"]["rows"], 1) << "before the truncate nothing counts";
    exec("TRUNCATE log");
    walferry_.stop();
  }
}

TEST_F(Verify, OmittedValuesAreCountedAndNotCompared) {
  create_table("t", "id int PRIMARY KEY, big text, v int");
  settings().set_string("publish", "oversize", "omit");
  settings().set_string("publish", "max_message", "2KiB");
  for (const std::string format : {"json", "debezium"}) {
    settings().set_string("publish", "format", format);
    start();
    exec("INSERT INTO t SELECT i, repeat('x', i * 500), i FROM generate_series(1, 10) i");
    const json report = expect_equal();
    EXPECT_GT(report["public.t"]["not_compared"]["omitted"], 4);
    exec("TRUNCATE t");
    walferry_.stop();
  }
}

TEST_F(Verify, WorksWithoutADaemonOnceAllIsPublished) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  wait_stored(2);
  walferry_.stop();
  exec("CREATE TABLE other (id int); INSERT INTO other VALUES (1)");
  EXPECT_EQ(expect_equal()["public.t"]["rows"], 2);
  exec("UPDATE t SET v = 'c' WHERE id = 2");
  const Finished behind = verify({}, 3);
  EXPECT_TRUE(says(behind.err, "lacks what was committed from")) << behind.err;
  EXPECT_TRUE(says(behind.err, "--until current")) << behind.err;
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  expect_equal();
}

}  // namespace
}  // namespace scenarios
