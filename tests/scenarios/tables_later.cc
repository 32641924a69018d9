// What becomes of the tables while walferry runs: said, and no reason to stop, for the others go
// on. At a start it is refused.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class TablesLater : public Scenario {
 protected:
  // A role that owns `app.mine` and may replicate, but is no superuser.
  void start_as_owner() {
    exec(
        "CREATE ROLE ferry LOGIN REPLICATION; CREATE SCHEMA app; GRANT ALL ON SCHEMA app TO ferry; "
        "CREATE TABLE app.mine (id int PRIMARY KEY); ALTER TABLE app.mine OWNER TO ferry");
    exec(
        "DO $$ BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || current_database() || ' TO ferry'; "
        "END $$");
    settings().set_string("source", "dsn", postgres_.conninfo() + " user=ferry");
    settings().table("app.*");
    start();
  }
  void cut_connections() {
    expect_said("streaming from slot");  // a start is over when walferry says so
    const auto sessions = [this] {
      return postgres_.value(
          "SELECT string_agg(pid::text, ',') FROM pg_stat_replication "
          "WHERE application_name LIKE 'walferry%'");
    };
    const std::string before = sessions();
    exec("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    wait_until(
        [&] {
          const std::string now = sessions();
          return !walferry_.running() || (!now.empty() && now != before);
        },
        seconds(60), "walferry is back");
    EXPECT_TRUE(walferry_.running());
  }
  void expect_said(const std::string& words) {
    EXPECT_TRUE(becomes_true([&] { return says(walferry_.log(), words); }, seconds(30)))
        << walferry_.log();
  }
};

TEST_F(TablesLater, ATableOfSomebodyElseUnderAPatternHoldsUpNobody) {
  start_as_owner();
  exec(
      "CREATE TABLE app.theirs (id int PRIMARY KEY); CREATE TABLE app.second (id int PRIMARY KEY); "
      "ALTER TABLE app.second OWNER TO ferry");
  walferry_.send(SIGHUP);
  expect_said("app.theirs cannot be published");
  expect_said("add table only \"app\".\"second\"");
  cut_connections();
  exec(
      "INSERT INTO app.mine VALUES (1); INSERT INTO app.second VALUES (1); "
      "INSERT INTO app.theirs VALUES (1)");
  wait_stored(2);
  walferry_.stop();
  EXPECT_EQ(stored_records(), 2U);
  walferry_.start();
  EXPECT_TRUE(says(expect_exit(3), "app.theirs"));
  settings().raw("").set("source", "exclude_tables", R"(["app.theirs"])");
  walferry_.start();
  wait_streaming();
}

TEST_F(TablesLater, ADroppedTableThatIsConfiguredByNameDoesNotStopTheOthers) {
  create_table("stays", "id int PRIMARY KEY");
  create_table("goes", "id int PRIMARY KEY");
  start();
  exec("DROP TABLE goes");
  cut_connections();
  expect_said("table public.goes does not exist");
  exec("INSERT INTO stays VALUES (1)");
  wait_stored(1);
  walferry_.stop();
  walferry_.start();
  EXPECT_TRUE(says(expect_exit(3), "public.goes"));
}

TEST_F(TablesLater, ALockOnANewTableDoesNotHoldUpAReconnect) {
  create_table("stays", "id int PRIMARY KEY");
  settings().no_tables().table("public.*");
  start();
  PgSession other = postgres_.connect();
  exec("CREATE TABLE fresh (id int PRIMARY KEY)");
  other.exec("BEGIN; LOCK TABLE fresh IN ACCESS EXCLUSIVE MODE");
  cut_connections();
  exec("INSERT INTO stays VALUES (1)");
  wait_stored(1);
  other.exec("COMMIT");
  walferry_.send(SIGHUP);
  expect_said("\"public\".\"fresh\"");
  wait_until(
      [&] {
        return postgres_.value(
                   "SELECT count(*) FROM pg_publication_tables WHERE tablename = "
                   "'fresh'") == "1";
      },
      seconds(30), "the new table is published");
  exec("INSERT INTO fresh VALUES (1)");
  wait_stored(2);
}

// Whether what the writer did before is sent depends on what the walsender has looked at, and after
// the kill it is another one: by ids that follow from WAL, it must not matter.
TEST_F(TablesLater, AWriterThatWasOpenWhenItsTableJoinedIsTheSameAfterAKill) {
  create_table("stays", "id int PRIMARY KEY");
  start();
  exec("CREATE TABLE joins (id int PRIMARY KEY)");
  PgSession writer = postgres_.connect();
  writer.exec("BEGIN; INSERT INTO joins VALUES (1), (2); INSERT INTO stays VALUES (1)");
  settings().table("public.joins");
  walferry_.kill_hard();
  walferry_.start({}, {"WALFERRY_FAILPOINT=publication_altered"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  start();
  exec("INSERT INTO joins VALUES (3)");
  writer.exec("INSERT INTO joins VALUES (4); COMMIT");
  wait_stored(3);
  // Read again with the writer's transaction in the window, and by a session that begins with it.
  walferry_.kill_hard();
  start();
  exec("INSERT INTO stays VALUES (2)");
  wait_stored(4);
  std::vector<std::string> stored;
  for (const Record& record : records()) stored.push_back(record.table + record.key.dump());
  EXPECT_EQ(stored, (std::vector<std::string>{R"(joins{"id":3})", R"(stays{"id":1})",
                                              R"(joins{"id":4})", R"(stays{"id":2})"}));
  const auto all = records();
  EXPECT_EQ(all.at(1).ordinal, 1U);
  EXPECT_EQ(all.at(2).ordinal, 2U);
  walferry_.stop();
}

// The same of one that leaves, and of a writer that commits right behind the ALTER.
TEST_F(TablesLater, WritersThatWereOpenWhenTheirTablesCameAndWentAreTheSameAfterAKill) {
  create_table("stays", "id int PRIMARY KEY");
  create_table("leaves", "id int PRIMARY KEY");
  start();
  exec("CREATE TABLE joins (id int PRIMARY KEY)");
  PgSession writer = postgres_.connect();
  PgSession other = postgres_.connect();
  for (PgSession* one : {&writer, &other}) {
    const std::string id = one == &writer ? "1" : "11";
    one->exec("BEGIN; INSERT INTO joins VALUES (" + id + "); INSERT INTO leaves VALUES (" + id +
              "); INSERT INTO stays VALUES (" + id + ")");
  }
  walferry_.kill_hard();
  settings() =
      settings_for(postgres_.conninfo(), nats_.url()).table("public.stays").table("public.joins");
  walferry_.start({}, {"WALFERRY_FAILPOINT=publication_altered"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  exec("INSERT INTO joins VALUES (2); INSERT INTO leaves VALUES (2)");
  other.exec("INSERT INTO joins VALUES (12); COMMIT");
  start();
  writer.exec("INSERT INTO joins VALUES (3); INSERT INTO stays VALUES (3); COMMIT");
  const std::vector<std::string> expected{R"(joins{"id":2})",  R"(stays{"id":11})",
                                          R"(joins{"id":12})", R"(stays{"id":1})",
                                          R"(joins{"id":3})",  R"(stays{"id":3})"};
  wait_stored(expected.size());
  for (std::size_t kills = 0; kills < 2; ++kills) {
    walferry_.kill_hard();
    start();
    exec("INSERT INTO stays VALUES (" + std::to_string(100 + kills) + ")");
    wait_stored(expected.size() + 1 + kills);
  }
  std::vector<std::string> stored;
  for (const Record& record : records()) stored.push_back(record.table + record.key.dump());
  stored.resize(expected.size());
  EXPECT_EQ(stored, expected);
  walferry_.stop();
}

// A start that is refused leaves nothing behind that it made.
TEST_F(TablesLater, ARefusedStartMakesNeitherStreamNorPublicationNorSlot) {
  create_table("there", "id int PRIMARY KEY");
  settings().table("public.missing");
  EXPECT_EQ(walferry_.run_to_exit().exit.code, 3);
  EXPECT_FALSE(js().stream("CDC"));
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "0");
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_replication_slots"), "0");
}

TEST_F(TablesLater, AKeyIsLoggedOnlyWhereThatIsAllowed) {
  create_table("wide", "id text PRIMARY KEY, v text");
  settings().set_string("publish", "max_message", "1KiB");
  start();
  exec("INSERT INTO wide VALUES ('key-4711', repeat('x', 2000))");
  std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.wide")) << log;
  EXPECT_FALSE(says(log, "key-4711")) << log;
  settings().set("log", "keys", "true");
  walferry_.start();
  log = expect_exit(3);
  EXPECT_TRUE(says(log, R"(key {"id":"key-4711"})")) << log;
  EXPECT_FALSE(says(log, "xxxx")) << log;
}

}  // namespace
}  // namespace scenarios
