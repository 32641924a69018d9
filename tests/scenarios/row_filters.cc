// `where`: the stream, folded by key, is exactly the rows that match, whoever filters; and no write
// of the application fails by it.
#include <csignal>

#include "tests/scenarios/choice_rig.h"

namespace scenarios {
namespace {

class RowFilters : public ChoiceScenario {
 protected:
  // Moves rows of t (id int, v int, doc text) into and out of `v > 10`, and `id > 100`, every way.
  void write_every_way() {
    expect_writes({
        "INSERT INTO t SELECT i, i % 20, 'row ' || i FROM generate_series(1, 60) i",
        "INSERT INTO t SELECT i, 15, 'row ' || i FROM generate_series(101, 105) i",
        "UPDATE t SET v = 20 WHERE id IN (1, 2, 3)",
        "UPDATE t SET v = 0 WHERE id IN (11, 12, 13)",
        "UPDATE t SET doc = 'matches still' WHERE id = 15",
        "UPDATE t SET doc = 'matches not yet' WHERE id = 5",
        "UPDATE t SET v = NULL WHERE id = 16",
        "UPDATE t SET id = 1000 + id WHERE id BETWEEN 1 AND 20",
        "UPDATE t SET id = id - 1000, v = 20 - v WHERE id BETWEEN 1001 AND 1010",
        "DELETE FROM t WHERE id IN (21, 22, 34, 35)",
        "BEGIN; UPDATE t SET v = 5 WHERE id = 36; UPDATE t SET v = 50 WHERE id = 36; COMMIT",
        "BEGIN; UPDATE t SET v = 50 WHERE id = 41; DELETE FROM t WHERE id = 41; COMMIT",
        "BEGIN; UPDATE t SET id = 137 WHERE id = 37; UPDATE t SET id = 37 WHERE id = 137; COMMIT",
    });
  }
  void expect_folds_to(const std::string& where) {
    const auto folded = fold(finish("t"), "public", "t");
    EXPECT_EQ(folded, rows_of(postgres_,
                              "SELECT json_build_object('id', id), row_to_json(t) "
                              "FROM t WHERE " +
                                  where));
    EXPECT_GT(folded.size(), 3U);
  }
};

TEST_F(RowFilters, OnTheKeyAreTheServers) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  choose("t", "where = \"id > 100\"");
  start();
  write_every_way();
  EXPECT_EQ(published("t"), "walferry (id > 100)");
  EXPECT_EQ(warnings(), "");
  expect_folds_to("id > 100");
}

TEST_F(RowFilters, UnderFullIdentityAreTheServers) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "where = \"v > 10\"");
  start();
  write_every_way();
  EXPECT_EQ(published("t"), "walferry (v > 10)");
  expect_folds_to("v > 10");
}

TEST_F(RowFilters, OnAnIdentityIndexAreTheServers) {
  exec(
      "CREATE TABLE t (id int NOT NULL, v int NOT NULL DEFAULT 0, doc text, UNIQUE (id, v));"
      "ALTER TABLE t REPLICA IDENTITY USING INDEX t_id_v_key");
  choose("t", "where = \"v > 10\"\nkey = [\"id\"]");
  start();
  expect_writes({"INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 20) i",
                 "UPDATE t SET v = 30 WHERE id < 5", "UPDATE t SET v = 1 WHERE id > 15",
                 "DELETE FROM t WHERE id IN (1, 11)"});
  EXPECT_EQ(published("t"), "walferry (v > 10)");
  expect_folds_to("v > 10");
}

TEST_F(RowFilters, OnOtherColumnsAreWalferrysAndBreakNoWrite) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  choose("t", "where = \"v > 10\"");
  start();
  write_every_way();
  EXPECT_EQ(published("t"), "walferry");
  EXPECT_TRUE(says(warnings(), "by one query a row")) << walferry_.log();
  EXPECT_TRUE(says(warnings(), "does not have column v")) << walferry_.log();
  expect_folds_to("v > 10");
}

TEST_F(RowFilters, ASessionThatIsLostIsNoFaultOfTheFilter) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  choose("t", "where = \"v > 10\"");
  start();
  constexpr int batches = 20;
  for (int batch = 0; batch < batches; ++batch) {
    exec("INSERT INTO t SELECT 200 * " + std::to_string(batch) +
         " + i, i % 20, 'row' FROM generate_series(0, 199) i");
    if (batch % 4 != 3) continue;
    wait_until(
        [this] {
          return postgres_.value(
                     "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                     "WHERE query LIKE 'EXECUTE walferry_filter%'") != "0";
        },
        seconds(30), "the filter's session is there to be ended");
  }
  postgres_.stop_immediately();
  postgres_.start();
  expect_folds_to("v > 10");
}

TEST_F(RowFilters, OnATypeThatIsNotBuiltInAreWalferrys) {
  exec(
      "CREATE TYPE mood AS ENUM ('so so', 'happy');"
      "CREATE TABLE t (id int PRIMARY KEY, v mood); ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "where = \"v = 'happy'\"");
  start();
  expect_writes({"INSERT INTO t SELECT i, 'happy' FROM generate_series(1, 9) i",
                 "INSERT INTO t SELECT i, 'so so' FROM generate_series(11, 19) i",
                 "UPDATE t SET v = 'so so' WHERE id < 3", "UPDATE t SET v = 'happy' WHERE id > 17",
                 "DELETE FROM t WHERE id IN (3, 13)"});
  EXPECT_EQ(published("t"), "walferry");
  const auto all = finish("t");
  // With the old rows known, nothing is said of rows that never matched.
  EXPECT_EQ(all.size(), 9U + 2U + 2U + 1U) << ops_of(all);
  EXPECT_EQ(fold(all, "public", "t"),
            rows_of(postgres_,
                    "SELECT json_build_object('id', id), row_to_json(t) FROM t "
                    "WHERE v = 'happy'"));
}

TEST_F(RowFilters, OfATableWithoutAKeyAreTheServers) {
  exec("CREATE TABLE t (id int, v int, doc text)");
  choose("t", "where = \"v > 10\"\ncolumns = [\"id\"]");
  start();
  expect_writes({"INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 20) i",
                 "UPDATE t SET v = 30 WHERE id < 5", "DELETE FROM t WHERE id = 11"});
  EXPECT_EQ(published("t"), "walferry_insert (id,v) (v > 10)");
  const auto all = finish("t");
  ASSERT_EQ(all.size(), 10U);
  EXPECT_EQ(all[0].after.dump(), R"({"id":11})");
}

TEST_F(RowFilters, OfPartitionsNeedEveryPartitionsIdentity) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, v int, doc text) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (30);"
      "CREATE TABLE high PARTITION OF t FOR VALUES FROM (30) TO (10000);"
      "ALTER TABLE high REPLICA IDENTITY FULL");
  choose("t", "where = \"v > 10\"");
  start();
  write_every_way();
  EXPECT_EQ(published("t"), "walferry");
  expect_folds_to("v > 10");
}

// The two partitions' identities all have the key.
TEST_F(RowFilters, OfPartitionsByTheKeyAreTheServers) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, v int, doc text) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (30);"
      "CREATE TABLE high PARTITION OF t FOR VALUES FROM (30) TO (10000);"
      "ALTER TABLE high REPLICA IDENTITY FULL");
  choose("t", "where = \"id > 100\"\ncolumns = [\"id\", \"v\", \"doc\"]");
  start();
  write_every_way();
  EXPECT_EQ(published("t"), "walferry (id > 100)");
  expect_folds_to("id > 100");
}

TEST_F(RowFilters, SurviveTheirChangeBetweenRunsWithWalUnread) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "where = \"id > 10\"");
  start();
  expect_writes({"INSERT INTO t SELECT i, 20, 'a' FROM generate_series(1, 20) i"});
  wait_done();
  walferry_.kill_hard();
  walferry_.wait_exit();
  // Sent under the old filter, published under the new one.
  expect_writes({"INSERT INTO t SELECT i, i % 2 * 20, 'b' FROM generate_series(31, 40) i",
                 "UPDATE t SET v = 0 WHERE id = 12"});
  choose_anew("t", "where = \"id > 10 AND v > 10\"");
  walferry_.start();
  // The session that was killed may seem to stream for a moment yet.
  wait_until([&] { return published("t") == "walferry ((id > 10) AND (v > 10))"; }, seconds(30),
             "the new filter is the server's");
  expect_writes({"INSERT INTO t SELECT i, i % 2 * 20, 'c' FROM generate_series(51, 60) i",
                 "UPDATE t SET v = 0 WHERE id = 13"});
  expect_folds_to("id > 10 AND v > 10");
  const std::uint64_t stored = js().last_sequence("CDC");
  choose_anew("t", "");
  walferry_.start();
  wait_streaming();
  EXPECT_EQ(published("t"), "walferry");
  expect_writes({"INSERT INTO t VALUES (-1, 0, 'd')"});
  wait_done();
  EXPECT_EQ(js().last_sequence("CDC"), stored + 2);
}

TEST_F(RowFilters, AreLeftAloneWhileNothingChanges) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  choose("t", "where = \"id>100 /* Postgres writes it otherwise */\"\ncolumns = [\"v\"]");
  start();
  const auto rows = [&] {
    return postgres_.value("SELECT string_agg(oid::text || xmin, ',') FROM pg_publication_rel");
  };
  const std::string before = rows();
  walferry_.send(SIGHUP);
  exec("CREATE TABLE unrelated (id int)");
  EXPECT_TRUE(becomes_true([&] { return says(walferry_.log(), "looking at the tables again"); },
                           seconds(30)));
  wait_done();
  walferry_.stop();
  walferry_.start();
  wait_streaming();
  wait_done();
  EXPECT_EQ(rows(), before);
}

// The replica identity changes while walferry runs.
TEST_F(RowFilters, MoveToWalferryAndBackWithTheIdentity) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "where = \"v > 10\"");
  start();
  exec("INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 20) i");
  wait_done();
  exec("ALTER TABLE t REPLICA IDENTITY DEFAULT");
  walferry_.send(SIGHUP);
  wait_until([&] { return published("t") == "walferry"; }, seconds(30), "walferry filters");
  expect_writes({"UPDATE t SET v = 30 WHERE id < 3", "UPDATE t SET v = 1 WHERE id > 17"});
  wait_done();
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  walferry_.send(SIGHUP);
  wait_until([&] { return published("t") == "walferry (v > 10)"; }, seconds(30), "Postgres does");
  expect_writes({"UPDATE t SET v = 30 WHERE id = 3", "UPDATE t SET v = 1 WHERE id = 16"});
  expect_folds_to("v > 10");
}

TEST_F(RowFilters, NeverGuessAValueThatWasNotSent) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  exec("ALTER TABLE t ALTER doc SET STORAGE EXTERNAL");
  choose("t", "where = \"length(doc) > 1000\"");
  start();
  exec("INSERT INTO t VALUES (1, 1, repeat('secret', 2000))");
  wait_stored(1);
  exec("UPDATE t SET v = 2");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.t, position")) << log;
  EXPECT_TRUE(says(log, "column doc")) << log;
  EXPECT_TRUE(says(log, "REPLICA IDENTITY FULL")) << log;
}

// An insert that was an update: the server does not send the value.
TEST_F(RowFilters, NameTheValueThatAnUpdateMadeInsertLacks) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v int, doc text)");
  exec("ALTER TABLE t ALTER doc SET STORAGE EXTERNAL");
  choose("t", "where = \"id > 10\"");
  start();
  exec("INSERT INTO t VALUES (1, 1, repeat('long', 2000))");
  exec("UPDATE t SET id = 11");
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert");
  EXPECT_EQ(all[0].after.dump(), R"({"id":11,"v":1})");
  EXPECT_EQ(all[0].unchanged, std::vector<std::string>{"doc"});
}

TEST_F(RowFilters, ThatFailOnARowSayNoValue) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text)");
  choose("t", "where = \"v::int > 0\"");
  start();
  exec("INSERT INTO t VALUES (1, 'secret')");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.t, position")) << log;
  EXPECT_TRUE(says(log, "22P02")) << log;
  EXPECT_FALSE(says(log, "secret")) << log;
}

struct Refused {
  const char* where;
  const char* said;
};

TEST_F(RowFilters, ThatAPublicationWouldNotTakeAreRefusedAtTheStart) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (id) STORED);"
      "CREATE FUNCTION mine(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'");
  const Refused all[] = {{"id >", "syntax error"},
                         {"id", "boolean"},
                         {"nosuch > 1", "nosuch"},
                         {"id > random()", "IMMUTABLE"},
                         {"v > extract(epoch FROM now())", "IMMUTABLE"},
                         {"id IN (SELECT 1)", "subquer"},
                         {"public.mine(id)", "mine(integer) is not built in"},
                         {"g > 1", "\"g\" does not exist"},
                         {"true); DROP TABLE t; --", "syntax error"}};
  for (const Refused& refused : all) {
    choose_anew("t", std::string("where = \"") + refused.where + "\"");
    const auto ended = walferry_.run_to_exit({"--until", "current"});
    EXPECT_EQ(ended.exit.code, 3) << refused.where << ended.err;
    EXPECT_TRUE(says(ended.err, "public.t")) << ended.err;
    EXPECT_TRUE(says(ended.err, refused.said)) << ended.err;
  }
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "0");
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM t"), "0");
}

}  // namespace
}  // namespace scenarios
