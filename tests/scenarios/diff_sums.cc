// Snapshot-diff of tables that are big enough for a sample of their sums: whatever part of the
// table has changed, and whether it was asked for or read, the stream is the table.
#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

// 160 blocks of about 1024 rows, which are 5 parts of 32768 rows.
constexpr long rows = 163'840;

class DiffSampled : public Diff {
 protected:
  void big_table(const std::string& key = "id bigint PRIMARY KEY", const std::string& more = "") {
    diff_table("big", key + ", v int, note text", "", more);
    exec("INSERT INTO big SELECT i, 0, 'n' || i FROM generate_series(0, " +
         std::to_string(rows - 1) + ") i");
    exec("VACUUM (ANALYZE) big");
    round();
  }
  // Of rows that were changed after the baseline, which the stream does not have.
  void expect_folds() {
    EXPECT_TRUE(folded().rows("public.big") == table_rows("(SELECT * FROM big WHERE v <> 0)"));
  }
  std::string read() { return status().at("diff").at("tables").at(0).at("read"); }
};

TEST_F(DiffSampled, AsksAndReadsByTurnsAndFoldsToTheTable) {
  big_table();
  EXPECT_TRUE(says(round(), "sums of 160 asked for, 0 to be read"));
  EXPECT_EQ(read(), "nothing");
  // The second and the fourth part all over; of the others a few rows, at their edges too.
  exec(
      "UPDATE big SET v = v + 1 WHERE id % 50 = 0 AND (id BETWEEN 32768 AND 65535 OR id BETWEEN "
      "98304 AND 131071);"
      "UPDATE big SET v = 7 WHERE id IN (0, 32767, 65536, 70000, 98303, 131072, 163839);"
      "INSERT INTO big VALUES (-5, 5, 'before all'), (163840, 5, 'behind all')");
  std::string log = round();
  EXPECT_TRUE(says(log, "160 ranges, the sums of 96 asked for")) << log;
  EXPECT_EQ(read(), "ranges");
  expect_folds();
  log = round();
  EXPECT_TRUE(says(log, "asked for, 0 to be read")) << log;
  // Everywhere.
  exec("UPDATE big SET v = v + 1 WHERE id % 100 = 3");
  log = round();
  EXPECT_TRUE(says(log, "the sums of 0 asked for")) << log;
  EXPECT_EQ(read(), "all");
  expect_folds();
  // At the end.
  exec("UPDATE big SET v = v + 1 WHERE id > 160000");
  round();
  EXPECT_EQ(read(), "ranges");
  expect_folds();
  EXPECT_TRUE(says(round(), "asked for, 0 to be read"));
}

TEST_F(DiffSampled, FindsRowsThatAreGoneWithTheirRanges) {
  big_table();
  exec("UPDATE big SET v = 1 WHERE id % 64 = 0");
  round();
  expect_folds();
  exec("DELETE FROM big WHERE id BETWEEN 33000 AND 37500 OR id > 160000 OR id < 1500");
  exec("UPDATE big SET v = 2 WHERE id = 100000");
  round();
  EXPECT_EQ(read(), "ranges");
  expect_folds();
  exec("INSERT INTO big SELECT i, 3, 'again' FROM generate_series(34500, 34600) i");
  round();
  expect_folds();
  exec("DELETE FROM big WHERE id > 149000");
  round();
  EXPECT_EQ(read(), "ranges");
  expect_folds();
}

// No range of it is found without reading all of the table.
TEST_F(DiffSampled, AKeyWithoutAnIndexIsNeitherSampledNorReadInManyRanges) {
  big_table("id bigint NOT NULL", "key = [\"id\"]");
  exec("UPDATE big SET v = 1 WHERE id IN (5, 100000)");
  const std::string log = round();
  EXPECT_TRUE(says(log, "the sums of 160 asked for, 2 to be read")) << log;
  EXPECT_EQ(read(), "all");
  expect_folds();
  exec("UPDATE big SET v = 2 WHERE id = 100000");
  round();
  EXPECT_EQ(read(), "ranges");
  expect_folds();
}

// The server is at one statement, and sends nothing for an hour.
TEST_F(DiffSampled, AStopEndsAStatementThatTheServerIsAt) {
  diff_table("slow", "id int PRIMARY KEY", "", "where = \"id <> 1 OR pg_sleep(3600) IS NOT NULL\"");
  exec("INSERT INTO slow VALUES (1), (2)");
  walferry_.start();
  const auto sleepers = [this] {
    return postgres_.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  };
  wait_until([&] { return sleepers() == "1"; }, seconds(60), "the read");
  walferry_.stop();
  wait_until([&] { return sleepers() == "0"; }, seconds(60), "the end of the statement");
}

}  // namespace
}  // namespace scenarios
