// Shapes of tables: each is announced once, before its first row, whatever is killed meanwhile.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Shapes : public Scenario {
 protected:
  struct Seen {
    std::string subject, id, columns, identity;
  };
  // Each announcement, columns as "name type key?".
  std::vector<Seen> announced() {
    std::vector<Seen> all;
    for (const Stored& stored : js().read("CDC")) {
      if (!is_schema_record(stored)) continue;
      const SchemaRecord schema = parse_schema_record(stored);
      Seen seen{.subject = schema.subject, .id = schema.id, .columns = "", .identity = ""};
      for (const auto& column : schema.json["columns"]) {
        if (!seen.columns.empty()) seen.columns += ", ";
        seen.columns += column["name"].get<std::string>() + " " +
                        (column["type"].is_null() ? "?" : column["type"].get<std::string>()) +
                        (column["key"].get<bool>() ? " key" : "");
      }
      seen.identity = schema.json["identity"].get<std::string>();
      all.push_back(seen);
    }
    return all;
  }
  std::vector<std::string> columns_announced() {
    std::vector<std::string> columns;
    for (const Seen& seen : announced()) columns.push_back(seen.columns);
    return columns;
  }
};

TEST_F(Shapes, EachChangeOfATableIsAnnouncedBeforeItsFirstRow) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'a'); INSERT INTO t VALUES (2, 'b')");
  exec("ALTER TABLE t ADD n numeric(12,2); INSERT INTO t VALUES (3, 'c', 1)");
  exec("ALTER TABLE t RENAME v TO w");
  exec("UPDATE t SET w = 'd' WHERE id = 1");
  exec("ALTER TABLE t ALTER w TYPE varchar(10)");
  exec("DELETE FROM t WHERE id = 2");
  exec("ALTER TABLE t DROP w");
  exec("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 2 WHERE id = 1");
  expect_exact();
  EXPECT_EQ(
      columns_announced(),
      (std::vector<std::string>{"id integer key, v text", "id integer key, v text, n numeric(12,2)",
                                "id integer key, w text, n numeric(12,2)",
                                "id integer key, w character varying(10), n numeric(12,2)",
                                "id integer key, n numeric(12,2)"}));
  EXPECT_EQ(announced().back().identity, "full");
  EXPECT_EQ(announced().front().identity, "default");
}

TEST_F(Shapes, AChangeWithinATransactionIsAnnouncedAtItsPlace) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ADD n int; INSERT INTO t VALUES "
      "(2, 'b', 7); ALTER TABLE t DROP v; UPDATE t SET n = 8 WHERE id = 2; COMMIT");
  expect_exact();
  EXPECT_EQ(columns_announced(),
            (std::vector<std::string>{"id integer key, v text", "id integer key, v text, n integer",
                                      "id integer key, n integer"}));
  const auto all = js().read("CDC");
  ASSERT_EQ(all.size(), 6U);
  for (const std::size_t i : {0U, 2U, 4U}) {
    EXPECT_TRUE(is_schema_record(all[i])) << i;
    EXPECT_EQ(all[i].headers.at("Nats-Msg-Id"), all[i + 1].headers.at("Nats-Msg-Id") + ":schema");
  }
}

TEST_F(Shapes, ARenamedTableIsAnnouncedUnderItsNewName) {
  exec("CREATE TABLE before (id int PRIMARY KEY)");
  settings().table("public.*");
  start();
  exec("INSERT INTO before VALUES (1)");
  exec("ALTER TABLE before RENAME TO after; INSERT INTO after VALUES (2)");
  expect_exact();
  const auto all = announced();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].subject, "cdc._schema.public.before");
  EXPECT_EQ(all[1].subject, "cdc._schema.public.after");
}

TEST_F(Shapes, ARestartAnnouncesNothingAgain) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'a')");
  wait_complete();
  for (int round = 0; round < 3; ++round) {
    walferry_.kill_hard();
    walferry_.start();
    wait_streaming();
    exec("INSERT INTO t VALUES (" + std::to_string(round + 2) + ", 'a')");
    wait_complete();
  }
  expect_exact();
  EXPECT_EQ(announced().size(), 1U);
}

// ... also where the rows before it come again, because the stream has lost them.
TEST_F(Shapes, AStreamThatLostThemGetsThemAgainAtTheirPlaces) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'a')");
  wait_complete();
  nats_.stop();
  nats_.save_store("older");
  nats_.start();
  exec("ALTER TABLE t ADD n int; INSERT INTO t VALUES (2, 'b', 1)");
  exec("ALTER TABLE t DROP v; INSERT INTO t VALUES (3, 2)");
  wait_complete();
  const auto whole = js().read("CDC");
  walferry_.kill_hard();
  nats_.stop();
  nats_.restore_store("older");
  nats_.start();
  walferry_.start();
  wait_streaming();
  expect_exact();
  const auto mended = js().read("CDC");
  ASSERT_EQ(mended.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(mended[i].payload, whole[i].payload) << i;
  }
}

TEST_F(Shapes, AreAnnouncedOnceMoreWhereItIsLostThatTheyWere) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'a')");
  wait_complete();
  walferry_.kill_hard();
  js().api("STREAM.PURGE.KV_walferry", {{"filter", "$KV.walferry.CDC.walferry.shapes"}});
  walferry_.start();
  wait_streaming();
  exec("INSERT INTO t VALUES (2, 'b')");
  wait_until([&] { return records().size() == 2; }, seconds(60), "both are stored");
  EXPECT_TRUE(says(walferry_.log(), "announced once more")) << walferry_.log();
  walferry_.stop();
  EXPECT_EQ(announced().size(), 2U);
  EXPECT_EQ(announced()[0].columns, announced()[1].columns);
}

struct Kill {
  const char* failpoint;
  int passes;
};

class ShapesKilled : public Shapes, public testing::WithParamInterface<Kill> {};

TEST_P(ShapesKilled, AnnouncesEachOnceWhereverItDies) {
  create_table("a", "id int PRIMARY KEY, v text");
  create_table("b", "id int PRIMARY KEY");
  settings().set_string("source", "replay_window", "0");
  watch();
  walferry_.start({}, {std::string("WALFERRY_FAILPOINT=") + GetParam().failpoint + ":" +
                       std::to_string(GetParam().passes)});
  wait_streaming();
  exec(
      "INSERT INTO a VALUES (1, 'x'); BEGIN; INSERT INTO a VALUES (2, 'x'); INSERT INTO b VALUES "
      "(1); ALTER TABLE a ADD n int; INSERT INTO a VALUES (3, 'y', 1); INSERT INTO b VALUES (2); "
      "COMMIT; INSERT INTO a VALUES (4, 'y', 1)");
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  walferry_.start();
  wait_streaming();
  exec("INSERT INTO b VALUES (5)");
  expect_exact();
  EXPECT_EQ(announced().size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(
    Points, ShapesKilled,
    testing::Values(Kill{"shape_saved", 1}, Kill{"shape_saved", 2}, Kill{"shape_saved", 3},
                    Kill{"before_publish", 1}, Kill{"before_publish", 2}, Kill{"before_publish", 4},
                    Kill{"before_publish", 5}, Kill{"before_publish", 6}, Kill{"before_publish", 7},
                    Kill{"stored_unacked", 1}, Kill{"stored_unacked", 2}, Kill{"acked_unsaved", 2},
                    Kill{"saved_unconfirmed", 1}),
    [](const auto& kill) {
      return std::string(kill.param.failpoint) + "_" + std::to_string(kill.param.passes);
    });

}  // namespace
}  // namespace scenarios
