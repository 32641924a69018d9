// Types that change while their values are on the way: what is published is the value, or
// Postgres's own text of it, and never a guess.
#include <algorithm>
#include <csignal>

#include "tests/scenarios/rig.h"
#include "tests/scenarios/unseen_commit.h"

namespace scenarios {
namespace {

class TypeChanges : public Scenario {
 protected:
  explicit TypeChanges(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {}
  // Each record's column v.
  std::vector<std::string> values() {
    std::vector<std::string> seen;
    for (const Record& record : records()) {
      const auto found = record.after.find("v");
      seen.push_back(found == record.after.end() ? "absent" : found->dump());
    }
    return seen;
  }
  std::string warnings() { return lines_saying(walferry_.log(), " warn"); }
  int count_lines(const std::string& text) {
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
};

using Seen = std::vector<std::string>;

TEST_F(TypeChanges, StructuresAreNestedJson) {
  exec(
      "CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('so so', 'happy');"
      "CREATE DOMAIN positive AS int8 CHECK (VALUE > 0);"
      "CREATE TYPE item AS (sku text, n positive, moods mood[]);"
      "CREATE TYPE cart AS (items item[], at timestamptz, doc jsonb, tags hstore);"
      "CREATE DOMAIN good_cart AS cart CHECK ((VALUE).at IS NOT NULL)");
  create_table("t",
               "id int PRIMARY KEY, v good_cart, boxes box[], vector int2vector, shifted int[]");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  start();
  exec(
      "INSERT INTO t VALUES (1, ROW(ARRAY[ROW('a \"b\", {c}', 9223372036854775807, "
      "'{\"so so\",NULL}')::item, NULL], '2026-11-23 10:00+02', '{\"k\": [1, null]}', "
      "'x=>NULL, \"y z\"=>\"1\"')::cart, '{(1,1),(0,0);(2,2),(1,1)}', '1 2', '[0:1]={1,2}');"
      "UPDATE t SET vector = '3'; DELETE FROM t");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  const std::string row =
      R"({"id":1,"v":{"items":[{"sku":"a \"b\", {c}","n":9223372036854775807,)"
      R"("moods":["so so",null]},null],"at":"2026-11-23T08:00:00Z","doc":{"k":[1,null]},)"
      R"-("tags":{"x":null,"y z":"1"}},"boxes":["(1,1),(0,0)","(2,2),(1,1)"],"vector":"1 2",)-"
      R"("shifted":"[0:1]={1,2}"})";
  EXPECT_EQ(all[0].after.dump(), row);
  EXPECT_EQ(all[1].before.dump(), row);
  EXPECT_EQ(all[2].before["v"], all[0].after["v"]);
  EXPECT_EQ(warnings(), "");
}

TEST_F(TypeChanges, AnEnumsLaterValueIsItsText) {
  exec("CREATE TYPE mood AS ENUM ('sad')");
  create_table("t", "id int PRIMARY KEY, v mood, list mood[]");
  start();
  exec("INSERT INTO t VALUES (1, 'sad', '{sad}')");
  wait_stored(1);
  exec("ALTER TYPE mood ADD VALUE 'very, \"happy\"'");
  exec("INSERT INTO t VALUES (2, 'very, \"happy\"', ARRAY['very, \"happy\"', 'sad']::mood[])");
  expect_exact();
  EXPECT_EQ(values(), (Seen{"\"sad\"", R"("very, \"happy\"")"}));
  EXPECT_EQ(records()[1].after["list"].dump(), R"(["very, \"happy\"","sad"])");
}

TEST_F(TypeChanges, AnAttributeAddedInMidStreamIsThereFromTheFirstRowThatHasIt) {
  exec("CREATE TYPE pair AS (a int, b text)");
  create_table("t", "id int PRIMARY KEY, v pair, list pair[]");
  start();
  exec("INSERT INTO t VALUES (1, '(1,x)', '{\"(1,x)\"}')");
  wait_stored(1);
  exec(
      "BEGIN; ALTER TYPE pair ADD ATTRIBUTE c bool;"
      "INSERT INTO t VALUES (2, '(2,y,t)', '{\"(2,y,f)\"}'); COMMIT");
  wait_stored(2);
  exec("ALTER TYPE pair DROP ATTRIBUTE b");
  exec("INSERT INTO t VALUES (3, '(3,t)')");
  expect_exact();
  EXPECT_EQ(values(),
            (Seen{R"({"a":1,"b":"x"})", R"({"a":2,"b":"y","c":true})", R"({"a":3,"c":true})"}));
  EXPECT_EQ(records()[1].after["list"].dump(), R"([{"a":2,"b":"y","c":false}])");
  EXPECT_EQ(warnings(), "");
}

TEST_F(TypeChanges, RowsOlderThanTheirTypeAreTextWithOneWarning) {
  exec("CREATE TYPE pair AS (a int, b text)");
  create_table("t", "id int PRIMARY KEY, v pair");
  start();
  walferry_.stop();
  exec("INSERT INTO t VALUES (1, '(1,x)'); INSERT INTO t VALUES (2, '(2,\"y z\")')");
  exec("ALTER TYPE pair ADD ATTRIBUTE c bool");
  exec("INSERT INTO t VALUES (3, '(3,z,t)')");
  walferry_.start();
  expect_exact();
  EXPECT_EQ(values(), (Seen{"\"(1,x)\"", R"-("(2,\"y z\")")-", R"({"a":3,"b":"z","c":true})"}));
  EXPECT_EQ(count_lines(warnings()), 1) << warnings();
  EXPECT_TRUE(says(warnings(), "public.pair")) << warnings();
}

TEST_F(TypeChanges, AFieldThatWasRenamedHasItsNewNameOnceTheTablesAreLookedAtAgain) {
  exec("CREATE TYPE pair AS (a int, b text)");
  create_table("t", "id int PRIMARY KEY, v pair");
  start();
  exec("INSERT INTO t VALUES (1, '(1,x)')");
  wait_stored(1);
  exec("ALTER TYPE pair RENAME ATTRIBUTE a TO renamed");
  walferry_.send(SIGHUP);
  std::uint64_t stored = 1;
  wait_until(
      [&] {
        exec("INSERT INTO t SELECT max(id) + 1, '(2,y)' FROM t");
        wait_stored(++stored);
        return values().back() == R"({"renamed":2,"b":"y"})";
      },
      seconds(30), "the new name in a record");
  expect_exact();
}

// Neither the count nor the values tell, and WAL has no word of it: docs/records.md says so.
TEST_F(TypeChanges, AFieldInAnothersPlaceHasItsNameOnceTheTablesAreLookedAtAgain) {
  exec("CREATE TYPE pair AS (a int, b text)");
  create_table("t", "id int PRIMARY KEY, v pair");
  start();
  exec("INSERT INTO t VALUES (1, '(1,x)')");
  wait_stored(1);
  walferry_.stop();
  exec("INSERT INTO t VALUES (2, '(1,x)')");
  exec("ALTER TYPE pair DROP ATTRIBUTE b, ADD ATTRIBUTE c text");
  start();
  wait_stored(2);
  EXPECT_EQ(values(), (Seen{R"({"a":1,"b":"x"})", R"({"a":1,"c":"x"})"})) << "WAL from before";
  exec("ALTER TYPE pair DROP ATTRIBUTE c, ADD ATTRIBUTE d text");
  walferry_.send(SIGHUP);
  std::uint64_t stored = 2;
  wait_until(
      [&] {
        exec("INSERT INTO t SELECT max(id) + 1, '(2,y)' FROM t");
        wait_stored(++stored);
        return values().back() == R"({"a":2,"d":"y"})";
      },
      seconds(30), "the new name in a record");
  expect_exact();
}

// A kind that does not fit is noticed.
TEST_F(TypeChanges, AFieldOfAnotherKindInItsPlaceIsThereFromTheFirstRowThatHasIt) {
  exec("CREATE TYPE pair AS (a int, b int)");
  create_table("t", "id int PRIMARY KEY, v pair");
  start();
  exec("INSERT INTO t VALUES (1, '(1,2)')");
  wait_stored(1);
  exec("ALTER TYPE pair DROP ATTRIBUTE b, ADD ATTRIBUTE c text");
  exec("INSERT INTO t VALUES (2, '(1,words)')");
  expect_exact();
  EXPECT_EQ(values(), (Seen{R"({"a":1,"b":2})", R"({"a":1,"c":"words"})"}));
}

TEST_F(TypeChanges, ATypeDroppedMeanwhileIsTextWithOneWarning) {
  exec("CREATE TYPE pair AS (a int, b text); CREATE TYPE mood AS ENUM ('sad')");
  create_table("t", "id int PRIMARY KEY, v pair");
  start();
  walferry_.stop();
  exec("INSERT INTO t VALUES (1, '(1,\"x y\")'); INSERT INTO t VALUES (2, NULL)");
  exec("ALTER TABLE t DROP COLUMN v; DROP TYPE pair");
  exec("INSERT INTO t VALUES (3)");
  walferry_.start();
  expect_exact();
  EXPECT_EQ(values(), (Seen{R"-("(1,\"x y\")")-", "null", "absent"}));
  EXPECT_EQ(count_lines(warnings()), 1) << warnings();
  EXPECT_TRUE(says(warnings(), "public.pair")) << warnings();
}

class CommitsThatWait : public TypeChanges {
 protected:
  CommitsThatWait() : TypeChanges(commits_can_wait()) {}
};

// The commit is in WAL, and walferry reads of the new type before anyone can see it. (Of a
// composite it could not: to print one, the server itself waits for whoever alters it.)
TEST_F(CommitsThatWait, ATypeOfATransactionThatIsNotVisibleYetIsWaitedForAndNotTakenForGone) {
  create_table("t", "id int PRIMARY KEY");
  start();
  commit_unseen(postgres_, walferry_,
                "BEGIN; CREATE DOMAIN positive AS int; ALTER TABLE t ADD COLUMN v positive;"
                "INSERT INTO t VALUES (1, 42); COMMIT");
  expect_exact();
  EXPECT_EQ(values(), Seen{"42"});
  EXPECT_FALSE(says(walferry_.log(), "not in the catalog"));
}

TEST_F(TypeChanges, ADocumentOfAMegabyteIsExact) {
  create_table("t", "id int PRIMARY KEY, v jsonb");
  start();
  exec(
      "INSERT INTO t SELECT 1, jsonb_object_agg('key ' || i, jsonb_build_array(i, "
      "md5(i::text), "
      "NULL, 1.50)) FROM generate_series(1, 15800) i");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_GT(all[0].payload.size(), 1'000'000U);
  EXPECT_EQ(postgres_.value("SELECT v = (" + sql_literal(all[0].payload) +
                            "::json #> '{after,v}')::jsonb FROM t"),
            "t");
}

}  // namespace
}  // namespace scenarios
