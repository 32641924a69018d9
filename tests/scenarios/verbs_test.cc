// The verbs in depth: check agrees with run whatever is wrong, status and tail while servers come
// and go, teardown in every order.
#include <algorithm>
#include <sstream>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

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

// ---- check

class VerbsInDepth : public Scenario {
 protected:
  explicit VerbsInDepth(NatsOptions nats = {}) : Scenario({}, std::move(nats)) {}
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  json check_as_json(int code) {
    const Finished finished = walferry_.verb({"check", "--json"});
    EXPECT_EQ(finished.exit.code, code) << finished.out << finished.err;
    return json::parse(finished.out);
  }
  static json find(const json& report, const std::string& name) {
    for (const auto& check : report.at("checks")) {
      if (check.at("name") == name) return check;
    }
    return {{"result", "absent"}, {"detail", ""}, {"fix", ""}};
  }
  Spawn spawn(std::vector<std::string> args, const std::string& out, const std::string& err) {
    args.insert(args.begin(), walferry_binary());
    args.insert(args.end(), {"--config", walferry_.config_file()});
    return {.argv = std::move(args), .stdout_file = dir_.file(out), .stderr_file = dir_.file(err)};
  }
  std::vector<std::string> printed(const std::string& name = "out") {
    return lines_of(read_file(dir_.file(name)));
  }
  void wait_printed(std::size_t lines, const std::string& name = "out") {
    wait_until([&] { return printed(name).size() >= lines; }, seconds(30),
               std::to_string(lines) + " lines");
  }
  // The oracle has a slot of its own.
  std::string session_of_the_slot() {
    return postgres_.value(
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'walferry'");
  }

  TempDir dir_;
};

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

// ---- status

TEST_F(VerbsInDepth, StatusAgreesWithBothServers) {
  const auto status = [&](int code) {
    const Finished finished = walferry_.verb({"status", "--json"});
    EXPECT_EQ(finished.exit.code, code) << finished.err;
    return json::parse(finished.out);
  };
  json seen = status(0);
  EXPECT_EQ(seen["running"], false);
  EXPECT_EQ(seen["slot"]["exists"], false);
  EXPECT_EQ(seen["stream"]["exists"], false);
  start();
  exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 7) i");
  wait_stored(7);
  seen = status(0);
  EXPECT_EQ(seen["running"], true);
  EXPECT_EQ(seen["slot"]["active_pid"].dump(), session_of_the_slot());
  EXPECT_EQ(seen["stream"]["messages"], 7);
  EXPECT_EQ(seen["stream"]["last_seq"], 7);
  EXPECT_EQ(seen["last_record"]["commit_ts"], json::parse(records().back().payload)["commit_ts"]);
  EXPECT_LT(seen["last_record"]["age_seconds"].get<double>(), 60);
  EXPECT_LT(seen["lag_bytes"].get<std::uint64_t>(), 1U << 20);
  walferry_.stop();
  nats_.stop();
  seen = status(1);
  EXPECT_EQ(seen["nats"]["reachable"], false);
  EXPECT_EQ(seen["stream"], nullptr);
  EXPECT_EQ(seen["slot"]["active"], false);
  nats_.start();
  postgres_.stop();
  seen = status(1);
  EXPECT_EQ(seen["running"], nullptr) << "nobody knows";
  EXPECT_EQ(seen["stream"]["last_seq"], 7);
}

TEST_F(VerbsInDepth, StatusWatchesUntilItIsStoppedAcrossARestart) {
  write_file(walferry_.config_file(), settings().to_toml());
  Process watch(spawn({"status", "--watch", "--json"}, "out", "err"));
  wait_printed(1);
  postgres_.stop();
  const auto last = [&] { return json::parse(printed().back()); };
  wait_until([&] { return last()["postgres"]["reachable"] == false; }, seconds(20), "the outage");
  postgres_.start();
  wait_until([&] { return last()["postgres"]["reachable"] == true; }, seconds(20), "its end");
  watch.send(SIGINT);
  EXPECT_EQ(watch.wait_exit(seconds(10)).code, 0);
}

// ---- tail

TEST_F(VerbsInDepth, TailShowsEachRecordOnceAcrossRestartsOfTheServer) {
  start();
  Process tail(spawn({"tail", "--json", "--last", "1"}, "out", "err"));
  exec("INSERT INTO t VALUES (0, 'first')");
  wait_printed(1);
  int id = 1;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i, ++id)
      exec("INSERT INTO t VALUES (" + std::to_string(id) + ", '')");
    if (round == 1) nats_.kill_hard(), nats_.start();
    if (round == 0) nats_.restart();
  }
  wait_printed(static_cast<std::size_t>(id));
  EXPECT_FALSE(
      becomes_true([&] { return printed().size() > static_cast<std::size_t>(id); }, seconds(1)));
  tail.send(SIGTERM);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
  std::vector<std::string> stored;
  for (const auto& message : js().read("CDC")) stored.push_back(message.payload);
  EXPECT_EQ(printed(), stored);
}

TEST_F(VerbsInDepth, TailFollowsAStreamThatIsMadeAnew) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  write_file(walferry_.config_file(), settings().to_toml());
  js().publish("cdc.x", R"({"n":1})");
  Process tail(spawn({"tail", "--json", "--last", "1"}, "out", "err"));
  wait_printed(1);
  js().delete_stream("CDC");
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  js().publish("cdc.x", R"({"n":2})");
  wait_printed(2);
  EXPECT_EQ(printed().back(), R"({"n":2})");
  EXPECT_TRUE(says(read_file(dir_.file("err")), "made anew"));
  tail.send(SIGINT);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
}

TEST_F(VerbsInDepth, TailBeginsWithExactlyTheLastThatMatch) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  write_file(walferry_.config_file(), settings().to_toml());
  for (int i = 1; i <= 30; ++i) {
    js().publish(i % 3 == 0 ? "cdc.a.b" : "cdc.c", "{\"n\":" + std::to_string(i) + "}");
  }
  for (const std::uint64_t gone : {29U, 27U, 26U, 20U}) js().delete_message("CDC", gone);
  int runs = 0;
  const auto first_of = [&](const std::vector<std::string>& args, std::size_t lines) {
    const std::string out = "out." + std::to_string(++runs);
    Process tail(spawn(args, out, "err"));
    wait_printed(lines, out);
    EXPECT_FALSE(becomes_true([&] { return printed(out).size() > lines; }, Milliseconds(300)));
    return printed(out).front();
  };
  EXPECT_EQ(first_of({"tail", "--json", "--last", "4"}, 4), R"({"n":24})");
  EXPECT_EQ(first_of({"tail", "--json", "--last", "4", "cdc.a.>"}, 4), R"({"n":18})");
  EXPECT_EQ(first_of({"tail", "--json", "--last", "99", "cdc.*.b"}, 9), R"({"n":3})");
  EXPECT_EQ(first_of({"tail", "--json", "--last", "99"}, 26), R"({"n":1})");
}

TEST_F(VerbsInDepth, TailEndsWithItsReader) {
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  // Nothing more is stored: that the reader has gone must show without a write.
  const Finished finished = run_to_end(
      {.argv = {"/bin/bash", "-c",
                walferry_binary() + " tail --json --last 1 --config " + walferry_.config_file() +
                    " | head -n 1 >" + dir_.file("out") + "; exit ${PIPESTATUS[0]}"}},
      seconds(20));
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(printed().size(), 1U);
}

TEST_F(VerbsInDepth, TailShowsWhatIsNoRecordAndLeavesItOutOfJson) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  write_file(walferry_.config_file(), settings().to_toml());
  js().publish("cdc.foreign", "two\nlines");
  js().publish("cdc.foreign", "{\"a\":1}");
  {
    Process tail(spawn({"tail", "--last", "9"}, "out", "err"));
    wait_printed(2);
    EXPECT_TRUE(says(printed().front(), "cdc.foreign") && says(printed().front(), "9 B"));
  }
  Process tail(spawn({"tail", "--last", "9", "--json"}, "json", "err"));
  wait_printed(1, "json");
  EXPECT_EQ(printed("json"), std::vector<std::string>{"{\"a\":1}"});
  EXPECT_TRUE(says(read_file(dir_.file("err")), "left out"));
}

TEST_F(VerbsInDepth, TailOfNoStreamIsAPreconditionThatIsNotMet) {
  const Finished finished = walferry_.verb({"tail"});
  EXPECT_EQ(finished.exit.code, 3);
  EXPECT_TRUE(says(finished.err, "CDC does not exist")) << finished.err;
}

TEST(TailOnACluster, ShowsEachRecordOnceWhenALeaderDies) {
  NatsCluster cluster;
  Walferry walferry(walferry_binary(), settings_for("host=/nowhere", cluster.url()));
  walferry.settings().table("public.t");
  write_file(walferry.config_file(), walferry.settings().to_toml());
  JetStream js = cluster.jetstream();
  js.create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}, {"num_replicas", 3}});
  cluster.wait_whole("CDC");
  int stored = 0;
  const auto publish = [&](int count) {
    for (const int end = stored + count; stored < end;) {
      // During an election nobody answers; the id keeps a second try from being stored twice.
      wait_until(
          [&] {
            js.publish("cdc.x", "{\"n\":" + std::to_string(stored + 1) + "}",
                       {{"Nats-Msg-Id", std::to_string(stored + 1)}});
            return true;
          },
          seconds(60), "an acknowledgement");
      ++stored;
    }
  };
  publish(30);
  const TempDir dir;
  Process tail(Spawn{.argv = {walferry_binary(), "tail", "--json", "--last", "4", "--config",
                              walferry.config_file()},
                     .stdout_file = dir.file("out")});
  const auto printed = [&] { return lines_of(read_file(dir.file("out"))); };
  wait_until([&] { return printed().size() >= 4; }, seconds(30), "the last four");
  cluster.named(js.leader("CDC")).kill_hard();
  publish(30);
  wait_until([&] { return printed().size() >= 34; }, seconds(60), "what was stored since");
  std::vector<std::string> expected;
  for (int n = 27; n <= 60; ++n) expected.push_back("{\"n\":" + std::to_string(n) + "}");
  EXPECT_EQ(printed(), expected);
}

// ---- teardown

TEST_F(VerbsInDepth, TeardownRefusesASlotInUseAndNamesItsSession) {
  start();
  const std::string pid = session_of_the_slot();
  const Finished finished = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(finished.exit.code, 3);
  EXPECT_TRUE(says(finished.err, pid)) << finished.err;
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "2");
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value());
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(VerbsInDepth, TeardownMayBeRepeatedAndTheNextRunBeginsAnew) {
  start();
  walferry_.stop();
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
  const Finished again = walferry_.verb({"teardown"});
  EXPECT_EQ(again.exit.code, 0) << again.err;
  EXPECT_TRUE(says(again.out, "nothing to drop")) << again.out;
  EXPECT_EQ(walferry_.verb({"check"}).exit.code, 0);
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(VerbsInDepth, TeardownFreesTheSlotAlsoWhileNatsIsAway) {
  start();
  walferry_.stop();
  nats_.stop();
  const Finished half = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(half.exit.code, 1) << half.out;
  EXPECT_TRUE(says(half.out, "again when NATS answers")) << half.out;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  nats_.start();
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value());
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
  EXPECT_EQ(js().key_value("walferry", "CDC.walferry").value_or(""), "");
}

TEST_F(VerbsInDepth, TeardownLeavesAloneWhatIsNotWalferrys) {
  exec("CREATE PUBLICATION walferry FOR TABLE t");
  postgres_.query("SELECT pg_create_physical_replication_slot('walferry')");
  const Finished finished = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_TRUE(says(finished.out, "left alone")) << finished.out;
  EXPECT_TRUE(postgres_.slot_exists("walferry"));
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "1");
}

}  // namespace
}  // namespace scenarios
