// Snapshot-diff, round by round: after each, what the stream says of a table is the table, whatever
// its key, its values and what was done to it.
#include <cstdlib>
#include <random>

#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

// Some of everything, by chance, and a row that moves from one key to another.
std::string random_changes(unsigned seed) {
  return "SELECT setseed(" + std::to_string((seed % 1000) / 1000.0) +
         ");"
         "UPDATE a SET n = n + 1 WHERE random() < 0.02;"
         "DELETE FROM a WHERE random() < 0.01;"
         "INSERT INTO a SELECT (random() * 100000)::int, md5(random()::text), 0, random() < 0.5 "
         "FROM generate_series(1, 20) ON CONFLICT DO NOTHING;"
         "UPDATE a SET id = id + 200000 WHERE id IN (SELECT id FROM a ORDER BY random() LIMIT 1) "
         "AND NOT EXISTS (SELECT FROM a b WHERE b.id = a.id + 200000);"
         "UPDATE c SET v = v + 1 WHERE random() < 0.05; DELETE FROM c WHERE random() < 0.02;"
         "INSERT INTO c SELECT chr(65 + (random() * 50)::int), (random() * 50)::int, 0 "
         "FROM generate_series(1, 5) ON CONFLICT DO NOTHING;"
         "INSERT INTO h SELECT (random() * 5)::int, CASE WHEN random() < 0.3 THEN NULL ELSE 'x' "
         "END "
         "FROM generate_series(1, 5);"
         "DELETE FROM h WHERE ctid IN (SELECT ctid FROM h ORDER BY random() LIMIT 4);";
}

class DiffRounds : public Diff {
 protected:
  void tables() {
    diff_table("a", "id bigint PRIMARY KEY, v text, n int, b bool");
    diff_table("c", "k1 text, k2 int, v int, PRIMARY KEY (k1, k2)");
    diff_table("h", "x int, y text");
    exec(
        "INSERT INTO a SELECT i * 7, md5(i::text), i, i % 2 = 0 FROM generate_series(1, 5000) i;"
        "INSERT INTO c SELECT chr(65 + i % 50), i, i FROM generate_series(1, 300) i;"
        "INSERT INTO h SELECT i % 5, CASE WHEN i % 3 = 0 THEN NULL ELSE 'x' END "
        "FROM generate_series(1, 40) i");
  }
  const std::vector<std::string> all_{"a", "c", "h"};
};

TEST_F(DiffRounds, FoldToTheTablesOverRandomChanges) {
  tables();
  for (unsigned i = 0; i < scaled(6U, 60U); ++i) {
    if (i > 0) exec(random_changes(i));
    round();
    expect_folds_to(all_);
  }
  const auto verified = walferry_.verb({"verify"});
  EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
}

TEST_F(DiffRounds, SayWhatTheyReadInStatus) {
  tables();
  round();
  const auto read_of = [&](const std::string& table) {
    const nlohmann::json all = status();
    for (const auto& one : all.at("diff").at("tables")) {
      if (one.at("table") == "public." + table) return one;
    }
    return nlohmann::json();
  };
  EXPECT_EQ(read_of("a").at("snapshots"), 5000);
  EXPECT_EQ(read_of("a").at("rows"), 5000);
  const std::uint64_t last = js().last_sequence("CDC");
  round();
  EXPECT_EQ(read_of("a").at("read"), "nothing");
  EXPECT_EQ(read_of("c").at("read"), "nothing");
  EXPECT_EQ(read_of("h").at("read"), "nothing");
  EXPECT_EQ(js().last_sequence("CDC"), last);
  exec("UPDATE a SET v = 'changed' WHERE id = 700; INSERT INTO a VALUES (-5, 'first', 1, true)");
  round();
  EXPECT_EQ(read_of("a").at("read"), "ranges");
  EXPECT_EQ(read_of("a").at("updates"), 1);
  EXPECT_EQ(read_of("a").at("inserts"), 1);
  EXPECT_EQ(js().last_sequence("CDC"), last + 2);
  expect_folds_to(all_);
  const auto text = walferry_.verb({"status"});
  EXPECT_TRUE(says(text.out, "1 insert, 1 update")) << text.out;
}

TEST_F(DiffRounds, WriteTheContractsRecords) {
  diff_table("t", "id int PRIMARY KEY, v text, amount numeric", "before = true");
  diff_table("n", "id int PRIMARY KEY, v text", "");
  exec("INSERT INTO t VALUES (1, 'a', 1.0), (2, 'b', 2); INSERT INTO n VALUES (1, 'a'), (2, 'b')");
  const std::string log = round();
  EXPECT_TRUE(says(log, "2 rows are its baseline")) << log;
  EXPECT_EQ(js().last_sequence("CDC"), 0U);
  exec(
      "UPDATE t SET amount = 1.00 WHERE id = 1; DELETE FROM t WHERE id = 2;"
      "UPDATE n SET v = 'x' WHERE id = 1; DELETE FROM n WHERE id = 2; INSERT INTO n VALUES (3)");
  round();
  std::map<std::string, nlohmann::json> by_subject;
  std::string lsn;
  for (const Stored& message : js().read("CDC")) {
    if (message.subject.starts_with("cdc._schema")) continue;
    const auto record = nlohmann::json::parse(message.payload);
    lsn = record.at("lsn").get<std::string>();
    EXPECT_EQ(record.at("commit_lsn"), lsn);
    EXPECT_FALSE(record.contains("xid"));
    EXPECT_FALSE(record.contains("commit_ts"));
    std::string id;
    for (const auto& [name, value] : message.headers) {
      if (name == "Nats-Msg-Id") id = value;
    }
    EXPECT_EQ(id, "walferry:" + hex16(parse_lsn(lsn)) + ":diff:public." +
                      record.at("table").get<std::string>() + ":" +
                      std::to_string(record.at("seq").get<int>()));
    by_subject[message.subject] = record;
  }
  const auto& update = by_subject.at("cdc.public.t.update");
  EXPECT_EQ(update.at("before").at("amount"), "1.0");
  EXPECT_EQ(update.at("after").at("amount"), "1.00");
  EXPECT_EQ(by_subject.at("cdc.public.t.delete").at("before").at("v"), "b");
  EXPECT_TRUE(by_subject.at("cdc.public.n.update").at("before").is_null());
  EXPECT_EQ(by_subject.at("cdc.public.n.delete").at("before").dump(), "{\"id\":2}");
  EXPECT_EQ(by_subject.at("cdc.public.n.delete").at("key").dump(), "{\"id\":2}");
  EXPECT_EQ(by_subject.at("cdc.public.n.insert").at("after").dump(), "{\"id\":3,\"v\":null}");
}

// What hashes equal under its operator class and prints differently, and what is hashed by parts.
TEST_F(DiffRounds, SeeEachChangeThatPrints) {
  exec(
      "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
      "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN short AS char(5);"
      "CREATE TYPE pair AS (x int, y text)");
  const std::vector<std::pair<std::string, std::pair<std::string, std::string>>> cases{
      {"numeric", {"1.0", "1.00"}},
      {"float8", {"0", "'-0'"}},
      {"int8", {"1", "4294967296"}},
      {"int8", {"-1", "-4294967297"}},
      {"int2", {"1", "2"}},
      {"oid", {"1", "4000000000"}},
      {"bool", {"true", "false"}},
      {"text COLLATE loose", {"'a'", "'A'"}},
      {"text", {"NULL", "''"}},
      {"text", {"'\\N'", "NULL"}},
      {"text", {"E'a\\tb'", "E'a\\nb'"}},
      {"char(5)", {"'a'", "'b'"}},
      {"short", {"'a'", "'b'"}},
      {"timestamptz", {"'2026-01-01 00:00:00.000001Z'", "'2026-01-01 01:11:34.967296Z'"}},
      {"timestamp", {"'infinity'", "'-infinity'"}},
      {"date", {"'0001-01-01 BC'", "'0001-01-01'"}},
      {"interval", {"'1 day'", "'24 hours'"}},
      {"time", {"'00:00'", "'24:00'"}},
      {"uuid", {"gen_random_uuid()", "gen_random_uuid()"}},
      {"bytea", {"'\\x00'", "'\\x'"}},
      {"jsonb", {"'{\"a\":1.0}'", "'{\"a\":1.00}'"}},
      {"json", {"'{\"a\":1}'", "'{\"a\": 2}'"}},
      {"inet", {"'10.0.0.1/32'", "'10.0.0.1/24'"}},
      {"numeric[]", {"'{1.0}'", "'{1.00}'"}},
      {"mood", {"'sad'", "'happy'"}},
      {"pair", {"ROW(NULL, NULL)", "NULL"}},
      {"int4range", {"'[1,3)'", "'[1,4)'"}},
      {"xml", {"'<a/>'", "'<b/>'"}},
      {"bit(3)", {"'101'", "'111'"}},
      {"money", {"1", "2"}},
  };
  std::string columns = "id bigint PRIMARY KEY";
  std::string names, before;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string name = "c" + std::to_string(i);
    columns += ", " + name + " " + cases[i].first;
    names += ", " + name;
    before += ", " + cases[i].second.first;
  }
  diff_table("t", columns, "");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    exec("INSERT INTO t (id" + names + ") VALUES (" + std::to_string(i) + before + ")");
  }
  round();
  round();
  EXPECT_EQ(js().last_sequence("CDC"), 0U);
  EXPECT_EQ(status().at("diff").at("tables").at(0).at("read"), "nothing");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    exec("UPDATE t SET c" + std::to_string(i) + " = " + cases[i].second.second +
         " WHERE id = " + std::to_string(i));
  }
  round();
  EXPECT_EQ(folded().counted("public.t", "update"), static_cast<int>(cases.size()));
  round();
  EXPECT_EQ(status().at("diff").at("tables").at(0).at("read"), "nothing");
}

TEST_F(DiffRounds, TellRowsApartByKeysOfAnyType) {
  exec("CREATE TYPE mood AS ENUM ('sad', 'happy')");
  diff_table("t1", "k text PRIMARY KEY, v int");
  diff_table("t2", "k numeric PRIMARY KEY, v int");
  diff_table("t3", "k timestamptz, j mood, v int, PRIMARY KEY (j, k)");
  diff_table("t4", "k uuid PRIMARY KEY, v int");
  diff_table("t5", "k int2, j int8, v int, PRIMARY KEY (k, j)");
  diff_table("t6", "k bytea PRIMARY KEY, v int");
  diff_table("T 7.\"x\"", "\"K\" char(4) PRIMARY KEY, v int");
  diff_table("t8", "id int, k text UNIQUE, v int", "first = \"snapshot\"", "key = [\"k\"]");
  const std::string hostile =
      R"(ARRAY['', 'a', 'A', 'ä', 'z', E'\t', E'\\', E'\n', E'\\N', '"', '''',
                                '💥', 'a b', E'\x01', 'aa', 'a.b', '*', '>'])";
  exec("INSERT INTO t1 SELECT k, 1 FROM unnest(" + hostile +
       ") k;"
       "INSERT INTO t2 SELECT k, 1 FROM unnest(ARRAY[-1, 0.5, 10, 9, 1e10, 'NaN']::numeric[]) k;"
       "INSERT INTO t3 SELECT '2026-01-01'::timestamptz + i * interval '1 h', m::mood, 1 "
       "FROM generate_series(1, 20) i, unnest(ARRAY['sad', 'happy']) m;"
       "INSERT INTO t4 SELECT gen_random_uuid(), 1 FROM generate_series(1, 50);"
       "INSERT INTO t5 SELECT i % 3 - 1, i - 10, 1 FROM generate_series(1, 50) i;"
       "INSERT INTO t6 SELECT decode(md5(i::text), 'hex'), 1 FROM generate_series(1, 50) i;"
       "INSERT INTO t6 VALUES ('', 1); INSERT INTO \"T 7.\"\"x\"\"\" VALUES ('a', 1), ('B', 1), "
       "('', 1);"
       "INSERT INTO t8 SELECT 1, k, 1 FROM unnest(" +
       hostile + ") k");
  round();
  for (const std::string table : {"t1", "t2", "t3", "t4", "t5", "t6", "\"T 7.\"\"x\"\"\"", "t8"}) {
    exec("UPDATE " + table + " SET v = 2 WHERE random() < 0.5; DELETE FROM " + table +
         " WHERE random() < 0.3");
  }
  round();
  const auto verified = walferry_.verb({"verify"});
  EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
  expect_folds_to({"t1", "t5", "t8"});
}

TEST_F(DiffRounds, ReadNullsInAConfiguredKeyAndRefuseTheSameKeyTwice) {
  diff_table("t", "k int, v int", "first = \"snapshot\"", "key = [\"k\"]");
  exec("INSERT INTO t VALUES (NULL, 1), (1, 1), (-3, 1)");
  round();
  exec("UPDATE t SET v = 2 WHERE k IS NULL");
  round();
  expect_folds_to({"t"});
  exec("INSERT INTO t VALUES (1, 7)");
  const std::string log = round_fails(3);
  EXPECT_TRUE(says(log, "two rows have the same key")) << log;
}

TEST_F(DiffRounds, ApplyWhatTheTableChooses) {
  diff_table("t", "id int PRIMARY KEY, v text, secret text, hidden int, n int",
             "first = \"snapshot\"",
             "exclude = [\"hidden\"]\nmask = { secret = \"redact\" }\nwhere = \"n > 0\"\n"
             "ops = [\"insert\", \"update\"]");
  exec("INSERT INTO t VALUES (1, 'a', 's', 1, 1), (2, 'b', 's', 1, 0), (3, 'c', 's', 1, 1)");
  round();
  const std::uint64_t last = js().last_sequence("CDC");
  exec("UPDATE t SET hidden = 2");
  round();
  EXPECT_EQ(js().last_sequence("CDC"), last);
  exec(
      "UPDATE t SET n = 1 WHERE id = 2; UPDATE t SET n = 0 WHERE id = 1; "
      "UPDATE t SET secret = 'other' WHERE id = 3");
  round();
  const DiffFold fold = folded();
  EXPECT_EQ(fold.counted("public.t", "snapshot"), 2);
  EXPECT_EQ(fold.counted("public.t", "insert"), 1);
  EXPECT_EQ(fold.counted("public.t", "update"), 1);
  EXPECT_EQ(fold.counted("public.t", "delete"), 0);
  for (const auto& [row, count] : fold.rows("public.t")) {
    EXPECT_EQ(nlohmann::json::parse(row).at("secret"), "***");
    EXPECT_FALSE(nlohmann::json::parse(row).contains("hidden"));
  }
}

TEST_F(DiffRounds, PublishWhatReadsDifferentlyByNewColumnsAndBeginAgainByAnotherKey) {
  tables();
  round();
  exec(
      "ALTER TABLE a ADD COLUMN more text; UPDATE a SET more = 'x' WHERE id = 7;"
      "ALTER TABLE h ADD COLUMN more text");
  std::string log = round();
  EXPECT_TRUE(says(log, "public.a: its columns have changed")) << log;
  EXPECT_TRUE(says(log, "public.h: what its rows are told apart by has changed")) << log;
  expect_folds_to(all_);
  EXPECT_EQ(folded().restarts("public.a"), 0);
  EXPECT_EQ(folded().restarts("public.h"), 1);
  exec("ALTER TABLE a DROP CONSTRAINT a_pkey; ALTER TABLE a ADD PRIMARY KEY (id, n)");
  log = round();
  EXPECT_TRUE(says(log, "public.a: what its rows are told apart by has changed")) << log;
  expect_folds_to(all_);
  EXPECT_EQ(folded().restarts("public.a"), 1);
}

// The sum of a range's hashes must not be what it was, nor what one of them makes up for.
TEST_F(DiffRounds, SeeValuesThatTwoRowsExchange) {
  tables();
  diff_table("s", "name text PRIMARY KEY, place int, is_default bool, label text");
  exec("INSERT INTO s SELECT 'n' || i, i, i % 2 = 0, 'l' || i FROM generate_series(1, 40) i");
  round();
  const std::vector<std::string> exchanged{"place", "is_default", "label"};
  for (int pair = 0; pair < scaled(6, 40); ++pair) {
    const std::string& column = exchanged[static_cast<std::size_t>(pair) % 3];
    const std::string one = std::to_string(2 * pair % 40 + 1);
    const std::string other = std::to_string((2 * pair + 1) % 40 + 1);
    exec("UPDATE s SET " + column + " = o." + column + " FROM s o WHERE (s.name = 'n" + one +
         "' AND o.name = 'n" + other + "') OR (s.name = 'n" + other + "' AND o.name = 'n" + one +
         "'); UPDATE a SET n = 5000 - n WHERE id IN (" + std::to_string(7 * (pair + 1)) + ", " +
         std::to_string(7 * (4999 - pair)) +
         "); "
         "UPDATE h SET x = CASE x WHEN 1 THEN 2 ELSE 1 END WHERE x IN (1, 2)");
    round();
    expect_folds_to({"a", "h", "s"});
  }
}

TEST_F(DiffRounds, PublishEveryRowUnderARenamedColumnOrAnotherType) {
  diff_table("t", "id int PRIMARY KEY, v text, j text");
  exec("INSERT INTO t SELECT i, 'v' || i, '[' || i || ']' FROM generate_series(1, 50) i");
  round();
  exec("ALTER TABLE t RENAME v TO w");
  round();
  expect_folds_to({"t"});
  exec("ALTER TABLE t ALTER j TYPE json USING j::json");
  round();
  expect_folds_to({"t"});
  EXPECT_EQ(folded().counted("public.t", "update"), 100);
}

TEST_F(DiffRounds, TakePatternsPartitionsAndTablesThatComeLater) {
  exec(
      "CREATE TABLE p (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);"
      "CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE TABLE out (id int PRIMARY KEY);"
      "INSERT INTO p SELECT i, i % 20 FROM generate_series(1, 100) i; INSERT INTO u VALUES (1)");
  compare_table("public.*");
  settings().set("source", "exclude_tables", "[\"public.out\"]");
  round();
  exec(
      "UPDATE p SET day = 15 WHERE id = 1; INSERT INTO u VALUES (2);"
      "CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1)");
  round();
  expect_folds_to({"p", "u", "later"});
  EXPECT_EQ(folded().counted("public.p1", "snapshot"), 0);
  exec("DROP TABLE later");
  round();
  exec("INSERT INTO u VALUES (3)");
  round();
  expect_folds_to({"p", "u"});
}

TEST_F(DiffRounds, RunOnAStandbyWithoutAnyPrivilegeButSelect) {
  tables();
  exec("CREATE ROLE reader LOGIN; GRANT SELECT ON a, c, h TO reader; CHECKPOINT");
  postgres_.stop();
  const auto standby = postgres_.clone();
  standby->be_standby();
  standby->start();
  settings().set_string("source", "dsn", standby->conninfo("reader"));
  round();
  round();
  const auto checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 0) << checked.out;
  postgres_.start();
  expect_folds_to(all_);
}

TEST_F(DiffRounds, KeepWhatWasSpokenOfWhenAFormatOrASizeIsChosen) {
  settings().set_string("publish", "format", "debezium");
  diff_table("t", "id int PRIMARY KEY, v text", "before = true\nfirst = \"snapshot\"");
  exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  round();
  exec("UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (3)");
  round();
  auto verified = walferry_.verb({"verify"});
  EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
  settings().set_string("publish", "format", "json").set_string("publish", "oversize", "split");
  settings().set_string("publish", "max_message", "2KiB");
  exec("UPDATE t SET v = repeat('x', 9000) WHERE id = 1; INSERT INTO t VALUES (4, 'd')");
  round();
  verified = walferry_.verb({"verify"});
  EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
}

}  // namespace
}  // namespace scenarios
