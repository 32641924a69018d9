// [stream] and nats.domain, as the server then has them: storage, subjects, compression, where the
// stream is placed, and a JetStream that is reached through a leaf node.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

class StreamSettings : public Scenario {
 protected:
  explicit StreamSettings(NatsOptions nats = {}) : Scenario({}, std::move(nats)) {}
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  json config() { return js().stream("CDC").value().at("config"); }
  std::string expect_refused() {
    const Finished finished = walferry_.run_to_exit();
    EXPECT_EQ(finished.exit.code, 3) << finished.err;
    EXPECT_FALSE(postgres_.slot_exists("walferry"));
    return errors_in(finished.err);
  }
};

// ---- storage

TEST_F(StreamSettings, AStreamInMemoryIsFilledAgainFromWalWhenItsServerWasRestarted) {
  settings().set_string("stream", "storage", "memory");
  start();
  exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i");
  wait_stored(20);
  EXPECT_EQ(config().at("storage"), "memory");
  EXPECT_EQ(js().stream("KV_walferry").value().at("config").at("storage"), "file");
  nats_.restart();
  exec("INSERT INTO t VALUES (21, 'y')");
  wait_stored(21);
  EXPECT_EQ(config().at("storage"), "memory");
  expect_exact();
}

TEST_F(StreamSettings, AStreamOfAnotherStorageIsRefused) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}, {"storage", "file"}});
  settings().set_string("stream", "storage", "memory");
  const std::string error = expect_refused();
  EXPECT_TRUE(says(error, "CDC") && says(error, "storage")) << error;
}

// ---- subjects

TEST_F(StreamSettings, FurtherSubjectsAreAcceptedIntoTheStream) {
  settings().set("stream", "subjects", "[\"events.>\", \"audit.*.done\"]");
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  EXPECT_EQ(config().at("subjects"), json({"cdc.>", "events.>", "audit.*.done"}));
  expect_exact();
  for (const std::string subject : {"events.a.b", "audit.x.done"}) {
    EXPECT_EQ(js().publish(subject, "of another application").at("stream"), "CDC");
  }
  EXPECT_EQ(stored_records(), 3U);
}

TEST_F(StreamSettings, AStreamThatLacksAFurtherSubjectIsRefusedWithItsName) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>", "events.a"}}});
  settings().set("stream", "subjects", "[\"events.>\"]");
  const std::string error = expect_refused();
  EXPECT_TRUE(says(error, "CDC") && says(error, "events.>")) << error;
}

// ---- compression, which servers know from 2.10 on

class Compression : public StreamSettings {
 protected:
  void SetUp() override {
    StreamSettings::SetUp();
    settings().set_string("stream", "compression", "s2");
  }
  bool known() { return nats_.version() >= std::pair(2, 10); }
  void expect_refused_with_its_name() {
    const std::string error = expect_refused();
    EXPECT_TRUE(says(error, "compression") && says(error, "s2")) << error;
  }
};

TEST_F(Compression, IsUsedWhereTheServerKnowsItAndRefusedWhereNot) {
  if (!known()) {
    expect_refused_with_its_name();
    return;
  }
  start();
  exec("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 500) i");
  expect_exact();
  EXPECT_EQ(config().at("compression"), "s2");
}

TEST_F(Compression, IsRefusedAgainAtTheNextStartWhereTheServerDoesNotKnowIt) {
  if (known()) {
    GTEST_SKIP() << "this nats-server knows it";
  }
  for (int i = 0; i < 3; ++i) {
    expect_refused_with_its_name();
  }
}

// ---- placement

class Placement : public testing::Test {
 protected:
  Placement()
      : cluster_({"server_tags: [\"disk:slow\"]", "server_tags: [\"disk:slow\"]",
                  "server_tags: [\"disk:fast\", \"zone:b\"]"}),
        walferry_(walferry_binary(), settings_for(postgres_.conninfo(), cluster_.url())) {
    postgres_.exec("CREATE TABLE t (id int PRIMARY KEY, v text)");
    walferry_.settings().table("public.t");
  }
  void TearDown() override {
    if (HasFailure()) {
      std::cout << walferry_.all_logs() << std::endl;
    }
  }

  PostgresCluster postgres_;
  NatsCluster cluster_;
  Walferry walferry_;
};

TEST_F(Placement, AStreamIsPlacedOnTheServerThatHasTheTags) {
  walferry_.settings().set("stream", "placement_tags", R"(["disk:fast", "zone:b"])");
  Oracle oracle(postgres_);
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  postgres_.exec("INSERT INTO t VALUES (1, 'x')");
  const Finished finished = walferry_.run_to_exit({"--until", "current"});
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(cluster_.jetstream().leader("CDC"), "n2");
  EXPECT_EQ(cluster_.jetstream().stream("CDC").value().at("config").at("placement").at("tags"),
            json({"disk:fast", "zone:b"}));
  EXPECT_TRUE(each_change_once(cluster_.jetstream().read("CDC"), oracle));
}

TEST_F(Placement, TagsThatNoServerHasAreRefused) {
  walferry_.settings().set("stream", "placement_tags", R"(["disk:fast", "zone:a"])");
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 3) << finished.err;
  EXPECT_TRUE(says(errors_in(finished.err), "placement") || says(errors_in(finished.err), "peers"))
      << finished.err;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  EXPECT_FALSE(cluster_.jetstream().stream("CDC").has_value());
}

// ---- domain

struct Domain : StreamSettings {
  Domain() : StreamSettings({.domain = "hub"}) {}
};

TEST_F(Domain, IsUsedWhereTheServerHasOne) {
  settings().set_string("nats", "domain", "hub").set_string("source", "replay_window", "0");
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  expect_slot_reaches_end();
  EXPECT_EQ(walferry_.verb({"check"}).exit.code, 0);
  EXPECT_EQ(walferry_.verb({"status"}).exit.code, 0);
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value());
  expect_exact();
}

TEST_F(Domain, ThatNobodyAnswersForIsNamed) {
  settings().set_string("nats", "domain", "elsewhere");
  walferry_.start();
  wait_until([&] { return says(walferry_.log(), "$JS.elsewhere.API"); }, seconds(30),
             "the log names what does not answer");
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  EXPECT_FALSE(js().stream("CDC").has_value());
}

// walferry -> leaf (JetStream of its own) -> hub
class LeafNode : public StreamSettings {
 protected:
  LeafNode()
      : StreamSettings({.name = "hub", .domain = "hub", .start = false}),
        leaf_({.name = "leaf",
               .domain = "leaf",
               .more =
                   "leafnodes { remotes: [ { url: \"nats://127.0.0.1:" + port_.text() + "\" } ] }",
               .start = false}) {
    nats_.set_more("leafnodes { listen: \"127.0.0.1:" + port_.text() + "\" }");
    nats_.start();
    leaf_.start();
    wait_until(
        [&] { return NatsClient(leaf_.port()).request("$JS.hub.API.INFO", "").status.empty(); },
        seconds(30), "the leaf node reaches its hub");
    settings().set_string("nats", "url", leaf_.url()).set_string("nats", "domain", "hub");
  }

  PortLease port_;
  NatsServer leaf_;
};

// A leaf node with a JetStream of its own does not pass $KV.> on, only $JS.{domain}.API.$KV.>.
TEST_F(LeafNode, TheDomainsStreamIsReachedThroughIt) {
  settings().set_string("source", "replay_window", "0");
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  expect_slot_reaches_end();  // so the position is saved while it runs, too
  walferry_.kill_hard();
  exec("INSERT INTO t VALUES (2, 'y')");
  start();
  expect_exact();
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value()) << "saved at the hub";
  EXPECT_FALSE(leaf_.jetstream().stream("CDC").has_value());
  EXPECT_FALSE(leaf_.jetstream().stream("KV_walferry").has_value());
}

}  // namespace
}  // namespace scenarios
