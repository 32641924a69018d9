// Three nats-servers, streams with three replicas: leaders step down and die in mid-pipeline,
// followers restart; what was acknowledged stays, and every replica holds the same.
#include <set>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Cluster : public testing::Test {
 protected:
  Cluster() : walferry_(walferry_binary(), settings_for(postgres_.conninfo(), cluster_.url())) {}
  void SetUp() override {
    PgSession session = postgres_.connect();
    Load::create_tables(session);
    auto& settings = walferry_.settings();
    for (const auto& table : Load::tables()) {
      settings.table(table);
    }
    settings.set("stream", "replicas", "3").set_string("stream", "duplicate_window", "1s");
    // What three replicas acknowledge stays: nothing need be mended, and what is confirmed too
    // early (the bucket may have another leader than the stream) would be lost for good.
    settings.set_string("source", "replay_window", "0");
    oracle_ = std::make_unique<Oracle>(postgres_);
    walferry_.start();
    wait_until([this] { return postgres_.slot_active("walferry") && js().stream("CDC"); },
               seconds(60), "walferry streams");
  }
  void TearDown() override {
    if (HasFailure()) {
      std::cout << walferry_.all_logs() << std::endl;
    }
  }
  JetStream js() { return cluster_.jetstream(); }
  void wait_for_progress(std::uint64_t messages) {
    std::uint64_t first = 0;
    wait_until(
        [&] {
          const auto now = js().last_sequence("CDC");  // throws during an election
          first = first == 0 ? now : first;
          return now > first + messages;
        },
        seconds(90), "walferry goes on publishing");
  }
  void wait_complete() {
    oracle_->read();
    wait_until(
        [&] {
          const std::uint64_t last = js().last_sequence("CDC");
          return last >= oracle_->changes() + js().count("CDC", "cdc._schema.>");
        },
        seconds(120), "all changes are stored");
  }
  // Until the stream is led by another server than this one; returns which.
  std::string lead_elsewhere(const std::string& stream, const std::string& server) {
    std::string leader;
    wait_until(
        [&] {
          leader = js().leader(stream);
          if (leader == server) {
            cluster_.wait_whole(stream);
            cluster_.step_down(stream);
          }
          return !leader.empty() && leader != server;
        },
        seconds(60), stream + " is led by another than " + server);
    cluster_.wait_whole(stream);
    return leader;
  }
  // A leader that was just elected has not yet applied all that it has agreed to: it answers with
  // less for some 50 ms. What is lost stays lost: nobody publishes any more.
  testing::AssertionResult becomes_exact() {
    testing::AssertionResult last = testing::AssertionFailure() << "the stream cannot be read";
    const auto exact = [&] {
      last = each_change_once(js().read("CDC"), *oracle_);
      return bool(last);
    };
    becomes_true(exact, seconds(10));
    return last;
  }
  // Each server in turn leads the stream, and each shows the same messages.
  void expect_exact_on_every_replica() {
    wait_complete();
    walferry_.stop();
    cluster_.wait_whole("CDC");
    std::set<std::string> seen;
    const auto end = Clock::now() + seconds(90);
    while (seen.size() < cluster_.size() && Clock::now() < end) {
      std::string leader;
      wait_until([&] { return !(leader = js().leader("CDC")).empty(); }, seconds(30), "a leader");
      if (seen.insert(leader).second) {
        EXPECT_TRUE(becomes_exact()) << "on " << leader;
      }
      cluster_.wait_whole("CDC");
      cluster_.step_down("CDC");
      becomes_true([&] { return js().leader("CDC") != leader; }, seconds(10));
    }
    EXPECT_GE(seen.size(), 2U) << "the election chose the same server over and over";
  }

  PostgresCluster postgres_;
  NatsCluster cluster_;
  Walferry walferry_;
  std::unique_ptr<Oracle> oracle_;
};

TEST_F(Cluster, LeadersThatStepDownInMidPipelineLoseAndDoubleNothing) {
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1)});
  for (int i = 0; i < scaled(2, 10); ++i) {
    wait_for_progress(200);
    cluster_.wait_whole("CDC");
    cluster_.step_down("CDC");
  }
  wait_for_progress(200);
  load.stop();
  expect_exact_on_every_replica();
}

TEST_F(Cluster, LeadersKilledInMidPipelineLoseAndDoubleNothing) {
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1)});
  for (int i = 0; i < scaled(1, 10); ++i) {
    wait_for_progress(200);
    std::string name;
    wait_until([&] { return !(name = js().leader("CDC")).empty(); }, seconds(30), "a leader");
    NatsServer& leader = cluster_.named(name);
    leader.kill_hard();
    wait_for_progress(100);
    leader.start();
    cluster_.wait_whole("CDC");
  }
  load.stop();
  expect_exact_on_every_replica();
}

// The saved position has a leader of its own: its acknowledgements go on while the stream's hang.
TEST_F(Cluster, NothingIsConfirmedWhileOnlyTheSavedPositionIsAcknowledged) {
  walferry_.stop();
  walferry_.settings().set_string("nats", "url", cluster_.server(0).url());
  walferry_.start();
  postgres_.exec("INSERT INTO load_d SELECT i FROM generate_series(1, 100) i");
  wait_complete();
  const std::string leader = lead_elsewhere("CDC", cluster_.server(0).name());
  lead_elsewhere("KV_walferry", leader);
  postgres_.exec("INSERT INTO load_d SELECT -i FROM generate_series(1, 100) i");
  wait_complete();
  cluster_.named(leader).suspend();
  postgres_.exec("INSERT INTO load_d VALUES (1001), (1002)");
  postgres_.exec("INSERT INTO load_d VALUES (1003)");
  const std::uint64_t end = oracle_->read().end()[-2].end_lsn;
  // An election takes 4 s and more; a save is due each second.
  EXPECT_TRUE(
      stays_true([&] { return postgres_.confirmed_flush("walferry") < end; }, Milliseconds(2500)));
  cluster_.named(leader).kill_hard();
  wait_complete();
  cluster_.named(leader).start();
  cluster_.wait_whole("CDC");
  expect_exact_on_every_replica();
}

TEST_F(Cluster, AFollowerRestartedWhileTheStreamIsIdleLongerThanTheWindowMissesNothing) {
  postgres_.exec("INSERT INTO load_d SELECT i FROM generate_series(1, 100) i");
  wait_complete();
  cluster_.wait_whole("CDC");
  const std::string leader = js().leader("CDC");
  NatsServer& follower = cluster_.server(cluster_.server(0).name() == leader ? 1 : 0);
  follower.stop();
  let_pass(Milliseconds(1500));
  follower.start();
  cluster_.wait_whole("CDC");
  for (int i = 0; i < 4; ++i) {
    postgres_.exec("INSERT INTO load_d VALUES (" + std::to_string(1000 + i) + ")");
  }
  expect_exact_on_every_replica();
}

// A cluster's leader that was just elected may not know of a stream yet.
TEST_F(Cluster, AMissingStreamIsAskedForAgainBeforeItIsTakenForLost) {
  postgres_.exec("INSERT INTO load_d VALUES (1)");
  wait_complete();
  const std::uint64_t end = oracle_->read().back().end_lsn;
  wait_until([&] { return postgres_.confirmed_flush("walferry") >= end; }, seconds(30),
             "it is confirmed");
  walferry_.stop();
  js().delete_stream("CDC");
  walferry_.start();
  EXPECT_TRUE(stays_true([&] { return walferry_.running(); }, seconds(10))) << walferry_.log();
  EXPECT_FALSE(js().stream("CDC")) << "nothing is made in its place";
  EXPECT_EQ(walferry_.wait_exit(seconds(60)).code, 4);
  EXPECT_TRUE(says(walferry_.log(), "deleted, or made anew")) << walferry_.log();
}

}  // namespace
}  // namespace scenarios
