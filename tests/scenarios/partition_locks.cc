// Somebody holds a lock on one partition (VACUUM FULL, ALTER, an open TRUNCATE): changes of other
// tables are published meanwhile.
#include "tests/scenarios/snapshot_rig.h"

namespace scenarios {
namespace {

class PartitionLocks : public Snapshot {
 protected:
  void SetUp() override {
    create_table("u", "id int PRIMARY KEY");
    exec(
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100000);"
        "INSERT INTO p SELECT i FROM generate_series(1, 3000) i");
  }
  void expect_changes_of_others() {
    exec("INSERT INTO u VALUES (1)");
    wait_until([&] { return js().count("CDC", "cdc.public.u.insert") == 1; }, seconds(30),
               "the change of another table");
  }
};

TEST_F(PartitionLocks, HoldUpTheSnapshotAlone) {
  settings().table("public.p", "");
  settings().set("snapshot", "chunk_rows", "20");
  start();
  wait_until([&] { return js().count("CDC", "cdc.public.p.snapshot") >= 40; }, seconds(60), "rows");
  PgSession locker = postgres_.connect();
  locker.exec("BEGIN; LOCK TABLE p1 IN ACCESS EXCLUSIVE MODE");
  wait_until([&] { return says(walferry_.log(), "trying again in"); }, seconds(60),
             "the reader has given up waiting");
  expect_changes_of_others();
  locker.exec("COMMIT");
  wait_words(1);
}

TEST_F(PartitionLocks, DoNotHoldUpTheLookAtTheTables) {
  settings().table("public.p");
  start();
  PgSession locker = postgres_.connect();
  locker.exec("BEGIN; LOCK TABLE p1 IN ACCESS EXCLUSIVE MODE");
  walferry_.send(SIGHUP);
  wait_until([&] { return says(walferry_.log(), "looking at the tables again"); }, seconds(30),
             "the look");
  expect_changes_of_others();
  locker.exec("COMMIT");
}

}  // namespace
}  // namespace scenarios
