// `run --from-lsn`: a stream that begins where the operator says.
#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class FromLsn : public Scenario {
 protected:
  void SetUp() override {
    create_table("t", "id int PRIMARY KEY, v text");
    settings().set_string("source", "replay_window", "0");
  }
  void insert(int from, int to) {
    for (int id = from; id <= to; ++id) {
      // Not by operator+, which g++ 14 takes for an overflow here.
      std::string statement = "INSERT INTO t VALUES (";
      statement.append(std::to_string(id)).append(", 'x')");
      exec(statement);
    }
  }
  std::string ids() {
    std::string ids;
    for (const Record& record : records()) ids += record.key["id"].dump() + " ";
    return ids;
  }
};

TEST_F(FromLsn, AVirginStreamBeginsThereFromTheSlot) {
  settings().set_string("source", "replay_window", "1h");
  start();
  insert(1, 5);
  wait_stored(5);
  const std::string third = lsn_text(records().at(2).commit_lsn);
  walferry_.stop();
  js().delete_stream("CDC");
  walferry_.start({"--from-lsn", third});
  wait_stored(3);
  insert(6, 6);
  wait_stored(4);
  EXPECT_EQ(ids(), "3 4 5 6 ");
  // The flag may stay where it is: it has begun there already.
  walferry_.kill_hard();
  walferry_.start({"--from-lsn", third});
  insert(7, 7);
  wait_stored(5);
  EXPECT_EQ(ids(), "3 4 5 6 7 ");
  walferry_.stop();
}

TEST_F(FromLsn, AKillBeforeTheFirstRecordDoesNotBringBackWhatLiesBefore) {
  settings().set_string("source", "replay_window", "1h");
  start();
  insert(1, 4);
  wait_stored(4);
  const std::string from = lsn_text(records().at(2).commit_lsn);
  walferry_.stop();
  js().delete_stream("CDC");
  walferry_.start({"--from-lsn", from}, {"WALFERRY_FAILPOINT=before_publish"});
  walferry_.wait_exit();
  walferry_.start();
  wait_stored(2);
  EXPECT_EQ(ids(), "3 4 ");
  walferry_.stop();
}

TEST_F(FromLsn, AMarkReachesFurtherBackThanTheSlot) {
  start();
  EXPECT_EQ(walferry_.verb({"mark", "point"}).exit.code, 0);
  insert(1, 4);
  wait_stored(4);
  const std::uint64_t second = records().at(1).commit_lsn;
  const std::uint64_t end = postgres_.current_lsn();
  wait_until([&] { return postgres_.confirmed_flush("walferry") >= end; }, seconds(30),
             "all is confirmed");
  walferry_.stop();
  js().delete_stream("CDC");
  walferry_.start({"--from-lsn", lsn_text(second)});
  wait_stored(3);
  EXPECT_EQ(ids(), "2 3 4 ");
  walferry_.stop();
  EXPECT_EQ(walferry_.verb({"mark", "--drop", "point"}).exit.code, 0);
  js().delete_stream("CDC");
  walferry_.start({"--from-lsn", lsn_text(second)});
  const std::string log = expect_exit(4);
  EXPECT_TRUE(says(log, "cannot be read any more")) << log;
  EXPECT_TRUE(names_lsn(log, postgres_.confirmed_flush("walferry"))) << log;
}

TEST_F(FromLsn, WithoutSlotOrMarkNothingReachesBack) {
  walferry_.start({"--from-lsn", "0/100"});
  EXPECT_TRUE(says(expect_exit(4), "neither slot \"walferry\" nor a mark"));
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  walferry_.start({"--from-lsn", "FF/0"});
  EXPECT_TRUE(says(expect_exit(3), "beyond the server's WAL"));
}

TEST_F(FromLsn, AStreamThatHoldsRecordsIsSkippedAheadOnlyWhenThatIsAccepted) {
  settings().set_string("source", "replay_window", "1h");
  start();
  insert(1, 2);
  wait_stored(2);
  const std::uint64_t tail = records().back().commit_lsn;
  walferry_.stop();
  insert(3, 3);
  exec("SELECT pg_switch_wal()");
  const std::string beyond = lsn_text(postgres_.current_lsn());
  insert(4, 4);
  walferry_.start({"--from-lsn", lsn_text(tail)});
  EXPECT_TRUE(says(expect_exit(3), "is not beyond"));
  walferry_.start({"--from-lsn", beyond});
  EXPECT_TRUE(says(expect_exit(4), "is not in the stream"));
  walferry_.start({"--from-lsn", beyond, "--accept-gap"});
  wait_stored(3);
  EXPECT_EQ(ids(), "1 2 4 ");
  walferry_.kill_hard();
  start();
  insert(5, 5);
  wait_stored(4);
  EXPECT_EQ(ids(), "1 2 4 5 ");
  walferry_.stop();
}

}  // namespace
}  // namespace scenarios
