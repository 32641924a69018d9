// Which columns, operations and keys are published, and what is masked; and that no write of the
// application fails by it.
#include <csignal>

#include "tests/scenarios/choice_rig.h"

namespace scenarios {
namespace {

class ColumnChoice : public ChoiceScenario {
 protected:
  // Of t (id int, v text, secret text).
  void write() {
    expect_writes({"INSERT INTO t VALUES (1, 'a', 'hush'), (2, 'b', NULL)",
                   "UPDATE t SET v = 'c' WHERE id = 1",
                   "UPDATE t SET secret = 'hush2' WHERE id = 1", "UPDATE t SET id = 3 WHERE id = 1",
                   "DELETE FROM t WHERE id = 2"});
  }
  // No byte of it anywhere in the stream.
  void expect_unseen(const std::string& text) {
    for (const Stored& stored : js().read("CDC")) {
      EXPECT_EQ(stored.payload.find(text), std::string::npos) << stored.payload;
    }
  }
};

struct Identity {
  const char* sql;
  const char* published;  // by the server
  const char* ops;
};

TEST_F(ColumnChoice, OfColumnsBreaksNoWriteUnderAnyIdentity) {
  const Identity all[] = {
      {"", "walferry (id,v)", "insert insert update update update delete"},
      {"ALTER TABLE t REPLICA IDENTITY FULL", "walferry",
       "insert insert update update update delete"},
      {"CREATE UNIQUE INDEX i ON t (id, v); ALTER TABLE t ALTER v SET NOT NULL; "
       "ALTER TABLE t REPLICA IDENTITY USING INDEX i",
       "walferry (id,v)", "insert insert update update update delete"},
      {"ALTER TABLE t REPLICA IDENTITY NOTHING", "walferry_insert (v)", "insert insert"},
      {"ALTER TABLE t DROP CONSTRAINT t_pkey", "walferry_insert (v)", "insert insert"}};
  choose("t", "columns = [\"v\"]");
  for (const Identity& identity : all) {
    exec("DROP TABLE IF EXISTS t");
    exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
    exec("SELECT 1; " + std::string(identity.sql));
    const std::uint64_t before = js().last_sequence("CDC");
    start();
    EXPECT_EQ(published("t"), identity.published) << identity.sql;
    write();
    wait_done();
    walferry_.stop();
    std::string ops;
    for (const Record& record : records()) {
      if (record.sequence <= before || record.table != "t") continue;
      ops += (ops.empty() ? "" : " ") + record.op;
      for (const auto* row : {&record.after, &record.before}) {
        if (row->is_null() || (row == &record.before && record.op == "delete")) continue;
        EXPECT_FALSE(row->contains("secret")) << record.payload;
      }
      EXPECT_TRUE(record.op == "delete" || record.after.contains("v")) << record.payload;
      EXPECT_FALSE(record.after.is_object() && record.after.contains("id")) << record.payload;
    }
    EXPECT_EQ(ops, identity.ops) << identity.sql;
  }
  expect_unseen("hush");
}

TEST_F(ColumnChoice, OfExcludeTakesColumnsThatAreAddedLater) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "exclude = [\"secret\"]");
  start();
  write();
  exec("ALTER TABLE t ADD extra int");
  exec("INSERT INTO t VALUES (9, 'z', 'hush', 7)");
  exec("ALTER TABLE t DROP COLUMN v");
  const auto all = finish("t");
  ASSERT_EQ(all.size(), 7U);
  EXPECT_EQ(all.back().after.dump(), R"({"id":9,"v":"z","extra":7})");
  expect_unseen("hush");
}

TEST_F(ColumnChoice, MasksAllPlacesAsPostgresHashesToo) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "mask = { v = \"hash\", secret = \"redact\" }\nkey = [\"v\"]");
  start();
  write();
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert insert update update update delete");
  const std::string of_a = postgres_.value("SELECT encode(sha256(convert_to('a', 'UTF8')), 'hex')");
  EXPECT_EQ(all[0].key.dump(), R"({"v":")" + of_a + "\"}");
  EXPECT_EQ(all[0].after.dump(), R"({"id":1,"v":")" + of_a + R"(","secret":"***"})");
  EXPECT_TRUE(all[1].after["secret"].is_null());
  EXPECT_EQ(all[2].before.dump(), R"({"id":1,"v":")" + of_a + R"(","secret":"***"})");
  expect_unseen("hush");
  EXPECT_FALSE(says(walferry_.all_logs(), "hush"));
}

TEST_F(ColumnChoice, OfOperationsCountsThemAllTheSame) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "ops = [\"delete\", \"insert\"]");
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1, 'a', ''); UPDATE t SET v = 'b'; DELETE FROM t; TRUNCATE t; "
      "INSERT INTO t VALUES (2, 'c', ''); UPDATE t SET v = 'd'; COMMIT");
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert delete insert");
  EXPECT_EQ(all[0].ordinal, 1U);
  EXPECT_EQ(all[1].ordinal, 3U);
  EXPECT_EQ(all[2].ordinal, 5U);
  EXPECT_TRUE(all[2].tx_last);
}

TEST_F(ColumnChoice, OfAKeyNamesTheRowByIt) {
  exec(
      "CREATE TABLE t (tenant int, id int, code text NOT NULL, v text, PRIMARY KEY (tenant, id));"
      "ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "key = [\"code\", \"tenant\"]");
  start();
  expect_writes({"INSERT INTO t VALUES (1, 2, 'x', 'a')", "UPDATE t SET v = 'b'",
                 "UPDATE t SET code = 'y'", "DELETE FROM t"});
  const auto all = finish("t");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].key.dump(), R"({"code":"x","tenant":1})");
  EXPECT_EQ(all[2].key.dump(), R"({"code":"y","tenant":1})");
  EXPECT_EQ(all[2].before["code"], "x");
  EXPECT_EQ(all[3].key.dump(), R"({"code":"y","tenant":1})");
}

TEST_F(ColumnChoice, OfAKeyThatTheIdentityLacksIsRefused) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "key = [\"v\"]");
  const auto ended = walferry_.run_to_exit();
  EXPECT_EQ(ended.exit.code, 3);
  EXPECT_TRUE(says(ended.err, "public.t")) << ended.err;
  EXPECT_TRUE(says(ended.err, "\"v\" in its key")) << ended.err;
  choose_anew("t", "key = [\"v\"]\nops = [\"insert\"]");
  start();
  write();
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert insert");
  EXPECT_EQ(all[1].key.dump(), R"({"v":"b"})");
}

// What WAL has of old rows is settled when it is written.
TEST_F(ColumnChoice, OfAKeyThatTheIdentityLosesStopsAtTheFirstUpdate) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  choose("t", "key = [\"v\"]");
  start();
  write();
  wait_done();
  exec("ALTER TABLE t REPLICA IDENTITY DEFAULT");
  exec("DELETE FROM t");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.t, position")) << log;
  EXPECT_TRUE(says(log, "its key has column v")) << log;
}

TEST_F(ColumnChoice, TakesHostileNames) {
  exec(R"(CREATE TABLE "t.""x" ("Id" int, id int, "a""b" text, "sel'ect" text, "Ünï, ö" text,)"
       R"( "where" text, PRIMARY KEY ("Id")))");
  settings().table(R"(public."t.""x")",
                   "snapshot = \"never\"\n"
                   R"(columns = ["Id", "a\"b", "sel'ect", "Ünï, ö"])"
                   "\n"
                   R"(mask = { "a\"b" = "redact", "sel'ect" = "hash", "Ünï, ö" = "redact" })"
                   "\n"
                   R"(where = "\"Id\" > 5 AND \"Id\" <> 7")");
  start();
  expect_writes({R"(INSERT INTO "t.""x" SELECT i, i, 'p', 'q', 'r', 's')"
                 R"( FROM generate_series(5, 8) i)",
                 R"(UPDATE "t.""x" SET id = 0, "a""b" = NULL)", R"(DELETE FROM "t.""x")"});
  EXPECT_EQ(published("t.\"x"), R"(walferry (Id,a"b,sel'ect,Ünï, ö) (("Id" > 5) AND ("Id" <> 7)))");
  const auto all = finish("t.\"x");
  ASSERT_EQ(ops_of(all), "insert insert update update delete delete");
  EXPECT_EQ(all[0].after["a\"b"], "***");
  EXPECT_EQ(all[0].after["Ünï, ö"], "***");
  EXPECT_EQ(all[0].after.size(), 4U) << all[0].payload;
  EXPECT_EQ(all[5].key.dump(), R"({"Id":8})");
  EXPECT_EQ(warnings(), "");
}

TEST_F(ColumnChoice, OfMissingColumnsIsRefusedForEveryTable) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)");
  choose("t", "columns = [\"id\", \"gone\"]\nmask = { nope = \"hash\" }");
  choose("other", "exclude = [\"lost\"]");
  const auto ended = walferry_.run_to_exit();
  EXPECT_EQ(ended.exit.code, 3);
  for (const char* said : {"\"gone\", which its columns names", "\"nope\", which its mask names",
                           "table public.other has no column \"lost\""}) {
    EXPECT_TRUE(says(ended.err, said)) << ended.err;
  }
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "0");
}

TEST_F(ColumnChoice, OfAPatternAppliesWhereTheColumnIs) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  settings().table("public.*", "snapshot = \"never\"\nmask = { secret = \"redact\" }");
  start();
  write();
  expect_writes({"INSERT INTO done VALUES (-5)"});
  EXPECT_EQ(ops_of(finish("t")), "insert insert update update update delete");
  expect_unseen("hush");
  settings().no_tables().table("public.*", "snapshot = \"never\"\nexclude = [\"sekret\"]");
  const auto ended = walferry_.run_to_exit();
  EXPECT_EQ(ended.exit.code, 3);
  EXPECT_TRUE(says(ended.err, "no table of public.* has a column \"sekret\"")) << ended.err;
}

TEST_F(ColumnChoice, StopsBeforeARenamedColumnShowsWhatWasMasked) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "mask = { secret = \"hash\" }");
  start();
  write();
  wait_done();
  exec("ALTER TABLE t RENAME secret TO open_secret; INSERT INTO t VALUES (8, '', 'hush')");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "no column \"secret\", which its mask or exclude names")) << log;
  expect_unseen("hush");
}

// Read when the column has its old name again.
TEST_F(ColumnChoice, StopsAtAMaskedColumnsOtherNameThoughItIsGoneToday) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "mask = { secret = \"hash\" }");
  start();
  wait_done();
  walferry_.stop();
  exec("ALTER TABLE t RENAME secret TO x");
  exec("INSERT INTO t VALUES (1, 'a', 'hush')");
  exec("ALTER TABLE t RENAME x TO secret");
  exec("INSERT INTO t VALUES (2, 'b', 'hush')");
  walferry_.start();
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.t, position")) << log;
  EXPECT_TRUE(says(log, "\"x\", which is gone today")) << log;
  expect_unseen("hush");
  // The way out that it names.
  choose_anew("t", "columns = [\"id\", \"v\", \"secret\"]\nmask = { secret = \"redact\" }");
  walferry_.start();
  wait_streaming();
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert insert");
  EXPECT_EQ(all[0].after.dump(), R"({"id":1,"v":"a"})");
  EXPECT_EQ(all[1].after.dump(), R"({"id":2,"v":"b","secret":"***"})");
  expect_unseen("hush");
}

// Written before the column was there.
TEST_F(ColumnChoice, PassesShapesFromBeforeAMaskedColumn) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text)");
  choose("t", "");
  start();
  wait_done();
  walferry_.kill_hard();
  walferry_.wait_exit();
  exec("INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ADD secret text");
  exec("INSERT INTO t VALUES (2, 'b', 'hush')");
  choose_anew("t", "mask = { secret = \"redact\" }");
  walferry_.start();
  wait_streaming();
  const auto all = finish("t");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].after.dump(), R"({"id":1,"v":"a"})");
  EXPECT_EQ(all[1].after.dump(), R"({"id":2,"v":"b","secret":"***"})");
}

TEST_F(ColumnChoice, MayChangeBetweenRunsWithWalUnread) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "columns = [\"v\"]");
  start();
  exec("INSERT INTO t VALUES (1, 'a', 'hush')");
  wait_done();
  walferry_.kill_hard();
  walferry_.wait_exit();
  exec("INSERT INTO t VALUES (2, 'b', 'hush')");
  choose_anew("t", "columns = [\"id\", \"secret\"]");
  walferry_.start();
  wait_streaming();
  EXPECT_EQ(published("t"), "walferry (id,secret)");
  exec("INSERT INTO t VALUES (3, 'c', 'open now')");
  const auto all = finish("t");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].after.dump(), R"({"v":"a"})");
  EXPECT_EQ(all[1].after.dump(), R"({"id":2})") << "the server had sent no more";
  EXPECT_EQ(all[2].after.dump(), R"({"id":3,"secret":"open now"})");
}

TEST_F(ColumnChoice, IsShownByCheck) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, v text, secret text);"
      "CREATE TABLE whole (id int PRIMARY KEY, v text, g int GENERATED ALWAYS AS (id) STORED);"
      "ALTER TABLE whole REPLICA IDENTITY FULL");
  choose("t",
         "columns = [\"v\"]\nwhere = \"v = 'x'\"\nops = [\"insert\", \"update\"]\n"
         "mask = { id = \"redact\" }");
  choose("whole", "columns = [\"id\"]\nwhere = \"v = 'x'\"");
  const Finished finished = walferry_.verb({"check"});
  EXPECT_EQ(finished.exit.code, 0) << finished.out;
  for (const char* said :
       {"inserts and updates", "table public.t: the server sends only id, v",
        "table public.t: walferry applies where itself",
        "ALTER TABLE \"public\".\"t\" REPLICA IDENTITY FULL", "keys no longer tell rows apart",
        "table public.whole: the server filters the rows",
        "table public.whole: walferry leaves out all columns but id",
        "the generated columns g are in no record"}) {
    EXPECT_TRUE(says(finished.out, said)) << said << finished.out;
  }
}

// ---- origin

class Origins : public ChoiceScenario {
 protected:
  Origins() : ChoiceScenario({.settings = {"logical_decoding_work_mem=64kB"}}) {}
  void write_replicated(const std::string& sql) {
    PgSession session = postgres_.connect();
    session.exec("SELECT pg_replication_origin_session_setup('elsewhere')");
    session.exec(sql);
    session.exec("SELECT pg_replication_origin_session_reset()");  // a closed session ends later
  }
};

// Of the first two the server, were it streaming, would say that they have none, and of the third
// that it has one.
TEST_F(Origins, OfLargeTransactionsAreThoseOfTheirCommits) {
  create_table("t", "id int PRIMARY KEY");
  exec("SELECT pg_replication_origin_create('elsewhere')");
  settings().set_string("source", "origin", "none").set_string("source", "streaming", "on");
  const auto refused = walferry_.run_to_exit();
  EXPECT_EQ(refused.exit.code, 2);
  EXPECT_TRUE(says(refused.err, "origin = \"none\"")) << refused.err;
  settings().set_string("source", "streaming", "off");
  start();
  const std::string rows = "SELECT i FROM generate_series(1, 3000) i; ";
  write_replicated("BEGIN; TRUNCATE t; INSERT INTO t " + rows + "COMMIT");
  write_replicated("BEGIN; CREATE TABLE u (); INSERT INTO t SELECT -i FROM (" +
                   rows.substr(0, rows.size() - 2) + ") r; COMMIT");
  exec("TRUNCATE t");
  write_replicated("BEGIN; INSERT INTO t " + rows +
                   "SELECT pg_replication_origin_session_reset(); COMMIT; "
                   "SELECT pg_replication_origin_session_setup('elsewhere')");
  const auto own = finish("t");
  ASSERT_EQ(own.size(), 3001U);
  EXPECT_EQ(own[0].op, "truncate");
  EXPECT_EQ(own[3000].ordinal, 3000U);
}

TEST_F(Origins, OfReplicatedChangesAreLeftOutOnlyWhenAsked) {
  create_table("t", "id int PRIMARY KEY");
  exec("SELECT pg_replication_origin_create('elsewhere')");
  settings().set_string("source", "origin", "none");
  start();
  exec("INSERT INTO t VALUES (1)");
  write_replicated("BEGIN; INSERT INTO t VALUES (2); TRUNCATE t; INSERT INTO t VALUES (3); COMMIT");
  exec("UPDATE t SET id = 4");
  write_replicated("DELETE FROM t");
  const auto own = finish("t");
  EXPECT_EQ(ops_of(own), "insert update");

  EXPECT_EQ(own.at(1).ordinal, 1U);

  settings().set_string("source", "origin", "any");
  walferry_.start();
  wait_streaming();
  write_replicated("INSERT INTO t VALUES (10)");
  const auto later = finish("t");
  ASSERT_EQ(ops_of(later), "insert update insert");
  EXPECT_EQ(later[2].after.dump(), R"({"id":10})");
}

}  // namespace
}  // namespace scenarios
