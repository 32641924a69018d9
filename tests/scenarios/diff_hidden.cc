// Snapshot-diff: what is to be hidden stays hidden, whatever becomes of the column and of rounds
// that were made before it was to be, and each table is refused for what it is.
#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

class DiffHidden : public Diff {
 protected:
  // In what the stream has behind this message.
  bool shown_behind(std::uint64_t sequence, const std::string& text) {
    for (const Stored& message : js().read("CDC", sequence + 1)) {
      if (message.payload.find(text) != std::string::npos) return true;
    }
    return false;
  }
  void mask_t(bool also_a = true) {
    settings().no_tables();
    if (also_a) compare_table("public.a");
    compare_table("public.t", R"(first = "snapshot")", R"(mask = { secret = "redact" })");
  }
  void keep_store() {
    nats_.stop();
    nats_.save_store("older");
    nats_.start();
  }
  void expect_masked_t() {
    Rows masked;
    for (const auto& row :
         postgres_.query("SELECT row_to_json(r) FROM (SELECT id, v, '***' AS secret FROM t) r")) {
      ++masked[nlohmann::json::parse(row.at(0).value()).dump()];
    }
    EXPECT_EQ(folded().rows("public.t"), masked);
  }
  // t does, and a does not.
  void expect_begins_again_masked(std::uint64_t last) {
    const std::string log = round();
    EXPECT_TRUE(says(log, "made under other settings")) << log;
    EXPECT_FALSE(shown_behind(last, "hush"));
    expect_folds_to({"a"});
    expect_masked_t();
    EXPECT_EQ(folded().restarts("public.t"), 1);
    EXPECT_EQ(folded().restarts("public.a"), 0);
  }
};

TEST_F(DiffHidden, AMaskedColumnThatIsRenamedEndsTheRunAndIsNotShown) {
  exec("CREATE TABLE t (id int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 'hush')");
  compare_table("public.t", "interval = \"100ms\"\nfirst = \"snapshot\"",
                R"(mask = { secret = "redact" })");
  walferry_.start();
  wait_until([&] { return folded().rows("public.t").size() == 1; }, seconds(30), "a round");
  exec("ALTER TABLE t RENAME secret TO secret2");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.t has no column \"secret\"")) << log;
  EXPECT_FALSE(shown_behind(0, "hush"));
  EXPECT_FALSE(shown_behind(0, "secret2"));
}

TEST_F(DiffHidden, AMaskedColumnThatIsRenamedUnderAPatternIsNotShown) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 'hush');"
      "CREATE TABLE u (id int PRIMARY KEY, secret text); INSERT INTO u VALUES (1, 'hush');"
      "CREATE TABLE without (id int PRIMARY KEY)");
  const auto mask = [&](const std::string& columns) {
    settings().no_tables();
    compare_table("public.*", R"(first = "snapshot")", "mask = { " + columns + " }");
  };
  mask(R"(secret = "redact")");
  round();
  exec("ALTER TABLE t RENAME secret TO plain");
  const std::string log = round_fails(3);
  EXPECT_TRUE(says(log, "table public.t: column \"secret\"")) << log;
  EXPECT_TRUE(says(log, "renamed to \"plain\"")) << log;
  mask(R"(secret = "redact", plain = "redact")");
  round();
  EXPECT_FALSE(shown_behind(0, "hush"));
  // One that is dropped is hidden enough.
  exec("ALTER TABLE u DROP secret; ALTER TABLE t RENAME plain TO secret");
  mask(R"(secret = "redact")");
  round();
  EXPECT_FALSE(shown_behind(0, "hush"));
}

TEST_F(DiffHidden, AColumnThatNoTableOfAPatternHasIsRefused) {
  exec("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY, v text)");
  compare_table("public.*", R"(first = "snapshot")", R"(exclude = ["v", "w"])");
  const std::string log = round_fails(3);
  EXPECT_TRUE(says(log, "no table of public.* has a column \"w\"")) << log;
  EXPECT_NE(walferry_.verb({"check"}).exit.code, 0);
  settings().no_tables();
  compare_table("public.*", R"(first = "snapshot")", R"(exclude = ["v"])");
  round();
}

TEST_F(DiffHidden, AMaskHoldsForTheRestOfARoundThatIsHalfPublished) {
  settings().set("publish", "max_in_flight", "1");
  diff_table("a", "id int PRIMARY KEY, v int");
  diff_table("t", "id int PRIMARY KEY, v int, secret text");
  exec(
      "INSERT INTO a SELECT i, 0 FROM generate_series(1, 10) i;"
      "INSERT INTO t SELECT i, 0, 'hush' FROM generate_series(1, 40) i");
  round();
  exec("UPDATE a SET v = 1; UPDATE t SET v = 1");
  walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=before_publish:25"});
  walferry_.wait_exit();
  const std::uint64_t last = js().last_sequence("CDC");
  EXPECT_TRUE(shown_behind(0, "hush"));
  mask_t();
  expect_begins_again_masked(last);
  exec("UPDATE t SET v = 2 WHERE id < 5");
  round();
  expect_masked_t();
  EXPECT_EQ(folded().restarts("public.t"), 1);
}

TEST_F(DiffHidden, AMaskHoldsForRoundsThatArePublishedAgain) {
  diff_table("a", "id int PRIMARY KEY, v int");
  diff_table("t", "id int PRIMARY KEY, v int, secret text");
  exec(
      "INSERT INTO a VALUES (1, 0); INSERT INTO t SELECT i, 0, 'hush' FROM generate_series(1, 9) "
      "i");
  round();
  keep_store();
  const std::uint64_t last = js().last_sequence("CDC");
  exec("UPDATE a SET v = 1");
  round();
  exec("UPDATE t SET v = 1");
  round();
  nats_.kill_hard();
  nats_.restore_stream("older", "CDC");
  nats_.start();
  ASSERT_EQ(js().last_sequence("CDC"), last);
  mask_t();
  expect_begins_again_masked(last);
}

// A table that leaves the configuration meanwhile is no more published either.
TEST_F(DiffHidden, TheRestOfARoundIsNotPublishedOfATableThatIsLeftOut) {
  settings().set("publish", "max_in_flight", "1");
  diff_table("a", "id int PRIMARY KEY");
  diff_table("t", "id int PRIMARY KEY, secret text");
  exec("INSERT INTO a VALUES (1); INSERT INTO t SELECT i, 'hush' FROM generate_series(1, 40) i");
  walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=before_publish:20"});
  walferry_.wait_exit();
  const std::uint64_t last = js().last_sequence("CDC");
  settings().no_tables();
  compare_table("public.a");
  round();
  EXPECT_EQ(js().last_sequence("CDC"), last);
  compare_table("public.t");
  round();
  expect_folds_to({"a", "t"});
  EXPECT_EQ(folded().restarts("public.t"), 1);
}

TEST_F(DiffHidden, AGeneratedColumnInTheKeyIsRefusedByCheckAndRun) {
  diff_table("t", "id int, g int GENERATED ALWAYS AS (id % 3) STORED, PRIMARY KEY (id, g)");
  exec("INSERT INTO t VALUES (1), (2)");
  const auto checked = walferry_.verb({"check"});
  EXPECT_NE(checked.exit.code, 0);
  EXPECT_TRUE(says(checked.out, "column \"g\" is generated")) << checked.out;
  const std::string log = round_fails(3);
  EXPECT_TRUE(says(log, "column \"g\" is generated")) << log;
  settings().no_tables();
  compare_table("public.t", R"(first = "snapshot")", R"(key = ["id"])");
  round();
  EXPECT_EQ(folded().counted("public.t", "snapshot"), 2);
}

TEST_F(DiffHidden, AnUnloggedTableOnAStandbyIsPassedOverUnderAPatternAndElseRefused) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);"
      "CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CHECKPOINT");
  postgres_.stop();
  const auto standby = postgres_.clone();
  standby->be_standby();
  standby->start();
  settings().set_string("source", "dsn", standby->conninfo());
  compare_table("public.*");
  std::string log = round();
  EXPECT_TRUE(says(log, "public.u is unlogged")) << log;
  EXPECT_EQ(folded().counted("public.t", "snapshot"), 1);
  compare_table("public.u");
  log = round_fails(3);
  EXPECT_TRUE(says(log, "public.u is unlogged")) << log;
  EXPECT_TRUE(says(log, "give source.dsn the primary")) << log;
  postgres_.start();
}

TEST_F(DiffHidden, TablesOfMoreColumnsThanARowExpressionTakesAreCompared) {
  std::string columns;
  for (int i = 0; i < 850; ++i) columns += ", c" + std::to_string(i) + " int8";
  diff_table("keyed", "id int8 PRIMARY KEY" + columns);
  diff_table("heap", "id int8" + columns);
  exec("INSERT INTO keyed (id, c7) VALUES (1, 1), (2, 2); INSERT INTO heap (id) VALUES (1), (2)");
  round();
  round();
  exec("UPDATE keyed SET c7 = 4294967297 WHERE id = 1; UPDATE heap SET c849 = 5 WHERE id = 1");
  round();
  expect_folds_to({"keyed", "heap"});
}

}  // namespace
}  // namespace scenarios
