// Snapshot-diff that is killed at each of its steps and at random, whose files are damaged, whose
// stream goes back, and of which there are two: what the stream says is the table again after the
// next round, each record once.
#include <cstdlib>
#include <fstream>
#include <random>

#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

class DiffCrash : public Diff {
 protected:
  void SetUp() override {
    diff_table("a", "id int PRIMARY KEY, v text, n int");
    diff_table("h", "x int, y text");
    exec(
        "INSERT INTO a SELECT i, md5(i::text), 0 FROM generate_series(1, 3000) i;"
        "INSERT INTO h SELECT i % 5, NULL FROM generate_series(1, 30) i");
    settings().set("publish", "max_in_flight", "16");
  }
  void change() {
    exec(
        "UPDATE a SET n = n + 1 WHERE random() < 0.03; DELETE FROM a WHERE random() < 0.01;"
        "INSERT INTO a SELECT i, 'new', 0 FROM generate_series(1, 3000) i WHERE random() < 0.005 "
        "ON CONFLICT DO NOTHING;"
        "INSERT INTO h SELECT (random() * 5)::int FROM generate_series(1, 6);"
        "DELETE FROM h WHERE ctid IN (SELECT ctid FROM h ORDER BY random() LIMIT 5)");
  }
  void change_and_round() {
    change();
    round();
  }
  void keep_store() {
    nats_.stop();
    nats_.save_store("older");
    nats_.start();
  }
  // JetStream has of this stream, or of all, what keep_store() kept.
  void go_back(const std::string& stream = "") {
    nats_.kill_hard();
    stream.empty() ? nats_.restore_store("older") : nats_.restore_stream("older", stream);
    nats_.start();
  }
  void expect_whole() { expect_folds_to({"a", "h"}); }
  // The next round brings the stream back to this message, and the one after it is as any other.
  void expect_mended_to(std::uint64_t last) {
    round();
    EXPECT_EQ(js().last_sequence("CDC"), last);
    expect_whole();
    change_and_round();
    expect_whole();
  }
  int restarts() { return folded().restarts("public.a") + folded().restarts("public.h"); }
};

class DiffFailpoint : public DiffCrash, public testing::WithParamInterface<const char*> {};

TEST_P(DiffFailpoint, LosesAndDoublesNothing) {
  for (const bool first : {true, false}) {
    if (!first) {
      round();
      change();
    }
    const std::string failpoint = GetParam();
    walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=" + failpoint});
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << failpoint;
    round();
    expect_whole();
    change();
    round();
    expect_whole();
  }
  EXPECT_EQ(restarts(), 0);
}

INSTANTIATE_TEST_SUITE_P(Each, DiffFailpoint,
                         testing::Values("diff_reading:20", "diff_state_written:1",
                                         "diff_state_written:2", "diff_round_written:1",
                                         "diff_round_saved:1", "before_publish:1",
                                         "before_publish:30", "stored_unacked:2", "diff_acked:1",
                                         "diff_done:1"),
                         [](const auto& point) {
                           std::string name = point.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

TEST_F(DiffCrash, KillsAtRandomLoseAndDoubleNothing) {
  std::mt19937 random(7);
  settings().set("source", "replay_window", "\"200ms\"");
  for (int i = 0; i < scaled(5, 20); ++i) {
    change();
    walferry_.start({"--once"});
    let_pass(Milliseconds(std::uniform_int_distribution<int>(5, 250)(random)));
    if (walferry_.running()) walferry_.kill_hard();
    walferry_.wait_exit();
    if (i % 2 == 0) continue;
    round();
    expect_whole();
  }
  round();
  expect_whole();
  EXPECT_EQ(restarts(), 0);
}

TEST_F(DiffCrash, KillsUnderLoadLoseAndDoubleNothing) {
  for (const char* table : {"a", "h"})
    exec(std::string("ALTER TABLE ") + table + " SET (autovacuum_enabled = off)");
  settings().no_tables();
  compare_table("public.a", "interval = \"100ms\"\nfirst = \"snapshot\"");
  compare_table("public.h", "interval = \"150ms\"\nfirst = \"snapshot\"");
  std::mt19937 random(11);
  for (int i = 0; i < scaled(4, 20); ++i) {
    walferry_.start();
    for (int j = 0; j < 4; ++j) {
      change();
      let_pass(Milliseconds(std::uniform_int_distribution<int>(0, 150)(random)));
    }
    walferry_.kill_hard();
    walferry_.wait_exit();
  }
  walferry_.start();
  wait_until([&] { return folded().rows("public.a") == table_rows("a"); }, seconds(30),
             "the stream catches up");
  wait_until([&] { return folded().rows("public.h") == table_rows("h"); }, seconds(30),
             "the stream catches up");
  walferry_.stop();
  EXPECT_EQ(restarts(), 0);
}

void damage(const std::string& file) {
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekg(0, std::ios::end);
  const auto middle = static_cast<std::streamoff>(bytes.tellg()) / 2;
  bytes.seekg(middle);
  const char byte = static_cast<char>(bytes.get() ^ 0x20);
  bytes.seekp(middle);
  bytes.put(byte);
}

TEST_F(DiffCrash, DamagedCutAndMissingStatesAreSaidAndTheirTablesBeginAgain) {
  const std::vector<std::function<void(const std::string&)>> harms{
      damage, [](const std::string& file) { std::filesystem::resize_file(file, 100); },
      [](const std::string& file) { std::filesystem::resize_file(file, 0); },
      [](const std::string& file) { std::filesystem::remove(file); },
      [](const std::string& file) {
        std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
      }};
  round();
  int begun = 0;
  for (const auto& harm : harms) {
    change();
    round();
    for (const std::string& file : files(".state")) harm(file);
    change();
    const std::string log = round();
    begun += 2;
    EXPECT_TRUE(says(log, "the state of table public.a is lost")) << log;
    EXPECT_TRUE(says(log, "the state of table public.h is lost")) << log;
    expect_whole();
    EXPECT_EQ(restarts(), begun);
  }
}

TEST_F(DiffCrash, ALostRoundIsSaidAndEveryTableBeginsAgain) {
  round();
  // Half of it is published, and its file is no more what it was.
  change();
  walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=before_publish:20"});
  walferry_.wait_exit();
  damage(files(".round").back());
  change();
  std::string log = round();
  EXPECT_TRUE(says(log, "every table begins again")) << log;
  expect_whole();
  EXPECT_EQ(restarts(), 2);
  std::filesystem::remove_all(state_.path() + "/CDC.walferry");
  const auto checked = walferry_.verb({"check"});
  EXPECT_TRUE(says(checked.out, "run begins again")) << checked.out;
  change();
  // Killed while it begins again, too.
  walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=diff_state_written:1"});
  walferry_.wait_exit();
  log = round();
  expect_whole();
  EXPECT_EQ(restarts(), 4);
}

// The stream alone, and with it the position, which is in the same store.
TEST_F(DiffCrash, AStreamThatWentBackGetsWhatItLost) {
  for (const bool alone : {true, false}) {
    round();
    change_and_round();
    keep_store();
    change_and_round();
    change_and_round();
    const std::uint64_t last = js().last_sequence("CDC");
    go_back(alone ? "CDC" : "");
    EXPECT_LT(js().last_sequence("CDC"), last);
    expect_mended_to(last);
  }
  EXPECT_EQ(restarts(), 0);
}

// The position is in a store of its own: it may go back alone, also to before the first round.
TEST_F(DiffCrash, APositionThatWentBackAloneFindsItsRoundsInTheFolder) {
  round();
  keep_store();
  for (int i = 0; i < 2; ++i) change_and_round();
  const std::uint64_t last = js().last_sequence("CDC");
  go_back("KV_walferry");
  expect_mended_to(last);
  EXPECT_EQ(restarts(), 0);
}

TEST_F(DiffCrash, AStreamThatWentBackBehindTheRoundsThatAreKeptIsAPositionLost) {
  settings().set("source", "replay_window", "\"0\"");
  round();
  keep_store();
  for (int i = 0; i < 3; ++i) change_and_round();
  go_back("CDC");
  const std::string log = round_fails(4);
  EXPECT_TRUE(says(log, "accept-gap")) << log;
  const Finished again = walferry_.run_to_exit({"--once", "--accept-gap"});
  EXPECT_EQ(again.exit.code, 0) << again.err;
  expect_whole();
  EXPECT_EQ(restarts(), 2);
}

TEST_F(DiffCrash, ARoundThatDoesNotFitStopsBeforeAnythingOfItIsPublished) {
  settings().set_string("publish", "max_message", "2KiB");
  round();
  const std::uint64_t last = js().last_sequence("CDC");
  exec("INSERT INTO a VALUES (-1, 'small', 0), (10000, repeat('x', 4000), 0)");
  const std::string log = round_fails(3);
  EXPECT_TRUE(says(log, "public.a")) << log;
  EXPECT_EQ(js().last_sequence("CDC"), last);
  settings().set_string("publish", "oversize", "omit");
  round();
  EXPECT_EQ(js().last_sequence("CDC"), last + 2);
}

TEST_F(DiffCrash, ASecondOneStandsByAndTakesOver) {
  settings().no_tables();
  compare_table("public.a", "interval = \"100ms\"\nfirst = \"snapshot\"");
  walferry_.start();
  wait_until([&] { return folded().rows("public.a") == table_rows("a"); }, seconds(30), "a round");
  Walferry second(walferry_binary(), settings());
  second.start();
  wait_until([&] { return says(second.log(), "standing by"); }, seconds(30), "it stands by");
  walferry_.kill_hard();
  walferry_.wait_exit();
  change();
  wait_until([&] { return folded().rows("public.a") == table_rows("a"); }, seconds(30),
             "the second takes over");
  second.stop();
  EXPECT_EQ(folded().restarts("public.a"), 0);
}

TEST_F(DiffCrash, TeardownRemovesThePositionAndTheStates) {
  round();
  ASSERT_FALSE(files(".state").empty());
  const auto torn = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(torn.exit.code, 0) << torn.err;
  EXPECT_TRUE(says(torn.out, "removed the states")) << torn.out;
  EXPECT_FALSE(std::filesystem::exists(state_.path() + "/CDC.walferry"));
  EXPECT_EQ(walferry_.verb({"snapshot", "public.a"}).exit.code, 2);
  EXPECT_EQ(round_fails(4).empty(), false);
  const Finished again = walferry_.run_to_exit({"--once", "--accept-gap"});
  EXPECT_EQ(again.exit.code, 0) << again.err;
  expect_whole();
}

TEST_F(DiffCrash, VerifySaysWhatTheNextRoundWillPublish) {
  round();
  EXPECT_EQ(walferry_.verb({"verify"}).exit.code, 0);
  exec("UPDATE a SET n = 99 WHERE id = 5");
  const auto differs = walferry_.verb({"verify"});
  EXPECT_EQ(differs.exit.code, 1) << differs.out;
  EXPECT_TRUE(says(differs.err, "as of the round at")) << differs.err;
  round();
  EXPECT_EQ(walferry_.verb({"verify"}).exit.code, 0);
}

}  // namespace
}  // namespace scenarios
