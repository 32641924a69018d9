// What identifies a row, under every replica identity and every kind of table: key, before and
// unchanged as CONTRACT.md has them, and folded by key the records are the table.
#include "tests/scenarios/choice_rig.h"

namespace scenarios {
namespace {

class Identities : public ChoiceScenario {
 protected:
  // Of a table (id int, v text, doc text) with doc out of line.
  void write(const std::string& table) {
    exec("ALTER TABLE " + table + " ALTER doc SET STORAGE EXTERNAL");
    expect_writes({"INSERT INTO " + table + " VALUES (1, 'a', repeat('x', 3000)), (2, 'b', NULL)",
                   "UPDATE " + table + " SET v = 'c' WHERE id = 1",
                   "UPDATE " + table + " SET id = 3 WHERE id = 1",
                   "DELETE FROM " + table + " WHERE id = 2"});
  }
  std::string keys(const std::vector<Record>& all) {
    std::string text;
    for (const Record& record : all) text += (text.empty() ? "" : " ") + record.key.dump();
    return text;
  }
  void expect_folds(const std::vector<Record>& all, const std::string& table) {
    EXPECT_EQ(fold(all, "public", table),
              rows_of(postgres_, "SELECT json_build_object('id', id), row_to_json(t) FROM ONLY " +
                                     table + " t"));
  }
};

struct Case {
  const char* alter;
  const char* keys;
  const char* before_of_update;
  std::size_t unchanged;  // columns of the first update that Postgres did not send
};

TEST_F(Identities, OfAKeyedTableTellEveryRow) {
  const char* by_id = R"({"id":1} {"id":2} {"id":1} {"id":3} {"id":2})";
  const char* by_both =
      R"({"id":1,"v":"a"} {"id":2,"v":"b"} {"id":1,"v":"c"} {"id":3,"v":"c"} {"id":2,"v":"b"})";
  const std::string row = R"({"id":1,"v":"a","doc":")" + std::string(3000, 'x') + "\"}";
  const Case cases[] = {{"SELECT 1", by_id, "null", 1},
                        {"ALTER TABLE t REPLICA IDENTITY FULL", by_id, row.c_str(), 0},
                        {"ALTER TABLE t ALTER v SET NOT NULL; CREATE UNIQUE INDEX i ON t (id, v); "
                         "ALTER TABLE t REPLICA IDENTITY USING INDEX i",
                         by_both, R"({"id":1,"v":"a"})", 1}};
  settings().table("public.t");
  std::uint64_t stored = 0;
  for (const Case& c : cases) {
    exec("DROP TABLE IF EXISTS t");
    exec("CREATE TABLE t (id int PRIMARY KEY, v text, doc text)");
    exec(c.alter);
    start();
    write("t");
    std::vector<Record> all;
    for (Record& record : finish("t")) {
      if (record.sequence > stored) all.push_back(std::move(record));
    }
    stored = js().last_sequence("CDC");
    ASSERT_EQ(ops_of(all), "insert insert update update delete") << c.alter;
    EXPECT_EQ(keys(all), c.keys) << c.alter;
    EXPECT_EQ(all[2].before.dump(), c.before_of_update) << c.alter;
    EXPECT_EQ(all[2].unchanged.size(), c.unchanged) << c.alter;
    EXPECT_EQ(all[3].before["id"], 1) << c.alter;
  }
}

TEST_F(Identities, OfFullWithoutAPrimaryKeyAreTheWholeRow) {
  exec("CREATE TABLE t (id int, v text, doc text)");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  settings().table("public.t");
  start();
  write("t");
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert insert update update delete");
  EXPECT_EQ(keys(all), "null null null null null");
  EXPECT_EQ(all[4].before.dump(), R"({"id":2,"v":"b","doc":null})");
  EXPECT_EQ(all[2].after["doc"], std::string(3000, 'x')) << "filled from the old row";
}

TEST_F(Identities, OfColumnsThatDifferOnlyByCaseAreKeptApart) {
  exec(R"(CREATE TABLE t (id int, "Id" int, "ID" text, PRIMARY KEY ("Id")))");
  settings().table("public.t");
  start();
  expect_writes({R"(INSERT INTO t VALUES (1, 2, 'three'))", R"(UPDATE t SET id = 4)",
                 R"(UPDATE t SET "Id" = 5)", "DELETE FROM t"});
  const auto all = finish("t");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(keys(all), R"({"Id":2} {"Id":2} {"Id":5} {"Id":5})");
  EXPECT_EQ(all[2].after.dump(), R"({"id":4,"Id":5,"ID":"three"})");
  EXPECT_EQ(all[2].before.dump(), R"({"Id":2})");
}

TEST_F(Identities, OfInheritedTablesAreTheirOwn) {
  exec(
      "CREATE TABLE parent (id int PRIMARY KEY, v text, doc text);"
      "CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent);"
      "CREATE TABLE stranger (PRIMARY KEY (id)) INHERITS (parent)");
  settings().table("public.parent").table("public.child");
  start();
  write("parent");
  expect_writes({"INSERT INTO child VALUES (7, 'c', NULL, 1)", "INSERT INTO stranger VALUES (8)",
                 "UPDATE parent SET v = 'all'", "DELETE FROM parent WHERE id = 8"});
  wait_done();
  walferry_.stop();
  const auto all = records();
  expect_folds(all, "parent");
  expect_folds(all, "child");
  EXPECT_TRUE(std::none_of(all.begin(), all.end(),
                           [](const Record& record) { return record.table == "stranger"; }));
}

TEST_F(Identities, OfPartitionsUnderTheirRootAndApart) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, v text, doc text) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (3);"
      "CREATE TABLE high PARTITION OF t FOR VALUES FROM (3) TO (100);"
      "CREATE TABLE apart_root (id int PRIMARY KEY, v text, doc text) PARTITION BY RANGE (id);"
      "CREATE TABLE apart PARTITION OF apart_root FOR VALUES FROM (0) TO (100);"
      "CREATE TABLE unread PARTITION OF apart_root FOR VALUES FROM (100) TO (200)");
  settings().table("public.t").table("public.apart");
  start();
  for (const char* part : {"low", "high", "apart", "unread"}) {
    exec(std::string("ALTER TABLE ") + part + " ALTER doc SET STORAGE EXTERNAL");
  }
  write("t");
  expect_writes({"INSERT INTO apart_root VALUES (1, 'a', NULL), (101, 'b', NULL)",
                 "UPDATE apart_root SET v = 'c'"});
  const auto all = finish("t");
  // A row that moves to another partition is deleted there, and inserted here.
  EXPECT_EQ(ops_of(all), "insert insert update delete insert delete");
  EXPECT_EQ(fold(all, "public", "t"),
            rows_of(postgres_, "SELECT json_build_object('id', id), row_to_json(t) FROM t"));
  const auto everything = records();
  expect_folds(everything, "apart");
  EXPECT_TRUE(std::none_of(everything.begin(), everything.end(), [](const Record& record) {
    return record.table == "unread" || record.table == "apart_root" || record.table == "low";
  }));
}

TEST_F(Identities, OfGeneratedColumnsAreNotNeeded) {
  exec(
      "CREATE TABLE t (id int PRIMARY KEY, v text, doc text, "
      "g text GENERATED ALWAYS AS (v || '!') STORED)");
  settings().table("public.t");
  EXPECT_TRUE(says(walferry_.verb({"check"}).out, "the generated columns g are in no record"));
  start();
  write("t");
  const auto all = finish("t");
  ASSERT_EQ(ops_of(all), "insert insert update update delete");
  if (postgres_.value("SELECT current_setting('server_version_num')::int < 180000") == "t") {
    EXPECT_FALSE(all[0].after.contains("g"));
  }
}

}  // namespace
}  // namespace scenarios
