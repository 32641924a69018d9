// One side is away: at the start, in the middle, at the end, for longer than the duplicate window,
// stopped without a word, full, or swallowing acknowledgements. walferry waits, loses nothing,
// doubles nothing, and never leaves by itself.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Outages : public Scenario {
 protected:
  explicit Outages(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {}
  void SetUp() override {
    create_load_tables();
    settings().set("stream", "duplicate_window", "\"1s\"");
    settings().set("source", "replay_window", "\"1s\"");
  }
  void expect_all_is_there(Load& load) {
    load.stop();
    wait_complete();
    expect_slot_reaches_end();
    expect_exact();
  }
  const Milliseconds outage_ = scaled<Milliseconds>(Milliseconds(2500), seconds(30));
};

TEST_F(Outages, NatsDownAtTheStartIsWaitedFor) {
  watch();
  nats_.stop();
  walferry_.start();
  EXPECT_TRUE(stays_true([&] { return walferry_.running(); }, seconds(1)));
  nats_.start();
  wait_streaming();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  expect_all_is_there(load);
}

TEST_F(Outages, PostgresDownAtTheStartIsWaitedFor) {
  watch();
  postgres_.stop();
  walferry_.start();
  EXPECT_TRUE(stays_true([&] { return walferry_.running(); }, seconds(1)));
  postgres_.start();
  wait_streaming();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  expect_all_is_there(load);
}

TEST_F(Outages, NatsDownInTheMiddleForLongerThanTheDuplicateWindow) {
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  nats_.kill_hard();
  let_pass(outage_);
  EXPECT_TRUE(walferry_.running());
  nats_.start();
  load.wait_for_more(50);
  expect_all_is_there(load);
}

TEST_F(Outages, PostgresDownInTheMiddle) {
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  postgres_.stop_immediately();
  let_pass(outage_);
  EXPECT_TRUE(walferry_.running());
  postgres_.start();
  wait_streaming();
  load.wait_for_more(50);
  expect_all_is_there(load);
}

TEST_F(Outages, KilledAndRestartedAfterTheDuplicateWindowItDoublesNothing) {
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(150);
  walferry_.kill_hard();
  let_pass(Milliseconds(1500));
  start();
  load.wait_for_more(50);
  expect_all_is_there(load);
}

TEST_F(Outages, SigtermWhileNatsIsDownEndsWithZeroWithinTheDrainLimit) {
  start();
  exec("INSERT INTO load_d VALUES (1, 'stored')");
  wait_stored(1);
  nats_.kill_hard();
  exec("INSERT INTO load_d VALUES (2, 'not stored')");
  const auto begin = Clock::now();
  walferry_.terminate();
  EXPECT_EQ(walferry_.wait_exit(seconds(20)).code, 0);
  EXPECT_LT(Clock::now() - begin, seconds(10));
  nats_.start();
  start();
  expect_exact();
}

TEST_F(Outages, SigtermWhilePostgresIsDownEndsWithZero) {
  start();
  exec("INSERT INTO load_d VALUES (1, 'stored')");
  wait_stored(1);
  postgres_.stop_immediately();
  walferry_.terminate();
  EXPECT_EQ(walferry_.wait_exit(seconds(20)).code, 0);
  postgres_.start();
  start();
  exec("INSERT INTO load_d VALUES (2, 'later')");
  expect_exact();
}

TEST_F(Outages, NatsThatStopsAnsweringIsOutwaited) {
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  nats_.suspend();
  let_pass(scaled<Milliseconds>(seconds(7), seconds(15)));  // longer than an ack is waited for
  nats_.resume();
  load.wait_for_more(50);
  expect_all_is_there(load);
}

TEST_F(Outages, PostgresThatStopsAnsweringIsOutwaited) {
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  postgres_.suspend();
  let_pass(scaled<Milliseconds>(seconds(3), seconds(10)));
  postgres_.resume();
  load.wait_for_more(50);
  expect_all_is_there(load);
}

TEST_F(Outages, SwallowedAcknowledgementsCauseNeitherLossNorDoubles) {
  TcpProxy proxy(nats_.port());
  settings().set_string("nats", "url", proxy.nats_url());
  start();
  Load load(postgres_.conninfo());
  for (int i = 0; i < scaled(2, 10); ++i) {
    load.wait_for_more(60);
    const auto made = proxy.connections_made();
    proxy.swallow_answers();
    wait_until([&] { return proxy.connections_made() > made; }, seconds(60),
               "walferry gives up the connection that does not answer");
    EXPECT_GT(proxy.swallowed_bytes(), 0U);
  }
  load.wait_for_more(60);
  expect_all_is_there(load);
}

TEST_F(Outages, CutConnectionsCauseNeitherLossNorDoubles) {
  TcpProxy proxy(nats_.port());
  settings().set_string("nats", "url", proxy.nats_url());
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1)});
  for (int i = 0; i < scaled(5, 30); ++i) {
    load.wait_for_more(30);
    const auto made = proxy.connections_made();
    proxy.cut();
    wait_until([&] { return proxy.connections_made() > made; }, seconds(60), "a new connection");
  }
  load.wait_for_more(60);
  expect_all_is_there(load);
}

struct OutagesByTcp : Outages {
  OutagesByTcp() : Outages({.tcp = true}) {}
};

TEST_F(OutagesByTcp, CutConnectionsToPostgresCauseNeitherLossNorDoubles) {
  TcpProxy proxy(postgres_.port());
  settings().set_string(
      "source", "dsn",
      "host=127.0.0.1 port=" + std::to_string(proxy.port()) + " dbname=postgres user=postgres");
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1)});
  for (int i = 0; i < scaled(4, 30); ++i) {
    load.wait_for_more(30);
    const auto made = proxy.connections_made();
    proxy.cut();
    wait_until([&] { return proxy.connections_made() > made; }, seconds(60), "a new connection");
  }
  load.wait_for_more(60);
  expect_all_is_there(load);
}

TEST_F(OutagesByTcp, APostgresThatFallsSilentBehindTheNetworkIsOutwaited) {
  TcpProxy proxy(postgres_.port());
  settings().set_string(
      "source", "dsn",
      "host=127.0.0.1 port=" + std::to_string(proxy.port()) + " dbname=postgres user=postgres");
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(60);
  proxy.pause(true);
  let_pass(scaled<Milliseconds>(seconds(3), seconds(15)));
  proxy.pause(false);
  load.wait_for_more(60);
  expect_all_is_there(load);
}

TEST_F(Outages, AWalsenderEndedByTheAdministratorIsReplaced) {
  start();
  Load load(postgres_.conninfo());
  for (int i = 0; i < 3; ++i) {
    load.wait_for_more(40);
    exec(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = "
        "'walferry' AND active");
    wait_streaming();
  }
  load.wait_for_more(40);
  expect_all_is_there(load);
}

TEST_F(Outages, AFullStreamIsWaitedForAndGoesOnWhenItIsFreed) {
  settings().set_string("stream", "discard", "new").set("stream", "max_bytes", "200000");
  settings().set("source", "replay_window", "\"0\"");  // what was refused must not be confirmed
  start();
  for (int i = 0; i < 20; ++i) {
    exec("INSERT INTO load_d SELECT i, repeat('x', 500) FROM generate_series(" +
         std::to_string(i * 100) + ", " + std::to_string(i * 100 + 99) + ") i");
  }
  wait_until([&] { return js().message_count("CDC") > 100; }, seconds(30), "the stream fills");
  EXPECT_TRUE(stays_true([&] { return walferry_.running(); }, seconds(2)));
  oracle_->read();
  ASSERT_EQ(oracle_->changes(), 2000U);
  EXPECT_LT(stored_records(), 2000U);
  // Free it again and again, as a consumer that catches up would, and keep what was there.
  std::vector<Stored> all;
  wait_until(
      [&] {
        const auto part = js().read("CDC", all.size() + 1);
        all.insert(all.end(), part.begin(), part.end());
        if (!all.empty()) {
          js().api("STREAM.PURGE.CDC", {{"seq", all.back().sequence}});
        }
        return all.size() >= 2000;
      },
      seconds(90), "all changes pass through the stream");
  walferry_.stop();
  EXPECT_TRUE(each_change_once(all, *oracle_));
}

// Also once there is a confirmed position that each status repeats: here bytes have moved it on.
TEST_F(Outages, AFastShutdownOfPostgresDoesNotWaitForTheReplayWindow) {
  settings().set("source", "replay_window", "\"5m\"");
  settings().set("source", "replay_window_max", "\"64KiB\"");
  start();
  const std::uint64_t before = postgres_.confirmed_flush("walferry");
  exec("INSERT INTO load_d SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i");
  wait_stored(2000);
  wait_until([&] { return postgres_.confirmed_flush("walferry") > before; }, seconds(30),
             "a position is confirmed");
  exec("INSERT INTO load_d VALUES (0, 'within the window')");
  wait_stored(2001);
  const std::uint64_t end = oracle_->read().back().end_lsn;
  EXPECT_LT(postgres_.confirmed_flush("walferry"), end);
  const auto begin = Clock::now();
  postgres_.stop();
  // Before anything else of walferry's touches the server and finds it gone: that is within 10 s.
  EXPECT_LT(Clock::now() - begin, seconds(5));
  postgres_.start();
  EXPECT_LT(postgres_.confirmed_flush("walferry"), end) << "the answers have confirmed nothing";
  wait_streaming();
  exec("INSERT INTO load_d VALUES (-1, 'after')");
  expect_exact();
}

}  // namespace
}  // namespace scenarios
