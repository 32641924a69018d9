// How a run ends: --until-lsn and --until current, SIGTERM in the middle of a large transaction,
// and the memory that a large one takes.
#include <sys/stat.h>

#include <fstream>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Ends : public Scenario {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  void insert(int first, int count) {
    for (int i = first; i < first + count; ++i) {
      exec("INSERT INTO t VALUES (" + std::to_string(i) + ", 'row')");
    }
  }
};

TEST_F(Ends, UntilCurrentStoresAllThatWasCommittedBeforeAndEndsWithZero) {
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  watch();
  insert(1, 100);
  const Finished finished = walferry_.run_to_exit({"--until", "current"});
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
  EXPECT_EQ(stored_records(), 100U);
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_EQ(stored_records(), 100U);
}

TEST_F(Ends, UntilCurrentEndsOnAnIdleDatabaseToo) {
  exec("CREATE TABLE unpublished (i int)");
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  exec("INSERT INTO unpublished VALUES (1)");
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_EQ(stored_records(), 0U);
}

TEST_F(Ends, UntilLsnStoresWhatCommittedAtOrBeforeItAndNothingElse) {
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  watch();
  insert(1, 10);
  const std::string limit = postgres_.value("SELECT pg_current_wal_lsn()");
  insert(11, 10);
  EXPECT_EQ(walferry_.run_to_exit({"--until-lsn", limit}).exit.code, 0);
  EXPECT_EQ(stored_records(), 10U) << "and nothing that committed after it";
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

// A stream that is further already is compared to its end, and not gone on with.
TEST_F(Ends, UntilAnLsnBeforeTheTailComparesTheWholeTail) {
  start();
  insert(1, 10);
  const std::string limit = postgres_.value("SELECT pg_current_wal_lsn()");
  insert(11, 10);
  wait_stored(20);
  walferry_.kill_hard();
  insert(21, 10);
  const Finished whole = walferry_.run_to_exit({"--until-lsn", limit});
  EXPECT_EQ(whole.exit.code, 0) << whole.err;
  EXPECT_EQ(stored_records(), 20U);
  js().delete_message("CDC", 16);
  const Finished holed = walferry_.run_to_exit({"--until-lsn", limit});
  EXPECT_EQ(holed.exit.code, 4) << holed.err;
  EXPECT_TRUE(says(holed.err, "message 16")) << holed.err;
  EXPECT_EQ(stored_records(), 20U);
}

TEST_F(Ends, UntilCurrentWithoutAReplayWindowConfirmsWhatItStored) {
  settings().set("source", "replay_window", "\"0\"");
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  watch();
  insert(1, 10);
  EXPECT_EQ(walferry_.run_to_exit({"--until", "current"}).exit.code, 0);
  EXPECT_GE(postgres_.confirmed_flush("walferry"), oracle_->read().back().end_lsn);
}

TEST_F(Ends, SigtermInTheMiddleOfALargeTransactionEndsWithZeroAndLosesNothing) {
  start();
  exec("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, " +
       std::to_string(scaled(60000, 600000)) + ") i");
  for (int i = 0; i < 2; ++i) {
    const auto before = stored_records();
    wait_until([&] { return stored_records() > before + 100; }, seconds(60), "progress");
    const auto begin = Clock::now();
    walferry_.stop();
    EXPECT_LT(Clock::now() - begin, seconds(10));
    start();
  }
  expect_exact();
}

TEST_F(Ends, SigintEndsAsSigtermDoes) {
  start();
  insert(1, 5);
  wait_stored(5);
  walferry_.send(SIGINT);
  EXPECT_EQ(walferry_.wait_exit(seconds(20)).code, 0);
}

// The daemon hangs at its configuration, which is a pipe, when the signal comes.
TEST_F(Ends, ASigtermThatComesBeforeTheConfigurationIsReadIsObeyed) {
  TempDir dir;
  const std::string pipe = dir.file("walferry.toml");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  Process early({.argv = {walferry_binary(), "run", "--config", pipe}});
  std::ofstream toml(pipe);  // opened when the daemon has opened it
  early.send(SIGTERM);
  toml << settings().to_toml() << std::flush;
  toml.close();
  EXPECT_EQ(early.wait_exit(seconds(20)).code, 0);
}

TEST_F(Ends, SigtermWithoutAReplayWindowConfirmsWhatIsStored) {
  settings().set("source", "replay_window", "\"0\"");
  start();
  insert(1, 5);
  wait_stored(5);
  walferry_.stop();
  EXPECT_GE(postgres_.confirmed_flush("walferry"), oracle_->read().back().end_lsn);
}

TEST_F(Ends, ALargeTransactionTakesNoMoreMemoryThanTheLimit) {
  start();
  const int rows = scaled(100000, 2000000);
  exec("INSERT INTO t SELECT i, repeat('x', 150) FROM generate_series(1, " + std::to_string(rows) +
       ") i");
  wait_stored(static_cast<std::uint64_t>(rows), seconds(400));
  walferry_.stop();
  const Exit exit = walferry_.wait_exit();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(exit.peak_memory_kib, 64 * 1024);
#else
  EXPECT_GT(exit.peak_memory_kib, 0);
#endif
}

TEST_F(Ends, LargeRowsInLargeNumbersTakeNoMoreMemoryThanTheLimit) {
  start();
  exec("INSERT INTO t SELECT i, repeat('walferry', 60000) FROM generate_series(1, 200) i");
  wait_stored(200);
  walferry_.stop();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(walferry_.wait_exit().peak_memory_kib, 64 * 1024);
#endif
  start();
  expect_exact();
}

// What is read back at a start begins with the small ones, and must be ready for the large.
TEST_F(Ends, ARestartBehindLargeRowsAndSmallOnesTakesNoMoreMemoryThanTheLimit) {
  settings().set_string("publish", "max_in_flight_bytes", "64MiB");
  start();
  exec("INSERT INTO t SELECT i, repeat('walferry', 120000) FROM generate_series(1, 100) i");
  exec("INSERT INTO t SELECT -i, 'small' FROM generate_series(1, 200) i");
  wait_stored(300);
  walferry_.stop();
  start();
  walferry_.stop();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(walferry_.wait_exit().peak_memory_kib, 64 * 1024);
#endif
  start();
  expect_exact();
}

}  // namespace
}  // namespace scenarios
