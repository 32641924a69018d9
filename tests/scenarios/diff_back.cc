// Snapshot-diff whose tables, files and stores go away and come back, each by itself: the stream
// says what the tables are again, or walferry says that it cannot know.
#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

namespace fs = std::filesystem;

class DiffBack : public Diff {
 protected:
  void two_tables() {
    diff_table("a", "id int PRIMARY KEY, v int");
    diff_table("b", "id int PRIMARY KEY, v int");
    exec(
        "INSERT INTO a SELECT i, i FROM generate_series(1, 20) i;"
        "INSERT INTO b SELECT i, -i FROM generate_series(11, 40) i");
  }
};

TEST_F(DiffBack, TheFileOfAnotherTableOrOfAnotherRoundIsNotBelieved) {
  two_tables();
  round();
  const auto states = files(".state");
  ASSERT_EQ(states.size(), 2U);
  fs::copy_file(states[0], states[1], fs::copy_options::overwrite_existing);
  std::string log = round();
  EXPECT_TRUE(says(log, "the state of table public.b is lost")) << log;
  EXPECT_TRUE(says(log, "is of table public.a")) << log;
  expect_folds_to({"a", "b"});
  EXPECT_EQ(folded().restarts("public.b"), 1);
  exec("UPDATE a SET v = 0 WHERE id = 1");
  round();
  const auto rounds = files(".round");
  fs::copy_file(rounds.front(), rounds.back(), fs::copy_options::overwrite_existing);
  exec("UPDATE a SET v = 0 WHERE id = 2");
  log = round();
  EXPECT_TRUE(says(log, "is the file of another round")) << log;
  expect_folds_to({"a", "b"});
}

TEST_F(DiffBack, ATableThatIsDroppedDoesNotEndTheDaemonAtItsReconnect) {
  settings().no_tables();
  two_tables();
  settings().no_tables();
  compare_table("public.a", "interval = \"100ms\"\nfirst = \"snapshot\"");
  compare_table("public.b", "interval = \"100ms\"\nfirst = \"snapshot\"");
  walferry_.start();
  const auto arrives = [&](const std::string& table) {
    wait_until([&] { return folded().rows("public." + table) == table_rows(table); }, seconds(30),
               table);
  };
  arrives("a");
  arrives("b");
  exec("DROP TABLE b");
  postgres_.restart();
  exec("UPDATE a SET v = 0");
  arrives("a");
  wait_until([&] { return says(walferry_.log(), "table public.b is gone"); }, seconds(30), "said");
  exec("CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (11, 0), (99, 0)");
  arrives("b");
  exec("DROP TABLE b");
  walferry_.stop();
  // At a start it is not known to have been there.
  EXPECT_TRUE(says(round_fails(3), "does not exist"));
}

}  // namespace
}  // namespace scenarios
