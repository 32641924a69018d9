// What check says: the same as run, whatever is wrong, and how to mend it; of each side without the
// other, and of a daemon at work nothing but good.
#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

// ---- check says what run says

struct Situation {
  const char* name;
  int code;
  void (*make)(Settings&, PostgresCluster&, NatsServer&, Walferry&);
};

void store_one_record(PostgresCluster& postgres, Walferry& walferry) {
  const auto until_now = [&] { return walferry.verb({"run", "--until", "current"}).exit.code; };
  ASSERT_EQ(until_now(), 0);
  postgres.exec("INSERT INTO t VALUES (1, 'x')");
  ASSERT_EQ(until_now(), 0);
}

class CheckAndRun : public Scenario, public testing::WithParamInterface<Situation> {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
};

TEST_P(CheckAndRun, Agree) {
  GetParam().make(settings(), postgres_, nats_, walferry_);
  const Finished check = walferry_.verb({"check"});
  EXPECT_EQ(check.exit.code, GetParam().code) << check.out << check.err;
  const Finished run = walferry_.run_to_exit({"--until", "current"});
  EXPECT_EQ(run.exit.code, GetParam().code) << check.out << run.err;
}

INSTANTIATE_TEST_SUITE_P(
    Situations, CheckAndRun,
    testing::Values(
        Situation{"first_start", 0, [](Settings&, PostgresCluster&, NatsServer&, Walferry&) {}},
        Situation{"goes_on", 0,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry& walferry) {
                    store_one_record(postgres, walferry);
                  }},
        Situation{"last_message_purged", 0,
                  [](Settings&, PostgresCluster& postgres, NatsServer& nats, Walferry& walferry) {
                    store_one_record(postgres, walferry);
                    nats.jetstream().purge("CDC");
                  }},
        Situation{"role_may_not_replicate", 3,
                  [](Settings& settings, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    postgres.exec("CREATE ROLE plain LOGIN; ALTER TABLE t OWNER TO plain");
                    settings.set_string("source", "dsn", postgres.conninfo("plain"));
                  }},
        Situation{"no_such_role", 3,
                  [](Settings& settings, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    settings.set_string("source", "dsn", postgres.conninfo("nobody"));
                  }},
        Situation{"unlogged_table", 3,
                  [](Settings& settings, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    postgres.exec("CREATE UNLOGGED TABLE u (id int PRIMARY KEY)");
                    settings.table("public.u");
                  }},
        Situation{"publication_of_someone_else", 3,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    postgres.exec(
                        "CREATE TABLE o (id int); CREATE PUBLICATION walferry FOR TABLE o");
                  }},
        Situation{"slot_of_another_plugin", 3,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    postgres.query("SELECT pg_create_physical_replication_slot('walferry')");
                  }},
        Situation{"no_slot_is_free", 3,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    postgres.query(
                        "SELECT pg_create_physical_replication_slot('s' || i) FROM generate_series("
                        "1, current_setting('max_replication_slots')::int) i");
                  }},
        Situation{"stream_with_another_retention", 3,
                  [](Settings&, PostgresCluster&, NatsServer& nats, Walferry&) {
                    nats.jetstream().create_stream(
                        {{"name", "CDC"}, {"subjects", {"cdc.>"}}, {"retention", "workqueue"}});
                  }},
        Situation{"subjects_of_another_stream", 3,
                  [](Settings&, PostgresCluster&, NatsServer& nats, Walferry&) {
                    nats.jetstream().create_stream({{"name", "ELSE"}, {"subjects", {"cdc.a.>"}}});
                  }},
        Situation{"replicas_without_a_cluster", 3,
                  [](Settings& settings, PostgresCluster&, NatsServer&, Walferry&) {
                    settings.set("stream", "replicas", "3");
                  }},
        Situation{"messages_too_large_for_the_server", 3,
                  [](Settings& settings, PostgresCluster&, NatsServer&, Walferry&) {
                    settings.set_string("publish", "max_message", "1MiB");
                  }},
        Situation{"stream_holds_foreign_messages", 3,
                  [](Settings&, PostgresCluster&, NatsServer& nats, Walferry&) {
                    nats.jetstream().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
                    nats.jetstream().publish("cdc.x", "not ours");
                  }},
        Situation{"slot_made_by_hand", 4,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry&) {
                    postgres.query(
                        "SELECT pg_create_logical_replication_slot('walferry', 'pgoutput')");
                  }},
        Situation{"slot_dropped", 4,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry& walferry) {
                    store_one_record(postgres, walferry);
                    postgres.query("SELECT pg_drop_replication_slot('walferry')");
                  }},
        Situation{"slot_moved_by_hand", 4,
                  [](Settings&, PostgresCluster& postgres, NatsServer&, Walferry& walferry) {
                    store_one_record(postgres, walferry);
                    postgres.exec("INSERT INTO t VALUES (2, 'lost')");
                    postgres.query(
                        "SELECT pg_replication_slot_advance('walferry', pg_current_wal_lsn())");
                  }},
        Situation{"store_wiped", 4,
                  [](Settings&, PostgresCluster& postgres, NatsServer& nats, Walferry& walferry) {
                    store_one_record(postgres, walferry);
                    nats.stop();
                    nats.wipe_store();
                    nats.start();
                  }}),
    [](const auto& param) { return std::string(param.param.name); });

// ---- single findings

TEST_F(VerbsInDepth, CheckFindsNothingWrongWithADaemonAtWork) {
  settings().set_string("source", "replay_window", "0").no_tables();
  create_load_tables();
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1)});
  for (int i = 0; i < scaled(8, 100); ++i) {
    const json report = check_as_json(0);
    EXPECT_NE(find(report, "slot")["detail"].get<std::string>().find("in use by pid"),
              std::string::npos);
    if (HasFailure()) break;
  }
  load.stop();
  expect_exact();
}

TEST_F(VerbsInDepth, CheckPrintsSqlThatAnAdministratorCanRunInstead) {
  exec(
      "CREATE ROLE ferry LOGIN REPLICATION; CREATE TABLE keyless (id int); "
      "GRANT SELECT ON t, keyless TO ferry");
  settings().table("public.keyless");
  settings().set_string("source", "dsn", postgres_.conninfo("ferry"));
  const json refused = find(check_as_json(3), "publication");
  EXPECT_EQ(refused["result"], "fail");
  const std::string fix = refused["fix"];
  const auto sql = fix.find("BEGIN;");
  ASSERT_NE(sql, std::string::npos) << fix;
  exec(fix.substr(sql));
  EXPECT_EQ(find(check_as_json(0), "publication")["result"], "ok");
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0) << walferry_.log();
}

TEST_F(VerbsInDepth, CheckLooksAtEachSideWithoutTheOther) {
  postgres_.stop();
  json report = check_as_json(3);
  EXPECT_EQ(find(report, "postgres")["result"], "fail");
  EXPECT_EQ(find(report, "jetstream")["result"], "ok");
  postgres_.start();
  nats_.stop();
  report = check_as_json(3);
  EXPECT_EQ(find(report, "nats")["result"], "fail");
  EXPECT_EQ(find(report, "table public.t")["result"], "ok");
  EXPECT_EQ(find(report, "position")["result"], "absent");
}

TEST_F(VerbsInDepth, CheckWarnsOfTablesThatAPatternPassesOver) {
  exec("CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY)");
  settings().no_tables().table("public.*").table("nowhere.*");
  const json report = check_as_json(0);
  EXPECT_EQ(find(report, "table public.scratch")["result"], "warn");
  EXPECT_EQ(find(report, "tables nowhere.*")["result"], "warn");
  EXPECT_EQ(find(report, "table public.t")["result"], "ok");
}

// By the name of its session's schema, and by one that only that session would find it under.
TEST_F(VerbsInDepth, CheckAndRunRefuseATemporaryTableAndSayThatItIsOne) {
  PgSession session = postgres_.connect();
  session.exec("CREATE TEMPORARY TABLE fleeting (id int PRIMARY KEY)");
  const std::string name = session.value(
      "SELECT nspname || '.fleeting' FROM pg_namespace WHERE oid = "
      "pg_my_temp_schema()");
  settings().table("public.fleeting").table(name);
  const json report = check_as_json(3);
  const json by_schema = find(report, "table " + name);
  EXPECT_EQ(by_schema["result"], "fail");
  EXPECT_TRUE(says(by_schema["detail"], "is temporary: it has no WAL")) << by_schema;
  EXPECT_FALSE(says(by_schema["fix"], "SET LOGGED")) << by_schema;
  const json by_name = find(report, "table public.fleeting");
  EXPECT_EQ(by_name["result"], "fail");
  EXPECT_TRUE(says(by_name["detail"], "temporary")) << by_name;
  const Finished run = walferry_.run_to_exit();
  EXPECT_EQ(run.exit.code, 3);
  EXPECT_TRUE(says(run.err, name + " is temporary")) << run.err;
  // Beside a pattern it disturbs nobody.
  settings().no_tables().table("public.*");
  EXPECT_EQ(find(check_as_json(0), "table public.fleeting")["result"], "absent");
}

TEST_F(VerbsInDepth, CheckWarnsOfWalThatNothingBounds) {
  EXPECT_EQ(find(check_as_json(0), "wal_retention")["result"], "warn");
  exec("ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'");
  exec("SELECT pg_reload_conf()");
  wait_until([&] { return find(check_as_json(0), "wal_retention")["result"] == "ok"; }, seconds(20),
             "the new setting");
}

struct LimitedUser : VerbsInDepth {
  LimitedUser()
      : VerbsInDepth({.reader = {.user = "reader", .password = "r"},
                      .more = "authorization { users = [ { user: reader, password: r }, { user: "
                              "limited, password: l, permissions: { publish: { deny: "
                              "[\"$JS.API.STREAM.CREATE.>\"] } } } ] }"}) {
    settings().set_string("nats", "user", "limited").set_string("nats", "password", "l");
  }
};

TEST_F(LimitedUser, CheckNamesTheSubjectThatTheUserMayNotPublishTo) {
  const json refused = find(check_as_json(3), "stream");
  EXPECT_NE(refused["detail"].get<std::string>().find("$JS.API.STREAM.CREATE"), std::string::npos)
      << refused;
  EXPECT_NE(refused["fix"].get<std::string>().find("$KV.walferry.>"), std::string::npos) << refused;
  EXPECT_FALSE(js().stream("CDC").has_value());
}

}  // namespace
}  // namespace scenarios
