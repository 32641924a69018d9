// An outbox that is polled, by a role that may read it and nothing else: each event once, those of
// an aggregate in the order of commits, whoever is killed when.
#include <algorithm>
#include <fstream>
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

class OutboxPollStandby : public OutboxPoll {
 protected:
  OutboxPollStandby() : standby_(walferry_binary(), walferry_.settings()) {}
  void SetUp() override {
    OutboxPoll::SetUp();
    poll("poll_interval = \"200ms\"\n");
    standby_.settings() = settings();
    add_aggregates();
  }
  Walferry standby_;
};

TEST_F(OutboxPollStandby, OneWritesTheOtherTakesOverWhenItIsKilled) {
  walferry_.start();
  OutboxWriters writers(postgres_.conninfo());
  wait_events(20);
  standby_.start();
  wait_until([&] { return says(standby_.log(), "standing by"); }, seconds(30), "a standby");
  for (int i = 0; i < scaled(3, 20); ++i) {
    Walferry& one = i % 2 == 0 ? walferry_ : standby_;
    one.kill_hard();
    one.wait_exit();
    wait_events(js().message_count("CDC") + 20);
    one.start();
  }
  writers.stop();
  wait_events(expected_events());
  walferry_.stop();
  standby_.stop();
  expect_every_event_once();
}

TEST_F(OutboxPollStandby, AWriterThatWasStoppedAndGoesOnChangesNothing) {
  walferry_.start();
  OutboxWriters writers(postgres_.conninfo());
  wait_events(20);
  for (int i = 0; i < scaled(2, 10); ++i) {
    walferry_.suspend();
    // Its session is gone, and it does not know.
    postgres_.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = "
        "'poller'");
    standby_.start();
    wait_events(js().message_count("CDC") + 20);
    walferry_.resume();
    wait_events(js().message_count("CDC") + 20);
    standby_.stop();
    wait_events(js().message_count("CDC") + 20);
  }
  writers.stop();
  wait_events(expected_events());
  walferry_.stop();
  expect_every_event_once();
}

TEST_F(OutboxPollStandby, OutagesOfEitherSideAreWaitedFor) {
  walferry_.start();
  exec("UPDATE aggregates SET events = 1 WHERE id = 1;" + event("1", R"({"a": 1, "v": 1})"));
  wait_events(1);
  nats_.kill_hard();
  exec("UPDATE aggregates SET events = 2 WHERE id = 1;" + event("1", R"({"a": 1, "v": 2})"));
  nats_.start();
  wait_events(2);
  postgres_.stop_immediately();
  postgres_.start();
  exec("UPDATE aggregates SET events = 3 WHERE id = 1;" + event("1", R"({"a": 1, "v": 3})"));
  wait_events(3);
  walferry_.stop();
  expect_every_event_once();
}

// From the moment that the INSERT's commit returns; printed, since machines differ.
TEST_F(OutboxPoll, HowLongACommitTakesToItsMessage) {
  if (!long_tests()) GTEST_SKIP() << "with WALFERRY_TEST_LONG=1";
  poll();
  walferry_.start();
  exec(event("1"));
  wait_events(1);
  NatsClient reader(nats_.port());
  reader.subscribe("events.>");
  std::vector<double> times;
  for (int i = 0; i < 500; ++i) {
    exec(event("1"));
    const auto since = Clock::now();
    ASSERT_TRUE(reader.next(seconds(10)));
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - since).count());
    let_pass(Milliseconds(5));
  }
  std::sort(times.begin(), times.end());
  std::cout << "commit to message: median " << times[times.size() / 2] << " ms, p99 "
            << times[times.size() * 99 / 100] << " ms\n";
}

// Memory does not depend on the size of a batch.
TEST_F(OutboxPoll, AFirstBatchOfManyRows) {
  const int rows = scaled(60'000, 1'000'000);
  poll();
  exec(
      "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload) SELECT 'order', i, "
      "'changed', jsonb_build_object('order', i, 'text', repeat('x', 200)) FROM "
      "generate_series(1, " +
      std::to_string(rows) + ") i; ANALYZE outbox");
  const auto since = Clock::now();
  walferry_.start();
  wait_events(static_cast<std::uint64_t>(rows), seconds(300));
  const double took = std::chrono::duration<double>(Clock::now() - since).count();
  std::cout << rows << " events in " << took << " s\n";
  std::ifstream status("/proc/" + std::to_string(walferry_.pid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    std::cout << line << "\n";
    EXPECT_LE(std::stol(line.substr(6)), 64 * 1024);
  }
  walferry_.stop();
  EXPECT_EQ(js().last_sequence("CDC"), static_cast<std::uint64_t>(rows));
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
