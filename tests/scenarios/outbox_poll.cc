// An outbox that is polled, by a role that may read it and nothing else: each event once, those of
// an aggregate in the order of commits, whoever is killed when.
#include <random>

#include "tests/scenarios/outbox_rig.h"

namespace scenarios {
namespace {

class OutboxPoll : public OutboxScenario {
 protected:
  using OutboxScenario::OutboxScenario;
  void poll(const std::string& more = "") {
    publish_outbox("poll", more);
    be_a_reader_only();
  }
  void kill() {
    walferry_.kill_hard();
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  }
};

TEST_F(OutboxPoll, WhatIsThereAndWhatComesIsPublishedByAReaderWithoutReplication) {
  poll();
  exec(event("1", R"({"n": 1})") + event("2"));
  walferry_.start();
  wait_events(2);
  exec(event("3"));
  wait_events(3);
  walferry_.stop();
  const auto stored = events();
  ASSERT_EQ(stored.size(), 3U);
  EXPECT_EQ(stored[0].subject, "events.order.changed");
  EXPECT_EQ(stored[0].payload, R"({"n": 1})");
  EXPECT_EQ(stored[0].headers.at("Nats-Msg-Id"), "walferry:1:poll:1");
  EXPECT_EQ(stored[0].headers.at("Walferry-Event-Id"), "1");
  EXPECT_EQ(stored[1].headers.at("Nats-Msg-Id"), "walferry:1:poll:2");
  EXPECT_EQ(stored[2].headers.at("Nats-Msg-Id"), "walferry:2:poll:1");
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_replication_slots"), "0");
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "0");
}

TEST_F(OutboxPoll, ACommitWakesItLongBeforeItsTimer) {
  poll("poll_interval = \"1h\"\n");
  walferry_.start();
  exec(event("1"));
  wait_events(1, seconds(20));
  exec(event("2"));
  wait_events(2, seconds(20));
}

TEST_F(OutboxPoll, WithoutTheTriggerTheTimerDoes) {
  poll("poll_interval = \"100ms\"\n");
  exec("DROP TRIGGER outbox_notify ON outbox");
  walferry_.start();
  exec(event("1"));
  wait_events(1);
  exec(event("2"));
  wait_events(2);
}

TEST_F(OutboxPoll, OnceEndsWhenAllThatIsThereIsStored) {
  poll();
  exec(event("1") + event("2"));
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  EXPECT_EQ(events().size(), 2U);
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_EQ(events().size(), 2U);
  exec(event("3"));
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  EXPECT_EQ(events().size(), 3U);
}

TEST_F(OutboxPoll, ConcurrentWritersWhileItIsKilledAgainAndAgain) {
  poll("poll_interval = \"200ms\"\n");
  add_aggregates();
  exec("CREATE DATABASE elsewhere");
  PgSession elsewhere(postgres_.conninfo() + " dbname=elsewhere");
  elsewhere.exec("BEGIN; CREATE TABLE t (); SELECT pg_current_xact_id()");
  OutboxWriters writers(postgres_.conninfo());
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < scaled(5, 20); ++i) {
    walferry_.start();
    const std::uint64_t goal = js().message_count("CDC") + 1 + random() % 60;
    wait_events(goal);
    kill();
  }
  walferry_.start();
  writers.wait_for_more(50);
  writers.stop();
  wait_events(expected_events());
  walferry_.stop();
  elsewhere.exec("ROLLBACK");
  expect_every_event_once();
}

// One kill at each place, within a batch of several and at its edges.
class OutboxPollCrash : public OutboxPoll, public testing::WithParamInterface<std::string> {};

TEST_P(OutboxPollCrash, NothingIsLostOrDoubled) {
  poll("poll_interval = \"100ms\"\n");
  add_aggregates(1);
  for (int i = 1; i <= 5; ++i) {
    exec("UPDATE aggregates SET events = events + 1;" +
         event("1", R"({"a": 1, "v": )" + std::to_string(i) + "}"));
  }
  walferry_.start({}, {"WALFERRY_FAILPOINT=" + GetParam()});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  exec("UPDATE aggregates SET events = events + 1;" + event("1", R"({"a": 1, "v": 6})"));
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  expect_every_event_once();
}

INSTANTIATE_TEST_SUITE_P(Places, OutboxPollCrash,
                         testing::Values("before_batch", "batch_saved", "before_publish:1",
                                         "before_publish:3", "stored_unacked", "batch_stored"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name) c = c == ':' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace scenarios
