// What polling does when the server is not what it was: another one, one that was put back to an
// earlier state, one that was promoted.
#include "tests/scenarios/outbox_poll_rig.h"

namespace scenarios {
namespace {

TEST_F(OutboxPollBack, AnotherServerIsALostPosition) {
  publish({event("1")});
  PostgresCluster other({.own_system = true});
  other.exec(source_file("outbox/schema.sql"));
  settings().set_string("source", "dsn", other.conninfo());
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "the server is another one")) << refused.err;
  other.exec(event("2"));
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:1:poll:1 1", "walferry:2:poll:1 1"}));
}

class OutboxPollPutBack : public OutboxPollBack {
 protected:
  // Event 1 is there; those of the batches were published, and are gone.
  void put_server_back(const std::vector<std::string>& batches) {
    publish({event("1")});
    postgres_.stop();
    earlier_ = postgres_.clone();
    postgres_.start();
    publish(batches);
    postgres_.stop();
    earlier_->start();
    settings().set_string("source", "dsn", earlier_->conninfo());
  }
  std::unique_ptr<PostgresCluster> earlier_;
};

TEST_F(OutboxPollPutBack, IsALostPosition) {
  put_server_back({event("2") + event("3")});
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "put back to an earlier state")) << refused.err;
}

// Its newest batch is still there in part, by number: the second event has the id and the
// transaction of one that was published.
TEST_F(OutboxPollPutBack, AndGoneOnIsALostPosition) {
  put_server_back({event("2") + event("3")});
  for (int i = 0; i < 5; ++i) earlier_->exec(event("other"));
  // Further than the other ever was.
  earlier_->exec("SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "other rows than those that batch 2 was published from"))
      << refused.err;
  EXPECT_EQ(events().size(), 3U);
  const Finished accepted = once({"--accept-gap"});
  EXPECT_EQ(accepted.exit.code, 0) << accepted.err;
  EXPECT_EQ(events().size(), 9U) << "all that are there";
  EXPECT_EQ(once().exit.code, 0);
}

TEST_F(OutboxPollBack, WhatTheApplicationDeletesIsNoServerThatWasPutBack) {
  publish({event("1") + event("2") + event("3")});
  exec("DELETE FROM outbox WHERE id = 2");
  EXPECT_EQ(once().exit.code, 0);
  exec("DELETE FROM outbox");
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  publish({event("4")});
  EXPECT_EQ(events().size(), 4U);
}

TEST_F(OutboxPollBack, AColumnThatIsAddedToTheRowsIsNoServerThatWasPutBack) {
  exec("ALTER TABLE outbox DROP COLUMN created_at");
  publish({event("1") + event("2")});
  exec("ALTER TABLE outbox ADD COLUMN created_at timestamptz NOT NULL DEFAULT now()");
  publish({event("3")});
  EXPECT_EQ(events().size(), 3U);
}

TEST_F(OutboxPollPutBack, WhatWasAcceptedIsNotAskedForAgain) {
  put_server_back({event("2"), event("3")});
  earlier_->exec("DELETE FROM outbox");
  EXPECT_EQ(once().exit.code, 4);
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  EXPECT_EQ(once().exit.code, 0);
  earlier_->exec(event("4"));
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(ids().back(), "walferry:4:poll:1 2");
}

// WAL of such a commit is written ten seconds later, if nobody else commits.
class OutboxPollAsynchronous : public OutboxPollBack {
 protected:
  OutboxPollAsynchronous() : OutboxPollBack({.settings = {"wal_writer_delay=10s"}}) {}
};

TEST_F(OutboxPollAsynchronous, WhatIsPublishedOutlivesACrashOfTheServer) {
  be_a_reader_only();
  publish({event("1"), "SET synchronous_commit = off;" + event("2")});
  ASSERT_EQ(events().size(), 2U);
  postgres_.stop_immediately();
  postgres_.start();
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM outbox"), "2");
  publish({event("3")});
  EXPECT_EQ(events().size(), 3U);
}

class OutboxPollPromoted : public OutboxPollBack {
 protected:
  // A standby with all that is there now.
  void make_standby() {
    postgres_.stop();
    standby_ = postgres_.clone();
    standby_->be_standby();
    postgres_.start();
  }
  void fail_over() {
    standby_->start();
    standby_->promote();
    settings().set_string("source", "dsn", standby_->conninfo());
  }
  std::unique_ptr<PostgresCluster> standby_;
};

TEST_F(OutboxPollPromoted, APromotedStandbyThatHasAllGoesOn) {
  publish({event("1"), event("2") + event("3")});
  make_standby();
  postgres_.stop();
  fail_over();
  standby_->exec(event("4"));
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(events().size(), 4U);
  EXPECT_EQ(ids().back(), "walferry:3:poll:1 4");
}

// Its transactions' numbers are given again, to other rows.
TEST_F(OutboxPollPromoted, NumbersThatItGivesAgainAreSeenAgain) {
  publish({event("1")});
  make_standby();
  // Nothing of the outbox: only later numbers are used up.
  for (int i = 0; i < 20; ++i) exec("SELECT pg_current_xact_id()");
  publish({"SELECT 1"});
  postgres_.stop();
  fail_over();
  for (int i = 2; i < 8; ++i) standby_->exec(event(std::to_string(i)));
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(events().size(), 7U);
}

TEST_F(OutboxPollPromoted, APromotedStandbyThatLacksWhatWasPublishedIsALostPosition) {
  publish({event("1")});
  make_standby();
  publish({event("2")});
  postgres_.stop();
  fail_over();
  for (int i = 0; i < 20; ++i) standby_->exec("SELECT pg_current_xact_id()");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "promoted without its predecessor's last transactions"))
      << refused.err;
  standby_->exec(event("3"));
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  EXPECT_TRUE(ids().back().starts_with("walferry:3:poll:"));
}

// The open batch holds nothing but a transaction that was late: its highest number is that of the
// batch before, which is the one that the standby lacks.
TEST_F(OutboxPollPromoted, ABatchOfLateTransactionsDoesNotHideTheOneBefore) {
  publish({event("1")});
  make_standby();
  PgSession slow = postgres_.connect();
  slow.exec("BEGIN;" + event("slow"));
  publish({event("2")});
  slow.exec("COMMIT");
  walferry_.start({}, {"WALFERRY_FAILPOINT=batch_saved"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  postgres_.stop();
  fail_over();
  for (int i = 0; i < 6; ++i) standby_->exec(event("other"));
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "of the 1 events of batch 2 that were published it has others"))
      << refused.err;
}

// As many rows under the same numbers as in a batch that was gone on with in its middle.
TEST_F(OutboxPollPromoted, ABatchThatWasGoneOnWithIsComparedToo) {
  settings().set("publish", "max_in_flight", "1");
  publish({event("1")});
  make_standby();
  exec(event("1") + event("2") + event("3"));
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:2"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  publish({"SELECT 1"});
  ASSERT_EQ(events().size(), 4U);
  postgres_.stop();
  fail_over();
  standby_->exec(event("x") + event("y") + event("z"));
  standby_->exec(event("later"));
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "it has others")) << refused.err;
}

TEST_F(OutboxPollPromoted, ATableThatHasLeftIsNoGap) {
  exec("CREATE TABLE more (LIKE outbox INCLUDING ALL)");
  const Settings without = settings();
  settings().raw("[[outbox]]\ntable = \"public.more\"\ncapture = \"poll\"\n");
  publish({"INSERT INTO more (aggregate_type, aggregate_id, event_type) VALUES ('o', '1', 'e');" +
           event("1")});
  settings() = without;
  publish({"SELECT 1"});
  make_standby();
  postgres_.stop();
  fail_over();
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_TRUE(says(finished.err, "was not looked at")) << finished.err;
}

}  // namespace
}  // namespace scenarios
