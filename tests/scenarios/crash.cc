// walferry, nats-server and Postgres die hard, at random moments under load and at chosen ones:
// each committed change is in the stream once, in commit order, and the slot reaches the end.
#include "tests/scenarios/rig.h"

#include <random>

namespace scenarios {
namespace {

class Crash : public Scenario {
 protected:
  void SetUp() override {
    create_load_tables();
    // Small, so that the slot's way to the end can be waited for.
    settings().set("source", "replay_window", "\"1s\"");
  }
  Milliseconds random_moment(int most) {
    return Milliseconds(std::uniform_int_distribution<int>(0, most)(random_));
  }
  void expect_all_is_there(Load& load) {
    load.stop();
    wait_complete();
    expect_slot_reaches_end();
    expect_exact();
    expect_folds_to_load_tables();
  }

  std::mt19937 random_{std::random_device()()};
};

TEST_F(Crash, KilledAtRandomMomentsUnderLoadItLosesAndDoublesNothing) {
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(2)});
  const int kills = scaled(6, 30);
  for (int i = 0; i < kills; ++i) {
    let_pass(random_moment(scaled(700, 1500)));  // dies whatever it does
    walferry_.kill_hard();
    start();
  }
  load.wait_for_more(100);
  expect_all_is_there(load);
}

TEST_F(Crash, KilledAgainWithinTheSameHugeTransactionItGoesOnWhereTheStreamEnds) {
  start();
  const int rows = scaled(40000, 400000);
  exec("INSERT INTO load_d SELECT i, 'row' FROM generate_series(1, " + std::to_string(rows) +
       ") i");
  for (std::uint64_t part = 1; part <= 3; ++part) {
    const auto before = stored_records();
    wait_until([&] { return stored_records() > before; }, seconds(60), "some progress");
    walferry_.kill_hard();
    EXPECT_LT(stored_records(), static_cast<std::uint64_t>(rows));
    start();
  }
  expect_exact();
}

TEST_F(Crash, HardRestartsOfNatsLoseAndDoubleNothing) {
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(3)});
  const int kills = scaled(3, 10);
  for (int i = 0; i < kills; ++i) {
    load.wait_for_more(50);
    let_pass(random_moment(300));
    nats_.kill_hard();
    let_pass(random_moment(500));
    nats_.start();
    const auto before = stored_records();
    wait_until([&] { return stored_records() > before; }, seconds(60),
               "walferry goes on after the restart of nats-server");
  }
  expect_all_is_there(load);
  EXPECT_EQ(walferry_.log().find("gave up"), std::string::npos);
}

TEST_F(Crash, ImmediateRestartsOfPostgresLoseAndDoubleNothing) {
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(3)});
  const int restarts = scaled(2, 3);
  for (int i = 0; i < restarts; ++i) {
    load.wait_for_more(60);
    postgres_.stop_immediately();
    postgres_.start();
    wait_streaming();
  }
  load.wait_for_more(60);
  expect_all_is_there(load);
}

TEST_F(Crash, EverythingDiesAtOnceAndNothingIsLost) {
  start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(3)});
  load.wait_for_more(100);
  walferry_.kill_hard();
  nats_.kill_hard();
  postgres_.stop_immediately();
  postgres_.start();
  nats_.start();
  start();
  load.wait_for_more(100);
  expect_all_is_there(load);
}

TEST_F(Crash, ARowOfAMegabyteThatCompressesWellIsNotSkippedAfterAKill) {
  // Its decoded bytes are longer than its WAL: who adds them up confirms what is not stored.
  create_table("big", "id int PRIMARY KEY, doc text");
  start();
  for (int i = 0; i < 6; ++i) {
    exec("INSERT INTO big VALUES (" + std::to_string(i) + ", repeat('walferry ', 100000))");
    exec("INSERT INTO load_d VALUES (" + std::to_string(i) + ", 'small')");
  }
  wait_stored(3);
  walferry_.kill_hard();
  for (int i = 10; i < 14; ++i) {
    exec("INSERT INTO load_d VALUES (" + std::to_string(i) + ", 'small')");
  }
  start();
  wait_complete();
  expect_slot_reaches_end();
  expect_exact();
}

// ---- at chosen moments: the daemon kills itself at the count-th pass through a named point

struct Point {
  const char* name;
  int count;
};

class CrashPoint : public Crash, public testing::WithParamInterface<Point> {};

TEST_P(CrashPoint, LosesAndDoublesNothing) {
  settings().set("source", "replay_window", "\"0\"");
  start();
  walferry_.stop();  // slot and stream are there
  const std::string point =
      std::string("WALFERRY_FAILPOINT=") + GetParam().name + ":" + std::to_string(GetParam().count);
  walferry_.start({}, {point});
  Load load(postgres_.conninfo(), {.writers = 2, .pause = Milliseconds(2)});
  const Exit exit = walferry_.wait_exit(seconds(60));
  EXPECT_EQ(exit.signal, SIGKILL) << "the point was never reached: " << walferry_.log();
  load.wait_for_more(20);
  start();
  load.wait_for_more(50);
  expect_all_is_there(load);
}

INSTANTIATE_TEST_SUITE_P(Moments, CrashPoint,
                         testing::Values(Point{"before_publish", 1}, Point{"before_publish", 137},
                                         Point{"stored_unacked", 1}, Point{"stored_unacked", 100},
                                         Point{"acked_unsaved", 1}, Point{"acked_unsaved", 2},
                                         Point{"saved_unconfirmed", 1},
                                         Point{"saved_unconfirmed", 2}),
                         [](const auto& param) {
                           return std::string(param.param.name) + "_" +
                                  std::to_string(param.param.count);
                         });

class CrashWithinATruncate : public Crash, public testing::WithParamInterface<int> {};

TEST_P(CrashWithinATruncate, GoesOnAtTheNextTable) {
  start();
  walferry_.stop();
  exec("TRUNCATE load_a, load_b, load_c");
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:" + std::to_string(GetParam())});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  start();
  expect_exact();
  EXPECT_EQ(records().size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Records, CrashWithinATruncate, testing::Values(1, 2, 3));

class CrashAtFirstStart : public Crash, public testing::WithParamInterface<const char*> {};

TEST_P(CrashAtFirstStart, TheNextStartGoesOnWithoutHelp) {
  watch();
  walferry_.start({}, {std::string("WALFERRY_FAILPOINT=") + GetParam() + ":1"});
  const Exit exit = walferry_.wait_exit(seconds(60));
  EXPECT_EQ(exit.signal, SIGKILL) << "the point was never reached: " << walferry_.log();
  start();
  Load load(postgres_.conninfo(), {.writers = 2});
  load.wait_for_more(100);
  expect_all_is_there(load);
}

INSTANTIATE_TEST_SUITE_P(Moments, CrashAtFirstStart,
                         testing::Values("after_publication", "after_intent", "after_slot_created"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace scenarios
