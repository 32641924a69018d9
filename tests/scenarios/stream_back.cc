// The stream went back: JetStream lost what it had acknowledged, was put back to an older copy, was
// deleted, created again or purged. Within the replay window walferry mends it from WAL; beyond, it
// stops and names the gap. It never passes over one.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class StreamBack : public Scenario {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  void insert(int first, int count) {
    for (int i = first; i < first + count; ++i) {
      exec("INSERT INTO t VALUES (" + std::to_string(i) + ", 'row')");
    }
  }
  void window(const std::string& duration) {
    settings().set_string("source", "replay_window", duration);
  }
  // 40 rows are stored, a copy of the store is made, 40 more are stored and, with a window of 0,
  // confirmed.
  void store_copy_and_more(bool confirmed) {
    start();
    insert(1, 40);
    wait_stored(40);
    nats_.stop();
    nats_.save_store("older");
    nats_.start();
    insert(41, 40);
    wait_stored(80);
    if (confirmed) {
      expect_slot_reaches_end();
    } else {
      const std::uint64_t end = oracle_->read().back().end_lsn;
      EXPECT_TRUE(stays_true([&] { return postgres_.confirmed_flush("walferry") < end; },
                             Milliseconds(1500)))
          << "within the replay window nothing is confirmed";
    }
  }
  void put_back_the_copy() {
    nats_.kill_hard();
    nats_.restore_store("older");
    nats_.start();
  }
  // From the last record that is stored to where the slot goes on.
  void expect_names_the_gap(const std::string& line) {
    EXPECT_TRUE(names_lsn(line, records().back().commit_lsn)) << "its beginning: " << line;
    EXPECT_TRUE(names_lsn(line, postgres_.confirmed_flush("walferry"))) << "its end: " << line;
  }
};

TEST_F(StreamBack, AnOlderCopyOfTheStoreIsCompletedWhileWalferryRuns) {
  store_copy_and_more(false);
  put_back_the_copy();
  insert(81, 10);
  wait_stored(90);
  EXPECT_TRUE(says(walferry_.log(), "lost")) << walferry_.log();
  expect_exact();
}

TEST_F(StreamBack, AnOlderCopyOfTheStoreIsCompletedAtTheNextStart) {
  store_copy_and_more(false);
  walferry_.stop();
  put_back_the_copy();
  start();
  insert(81, 10);
  expect_exact();
}

TEST_F(StreamBack, AnOlderCopyOfTheStoreIsCompletedAfterAKill) {
  store_copy_and_more(false);
  walferry_.kill_hard();
  put_back_the_copy();
  start();
  insert(81, 10);
  expect_exact();
}

TEST_F(StreamBack, WithoutAReplayWindowAnOlderCopyIsAGapAndStops) {
  window("0");
  store_copy_and_more(true);
  put_back_the_copy();
  const std::string error = errors_in(expect_exit(4));
  expect_names_the_gap(error);
  EXPECT_TRUE(says(error, "accept-gap")) << error;
  EXPECT_EQ(stored_records(), 40U);
  // Again, and again nothing is passed over.
  const Finished again = walferry_.run_to_exit();
  EXPECT_EQ(again.exit.code, 4);
  expect_names_the_gap(errors_in(again.err));
  EXPECT_EQ(stored_records(), 40U);
}

// The stream alone went back, the saved position did not. On a quiet stream keepalives have moved
// the slot beyond the copy's tail.
class StreamAloneBack : public StreamBack {
 protected:
  void store_and_copy_once_the_slot_has_passed_the_tail() {
    window(std::to_string(window_.count()) + "s");
    start();
    insert(1, 40);
    wait_stored(40);
    expect_slot_reaches_end();
    nats_.stop();
    nats_.save_store("older");
    nats_.start();
    insert(41, 40);
    wait_stored(80);
    ASSERT_LT(postgres_.confirmed_flush("walferry"), oracle_->read().back().end_lsn);
  }
  void put_back_the_stream() {
    nats_.kill_hard();
    nats_.restore_stream("older", "CDC");
    nats_.start();
  }
  const seconds window_{6};
};

TEST_F(StreamAloneBack, IsCompletedWhileWalHasAllThatWasLost) {
  store_and_copy_once_the_slot_has_passed_the_tail();
  // What is saved knows of all 80.
  walferry_.stop();
  ASSERT_GT(postgres_.confirmed_flush("walferry"), records()[39].commit_lsn);
  put_back_the_stream();
  ASSERT_EQ(stored_records(), 40U);
  start();
  insert(81, 10);
  wait_stored(90);
  EXPECT_TRUE(says(walferry_.log(), "lost")) << walferry_.log();
  expect_exact();
}

TEST_F(StreamAloneBack, StopsWhereTheSlotHasPassedWhatWasLost) {
  store_and_copy_once_the_slot_has_passed_the_tail();
  expect_slot_reaches_end();
  put_back_the_stream();
  const std::string error = errors_in(expect_exit(4));
  expect_names_the_gap(error);
  EXPECT_EQ(stored_records(), 40U);
}

TEST_F(StreamBack, AcceptGapGoesOnBehindTheGapAndSaysWhatWasLost) {
  window("0");
  store_copy_and_more(true);
  put_back_the_copy();
  expect_exit(4);
  const std::uint64_t confirmed = postgres_.confirmed_flush("walferry");
  ASSERT_GE(confirmed, oracle_->read().back().end_lsn) << "all 80 are confirmed";
  start({"--accept-gap"});
  const auto says_what_was_lost = [&] {
    const std::string accepted = lines_saying(walferry_.log(), "accepted");
    return names_lsn(accepted, records().back().commit_lsn) && names_lsn(accepted, confirmed);
  };
  EXPECT_TRUE(becomes_true(says_what_was_lost, seconds(30)));
  insert(81, 10);
  wait_stored(50);
  walferry_.stop();
  const auto all = records();
  ASSERT_EQ(all.size(), 50U);
  EXPECT_EQ(all[39].after["id"], 40);
  EXPECT_EQ(all[40].after["id"], 81);
  // The gap was accepted once; the next start needs no flag.
  start();
  insert(91, 1);
  wait_stored(51);
}

TEST_F(StreamBack, AStreamDeletedWhileWalferryRunsIsMadeAgainAndComplete) {
  start();
  insert(1, 50);
  wait_stored(50);
  js().delete_stream("CDC");
  insert(51, 10);
  wait_stored(60);
  EXPECT_TRUE(says(walferry_.log(), "lost") || says(walferry_.log(), "created")) << walferry_.log();
  expect_exact();
}

TEST_F(StreamBack, AStreamDeletedAndCreatedAgainWhileWalferryIsDownIsComplete) {
  start();
  insert(1, 50);
  wait_stored(50);
  const auto config = (*js().stream("CDC"))["config"];
  walferry_.stop();
  js().delete_stream("CDC");
  js().create_stream(config);
  start();
  insert(51, 10);
  expect_exact();
}

TEST_F(StreamBack, ADeletedStreamBeyondTheReplayWindowStops) {
  window("0");
  start();
  insert(1, 50);
  wait_stored(50);
  expect_slot_reaches_end();
  walferry_.stop();
  js().delete_stream("CDC");
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 4);
  EXPECT_TRUE(says(finished.err, "accept-gap")) << finished.err;
  EXPECT_EQ(stored_records(), 0U);
}

TEST_F(StreamBack, APurgedLastMessageIsNeitherRepeatedNorDoesItStop) {
  start();
  insert(1, 50);
  wait_stored(50);
  walferry_.stop();
  auto all = js().read("CDC");
  js().delete_message("CDC", 51);
  start();
  insert(51, 10);
  wait_stored(60);
  walferry_.stop();
  const auto later = js().read("CDC", 51);
  all.insert(all.end(), later.begin(), later.end());
  EXPECT_TRUE(each_change_once(all, *oracle_));
}

TEST_F(StreamBack, APurgedStreamGoesOnWhereItWas) {
  start();
  insert(1, 50);
  wait_stored(50);
  auto all = js().read("CDC");
  js().purge("CDC");  // while it runs
  insert(51, 10);
  wait_stored(60);
  auto later = js().read("CDC", 51);
  all.insert(all.end(), later.begin(), later.end());
  walferry_.stop();
  js().purge("CDC");  // while it does not
  start();
  insert(61, 10);
  wait_stored(70);
  walferry_.stop();
  later = js().read("CDC", 61);
  all.insert(all.end(), later.begin(), later.end());
  EXPECT_TRUE(each_change_once(all, *oracle_));
}

TEST_F(StreamBack, AStreamPurgedBehindAKilledWalferryGoesOnWhereItWas) {
  start();
  insert(1, 50);
  wait_stored(50);
  exec("INSERT INTO t SELECT i, 'in one transaction' FROM generate_series(51, 300) i");
  wait_stored(300);
  walferry_.kill_hard();  // the saved position is up to a second behind
  auto all = js().read("CDC");
  js().purge("CDC");
  start();
  insert(301, 10);
  wait_stored(310);
  walferry_.stop();
  const auto later = js().read("CDC", 301);
  all.insert(all.end(), later.begin(), later.end());
  EXPECT_TRUE(each_change_once(all, *oracle_));
}

TEST_F(StreamBack, ExpiredMessagesDoNotMatter) {
  settings().set_string("stream", "max_age", "1s").set_string("stream", "duplicate_window", "1s");
  start();
  insert(1, 30);
  wait_stored(30);
  auto all = js().read("CDC");
  wait_until([&] { return js().message_count("CDC") == 0; }, seconds(30), "all have expired");
  walferry_.kill_hard();
  start();
  insert(31, 10);
  wait_stored(40);
  const auto later = js().read("CDC", 31);
  all.insert(all.end(), later.begin(), later.end());
  walferry_.stop();
  EXPECT_TRUE(each_change_once(all, *oracle_));
}

TEST_F(StreamBack, AMessageMissingInTheMiddleOfTheWindowIsAnErrorAndNotSteppedOver) {
  start();
  insert(1, 50);
  wait_stored(50);
  walferry_.kill_hard();
  js().delete_message("CDC", 31);
  insert(51, 5);
  walferry_.start();
  const std::string log = expect_exit(4);
  EXPECT_TRUE(says(log, "message 31")) << log;
  EXPECT_TRUE(says(log, "--accept-gap")) << log;
  EXPECT_EQ(stored_records(), 50U);
  // Accepted, it goes on behind the tail; the hole is not filled in, and not asked about again.
  for (const bool accept : {true, false}) {
    walferry_.start(accept ? std::vector<std::string>{"--accept-gap"} : std::vector<std::string>{});
    wait_streaming();
    wait_stored(55);
    walferry_.stop();
  }
  const auto all = records();
  ASSERT_EQ(all.size(), 54U);
  for (const auto& record : all) {  // behind the schema record
    EXPECT_EQ(record.after["id"], static_cast<int>(record.sequence) - 1);
  }
}

}  // namespace
}  // namespace scenarios
