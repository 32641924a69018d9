// Each kind of failure has its exit code and a message that says what to do: 2 for the
// configuration, 3 for a precondition, 4 for a lost position. A secret is in no log, whatever
// fails.
#include <regex>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

// ---- 2: the configuration

struct WrongConfig {
  const char* name;
  void (*spoil)(Settings&);
  std::vector<std::string> said;  // all of these stand in the message
};

class Configuration : public testing::TestWithParam<WrongConfig> {
 protected:
  Configuration()
      : walferry_(walferry_binary(), settings_for("host=/nowhere", "nats://127.0.0.1:1")) {
    walferry_.settings().table("public.t");
  }
  Walferry walferry_;
};

TEST_P(Configuration, IsRefusedWithFileLineAndKey) {
  GetParam().spoil(walferry_.settings());
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 2) << finished.err;
  EXPECT_TRUE(std::regex_search(finished.err, std::regex("walferry\\.toml:\\d+"))) << finished.err;
  for (const auto& words : GetParam().said) {
    EXPECT_TRUE(says(finished.err, words)) << words << " is not in: " << finished.err;
  }
  EXPECT_TRUE(finished.out.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Wrong, Configuration,
    testing::Values(
        WrongConfig{"unknown_key",
                    [](Settings& s) { s.set("publish", "max_in_flihgt", "10"); },
                    {"max_in_flihgt", "max_in_flight"}},
        WrongConfig{"unknown_section",
                    [](Settings& s) { s.set("streem", "name", "\"X\""); },
                    {"streem", "stream"}},
        WrongConfig{"wrong_type",
                    [](Settings& s) { s.set("stream", "replicas", "\"three\""); },
                    {"replicas"}},
        WrongConfig{"bad_duration",
                    [](Settings& s) { s.set("source", "replay_window", "\"5 parsecs\""); },
                    {"replay_window"}},
        WrongConfig{"bad_size",
                    [](Settings& s) { s.set("publish", "max_message", "\"lots\""); },
                    {"max_message"}},
        WrongConfig{"bad_choice",
                    [](Settings& s) { s.set("stream", "discard", "\"both\""); },
                    {"discard", "old", "new"}},
        WrongConfig{"no_dsn",
                    [](Settings& s) { s.remove("source", "dsn").set("source", "slot", "\"x\""); },
                    {"dsn"}},
        WrongConfig{"bad_slot_name",
                    [](Settings& s) { s.set("source", "slot", "\"No Such-Slot\""); },
                    {"slot"}},
        WrongConfig{"bad_table_name", [](Settings& s) { s.table("no_schema"); }, {"name"}},
        WrongConfig{"table_twice", [](Settings& s) { s.table("public.t"); }, {"table.name"}},
        WrongConfig{"no_table",
                    [](Settings& s) {
                      s.no_tables().set("log", "level", "\"info\"").set("stream", "bogus", "1");
                    },
                    {"table", "bogus"}},
        WrongConfig{"bad_snapshot",
                    [](Settings& s) { s.table("public.u", "snapshot = \"later\""); },
                    {"snapshot", "never"}},
        WrongConfig{"unset_variable",
                    [](Settings& s) { s.set("nats", "password", "\"${WALFERRY_NOT_SET}\""); },
                    {"WALFERRY_NOT_SET"}},
        WrongConfig{"bad_subject_prefix",
                    [](Settings& s) { s.set("stream", "subject_prefix", "\"a b.>\""); },
                    {"subject_prefix"}},
        WrongConfig{
            "bad_stream_name", [](Settings& s) { s.set("stream", "name", "\"a.b\""); }, {"name"}},
        WrongConfig{"several_at_once",
                    [](Settings& s) {
                      s.set("publish", "pace", "1")
                          .set("stream", "discard", "\"both\"")
                          .set("log", "format", "\"yaml\"");
                    },
                    {"pace", "discard", "format"}},
        WrongConfig{"no_toml", [](Settings& s) { s.raw("this is = = not toml"); }, {}}),
    [](const auto& param) { return std::string(param.param.name); });

// Parts that are not built yet are refused, never accepted and ignored. When one is built, its line
// here goes.
INSTANTIATE_TEST_SUITE_P(
    NotBuiltYet, Configuration,
    testing::Values(
        WrongConfig{
            "http", [](Settings& s) { s.set("http", "listen", "\"127.0.0.1:0\""); }, {"http"}},
        WrongConfig{
            "poll",
            [](Settings& s) { s.raw("[[outbox]]\ntable = \"public.outbox\"\ncapture = \"poll\""); },
            {"outbox.capture"}},
        WrongConfig{
            "dedup", [](Settings& s) { s.set("publish", "order", "\"dedup\""); }, {"order"}},
        WrongConfig{
            "diff",
            [](Settings& s) { s.table("public.u", "snapshot = \"never\"\ncapture = \"diff\""); },
            {"capture"}}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Usage, AMissingFileAnUnknownVerbAndNoVerbAreUsageErrors) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"run", "--config", "/nowhere/walferry.toml"},
        std::vector<std::string>{"sail"}, std::vector<std::string>{"run", "--frobnicate"},
        std::vector<std::string>{}}) {
    Spawn spawn{.argv = {walferry_binary()}};
    spawn.argv.insert(spawn.argv.end(), args.begin(), args.end());
    const Finished finished = run_to_end(spawn, seconds(20));
    EXPECT_EQ(finished.exit.code, 2) << (args.empty() ? "" : args[0]) << finished.err;
    EXPECT_FALSE(finished.err.empty());
  }
}

TEST(Usage, AnUntilLsnThatIsNoneIsAUsageError) {
  Walferry walferry(walferry_binary(),
                    settings_for("host=/nowhere", "nats://127.0.0.1:1").table("public.t"));
  EXPECT_EQ(walferry.run_to_exit({"--until-lsn", "soon"}).exit.code, 2);
}

// ---- 3: preconditions

class Preconditions : public Scenario {
 protected:
  explicit Preconditions(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {}
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  std::string expect_refused(int code = 3) {
    const Finished finished = walferry_.run_to_exit();
    EXPECT_EQ(finished.exit.code, code) << finished.err;
    return finished.err;
  }
  void connect_as(const std::string& role) {
    settings().set_string("source", "dsn", postgres_.conninfo(role));
  }
};

struct Replica : Preconditions {
  Replica() : Preconditions({.settings = {"wal_level=replica"}}) {}
};

TEST_F(Replica, AWalLevelBelowLogicalIsRefusedWithItsName) {
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "wal_level") && says(log, "logical")) << log;
}

TEST_F(Preconditions, ARoleWithoutReplicationIsRefusedWithTheCommand) {
  exec(
      "CREATE ROLE plain LOGIN; ALTER TABLE t OWNER TO plain; GRANT CREATE ON DATABASE postgres TO "
      "plain");
  connect_as("plain");
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "replication")) << log;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

TEST_F(Preconditions, ARoleThatMayNotCreateThePublicationIsRefused) {
  exec("CREATE ROLE replicator LOGIN REPLICATION");
  connect_as("replicator");
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "no CREATE on database postgres") && says(log, "public.t") &&
              says(log, "owner") && says(log, "check"))
      << log;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

TEST_F(Preconditions, ARoleThatFindsItsPublicationMadeNeedsOnlyReplication) {
  exec(
      "CREATE ROLE replicator LOGIN REPLICATION; GRANT SELECT ON t TO replicator;"
      "CREATE PUBLICATION walferry FOR TABLE t");
  connect_as("replicator");
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(Preconditions, APublicationOfSomeoneElseThatLacksATableIsRefusedAndLeftAlone) {
  exec("CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION walferry FOR TABLE other");
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "publication") && says(log, "public.t")) << log;
  EXPECT_EQ(postgres_.value("SELECT string_agg(tablename, ',') FROM pg_publication_tables"),
            "other");
}

TEST_F(Preconditions, AMissingTableIsRefusedWithItsName) {
  settings().table("public.no_such_table");
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "no_such_table")) << log;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

TEST_F(Preconditions, AStreamThatIsMissingIsRefusedWhereItMayNotBeCreated) {
  settings().set("stream", "create", "false");
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "CDC")) << log;
  EXPECT_FALSE(js().stream("CDC").has_value());
}

struct UnfitStream {
  const char* name;
  nlohmann::json config;
  const char* said;
};

class Stream : public Preconditions, public testing::WithParamInterface<UnfitStream> {};

TEST_P(Stream, ThatWouldBreakAPromiseIsRefused) {
  nlohmann::json config = {{"name", "CDC"},
                           {"subjects", {"cdc.>"}},
                           {"retention", "limits"},
                           {"storage", "file"},
                           {"discard", "old"},
                           {"max_msg_size", -1},
                           {"duplicate_window", 120000000000}};
  config.update(GetParam().config);
  js().create_stream(config);
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "CDC") && says(log, GetParam().said)) << log;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

INSTANTIATE_TEST_SUITE_P(
    Unfit, Stream,
    testing::Values(UnfitStream{"other_subjects", {{"subjects", {"elsewhere.>"}}}, "subject"},
                    UnfitStream{"work_queue", {{"retention", "workqueue"}}, "retention"},
                    UnfitStream{"interest", {{"retention", "interest"}}, "retention"},
                    UnfitStream{"small_messages", {{"max_msg_size", 1000}}, "max_msg_size"},
                    UnfitStream{"no_ack", {{"no_ack", true}}, "ack"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(Preconditions, SubjectsThatAnotherStreamHasAreRefused) {
  js().create_stream({{"name", "ELSE"}, {"subjects", {"cdc.public.>"}}});
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "subject") || says(log, "overlap")) << log;
}

TEST_F(Preconditions, AStreamFullOfForeignMessagesIsNotAdoptedSilently) {
  js().create_stream(
      {{"name", "CDC"}, {"subjects", {"cdc.>"}}, {"duplicate_window", 120000000000}});
  for (int i = 0; i < 170; ++i) {
    js().publish("cdc.something", "not ours");
  }
  // There is no position yet that could be lost: the stream is unfit.
  const std::string error = errors_in(expect_refused(3));
  EXPECT_TRUE(says(error, "CDC") && names_number(error, 170)) << error;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

TEST_F(Preconditions, AServerThatTakesLessThanMaxMessageIsRefusedAtTheStart) {
  nats_.stop();
  nats_.set_max_payload(64 << 10);
  nats_.start();
  const std::string log = expect_refused();
  EXPECT_TRUE(says(log, "max_payload") || says(log, "max_message")) << log;
}

TEST_F(Preconditions, AServerThatTakesLessAfterAReconnectIsRefused) {
  start();
  exec("INSERT INTO t VALUES (1, repeat('x', 200000))");
  wait_stored(1);
  nats_.stop();
  nats_.set_max_payload(64 << 10);
  exec("INSERT INTO t VALUES (2, repeat('x', 200000))");
  nats_.start();
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "max_payload") || says(log, "max_message")) << log;
  nats_.stop();
  nats_.set_max_payload(1 << 20);
  nats_.start();
  start();
  expect_exact();
}

TEST_F(Preconditions, ARowAboveMaxMessageStopsWithItsTablePositionAndSize) {
  settings().set_string("publish", "max_message", "10KiB");
  start();
  exec("INSERT INTO t VALUES (1, 'small')");
  exec("INSERT INTO t VALUES (2, repeat('secret row value ', 1000))");
  exec("INSERT INTO t VALUES (3, 'behind it')");
  const std::string log = expect_exit(3);
  const std::string error = errors_in(log);
  EXPECT_TRUE(says(error, "public.t") && says(error, "max_message")) << error;
  EXPECT_FALSE(says(log, "secret row value"));
  EXPECT_EQ(stored_records(), 1U);
  // A larger limit is the way out.
  settings().set_string("publish", "max_message", "100KiB");
  start();
  expect_exact();
  const Record large = records().at(1);
  EXPECT_TRUE(names_lsn(error, large.commit_lsn)) << "its position: " << error;
  EXPECT_TRUE(names_number(error, large.payload.size())) << "its size: " << error;
}

// ---- secrets

TEST_F(Preconditions, SecretsAreInNoLog) {
  const std::vector<std::string> secrets = {"hunter2pg", "hunter2nats", "hunter2url"};
  settings().set_string("source", "dsn", postgres_.conninfo() + " password=hunter2pg");
  settings().set_string("nats", "user", "u").set_string("nats", "password", "hunter2nats");
  settings().set_string("log", "level", "trace");
  start();
  exec("INSERT INTO t VALUES (1, 'a very private value')");
  wait_stored(1);
  nats_.restart();
  postgres_.restart();
  wait_streaming();
  walferry_.stop();
  for (const char* dsn : {"postgresql://postgres:hunter2pg@127.0.0.1:1/postgres",
                          "host=127.0.0.1 port=1 password='hunter2pg'",
                          "host=127.0.0.1 port=1 bogus=1 password='hunter2pg'"}) {
    settings().set_string("source", "dsn", dsn);
    settings().remove("nats", "user").remove("nats", "password");
    settings().set_string("nats", "url",
                          "nats://user:hunter2url@127.0.0.1:" + std::to_string(nats_.port()));
    walferry_.start();
    becomes_true([&] { return !walferry_.running(); }, seconds(1));
    walferry_.kill_hard();
    const Finished check = walferry_.verb({"check"});
    for (const auto& secret : secrets) {
      EXPECT_FALSE(says(check.out + check.err, secret)) << check.out << check.err;
    }
  }
  for (const auto& secret : secrets) {
    EXPECT_FALSE(says(walferry_.all_logs(), secret)) << walferry_.all_logs();
  }
  EXPECT_FALSE(says(walferry_.all_logs(), "a very private value")) << walferry_.all_logs();
}

}  // namespace
}  // namespace scenarios
