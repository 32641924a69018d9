// What polling does when one of the sides is not what it was: the stream or the saved position goes
// back, the stream is made anew, the server is another one, was put back, or was promoted.
#include "tests/scenarios/outbox_rig.h"

namespace scenarios {
namespace {

class OutboxPollBack : public OutboxScenario {
 protected:
  void SetUp() override {
    OutboxScenario::SetUp();
    publish_outbox("poll", "poll_interval = \"100ms\"\n");
  }
  // Each statement's events are a batch of their own.
  void publish(const std::vector<std::string>& batches) {
    for (const std::string& sql : batches) {
      exec(sql);
      EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
    }
  }
  std::vector<std::string> ids() {
    std::vector<std::string> all;
    for (const Stored& stored : events()) {
      all.push_back(stored.headers.at("Nats-Msg-Id") + " " +
                    stored.headers.at("Walferry-Event-Id"));
    }
    return all;
  }
  void save_nats() {
    nats_.stop();
    nats_.save_store("before");
    nats_.start();
  }
  // As after a power failure.
  void put_nats_back(const std::string& stream = "") {
    nats_.stop();
    if (stream.empty()) {
      nats_.restore_store("before");
    } else {
      nats_.restore_stream("before", stream);
    }
    nats_.start();
  }
  Finished once(std::vector<std::string> more = {}) {
    more.insert(more.begin(), "--once");
    return walferry_.run_to_exit(more);
  }
};

TEST_F(OutboxPollBack, WhatTheStreamHasLostIsPublishedAgainUnderTheSameIds) {
  publish({event("1") + event("2")});
  save_nats();
  publish({event("3") + event("4") + event("5"), event("6")});
  const auto before = ids();
  ASSERT_EQ(before.size(), 6U);
  put_nats_back("CDC");
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_TRUE(says(finished.err, "JetStream has lost acknowledged messages")) << finished.err;
  EXPECT_EQ(ids(), before);
  publish({event("7")});
  EXPECT_EQ(ids().back(), "walferry:4:poll:1 7");
}

TEST_F(OutboxPollBack, ALossWithinABatchIsMendedFromItsMiddle) {
  settings().set("publish", "max_in_flight", "1");
  exec(event("1") + event("2") + event("3") + event("4"));
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:3"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  ASSERT_EQ(js().message_count("CDC"), 2U);
  save_nats();
  publish({"SELECT 1", event("5")});
  const auto before = ids();
  ASSERT_EQ(before.size(), 5U);
  put_nats_back("CDC");
  EXPECT_EQ(once().exit.code, 0);
  EXPECT_EQ(ids(), before);
}

TEST_F(OutboxPollBack, WhatIsLostAndNoLongerInTheTableIsAGap) {
  publish({event("1")});
  save_nats();
  publish({event("2") + event("3"), event("4")});
  put_nats_back("CDC");
  exec("DELETE FROM outbox WHERE id = 3");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "2 events of batch 2")) << refused.err;
  EXPECT_EQ(events().size(), 1U);
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:1:poll:1 1", "walferry:2:poll:1 2",
                                             "walferry:3:poll:1 4"}));
}

TEST_F(OutboxPollBack, ASavedPositionThatGoesBackIsReadFromTheStream) {
  publish({event("1")});
  save_nats();
  publish({event("2"), event("3") + event("4")});
  const auto before = ids();
  put_nats_back("KV_walferry");
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(ids(), before);
  publish({event("5")});
  EXPECT_EQ(ids().back(), "walferry:4:poll:1 5");
}

TEST_F(OutboxPollBack, BothGoBackTogether) {
  publish({event("1")});
  save_nats();
  publish({event("2"), event("3")});
  put_nats_back();
  EXPECT_EQ(once().exit.code, 0);
  const auto now = ids();
  ASSERT_EQ(now.size(), 3U);
  EXPECT_TRUE(now[1].ends_with(" 2"));
  EXPECT_TRUE(now[2].ends_with(" 3"));
}

TEST_F(OutboxPollBack, AnExpiredStreamIsNoLoss) {
  publish({event("1") + event("2")});
  js().purge("CDC");
  publish({event("3")});
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:2:poll:1 3"}));
  // Purged within a batch: what counts is how many messages there were.
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:3"});
  exec(event("4") + event("5") + event("6"));
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  const std::uint64_t stored = js().last_sequence("CDC") - 3;
  js().purge("CDC");
  publish({"SELECT 1"});
  const auto now = ids();
  ASSERT_EQ(now.size(), 3 - stored);
  EXPECT_EQ(now.back(), "walferry:3:poll:3 6");
}

// Ids are counted as ids, not as texts.
TEST_F(OutboxPollBack, AnExpiredStreamIsNoLossWithinALongBatch) {
  publish({event("1")});
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:" + std::to_string(200)});
  std::string all;
  for (int i = 2; i <= 321; ++i) all += event(std::to_string(i % 8));
  exec(all);
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  const std::uint64_t stored = js().last_sequence("CDC") - 1;
  EXPECT_GT(stored, 12U);
  js().purge("CDC");
  publish({"SELECT 1"});
  const auto now = ids();
  ASSERT_EQ(now.size(), 320 - stored);
  for (std::size_t i = 0; i < now.size(); ++i) {
    EXPECT_EQ(now[i], "walferry:2:poll:" + std::to_string(stored + i + 1) + " " +
                          std::to_string(stored + i + 2));
  }
}

TEST_F(OutboxPollBack, AnOutboxThatLeavesWithinABatchIsWaitedFor) {
  exec("CREATE TABLE more (LIKE outbox INCLUDING ALL)");
  const Settings without = settings();
  settings().raw("[[outbox]]\ntable = \"public.more\"\ncapture = \"poll\"\n");
  exec(
      "INSERT INTO more (aggregate_type, aggregate_id, event_type, payload) "
      "VALUES ('o', '1', 'new', '{}')");
  const Settings with = settings();
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:2"});
  exec(event("1") + event("2") + event("3"));
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  settings() = without;
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 2) << refused.err;
  EXPECT_TRUE(says(refused.err, "public.more is not in the configuration any more")) << refused.err;
  settings() = with;
  EXPECT_EQ(once().exit.code, 0);
  EXPECT_EQ(events().size(), 4U);
  settings() = without;
  EXPECT_EQ(once().exit.code, 0);
}

TEST_F(OutboxPollBack, AnEventThatTheOperatorDeletesIsNotPublishedAgain) {
  publish({event("1") + event("2")});
  js().delete_message("CDC", 2);
  publish({event("3")});
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:1:poll:1 1", "walferry:2:poll:1 3"}));
}

TEST_F(OutboxPollBack, AStreamThatWasDeletedIsALostPosition) {
  publish({event("1")});
  js().delete_stream("CDC");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_FALSE(js().stream("CDC"));
  const Finished accepted = once({"--accept-gap"});
  EXPECT_EQ(accepted.exit.code, 0) << accepted.err;
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:2:poll:1 1"}));
}

TEST_F(OutboxPollBack, AStreamWithoutASavedPositionIsALostPosition) {
  publish({event("1")});
  js().delete_stream("KV_walferry");
  EXPECT_EQ(once().exit.code, 4);
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  EXPECT_EQ(ids().back(), "walferry:2:poll:1 1");
}

TEST_F(OutboxPollBack, AForeignMessageIsNamed) {
  publish({event("1")});
  js().publish("events.a.b", "foreign");
  exec(event("2"));
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "from sequence 2 on")) << refused.err;
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  publish({event("3")});
  EXPECT_EQ(js().message_count("CDC"), 4U);
}

TEST_F(OutboxPollBack, AForeignMessageWhileItRunsEndsIt) {
  walferry_.start();
  exec(event("1"));
  wait_events(1);
  js().publish("events.a.b", "foreign");
  exec(event("2"));
  EXPECT_EQ(walferry_.wait_exit().code, 4) << walferry_.log();
  EXPECT_TRUE(says(walferry_.log(), "from sequence 2 on")) << walferry_.log();
}

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

TEST_F(OutboxPollBack, AServerThatWasPutBackIsALostPosition) {
  publish({event("1")});
  postgres_.stop();
  const auto earlier = postgres_.clone();
  postgres_.start();
  publish({event("2") + event("3")});
  postgres_.stop();
  earlier->start();
  settings().set_string("source", "dsn", earlier->conninfo());
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "put back to an earlier state")) << refused.err;
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

}  // namespace
}  // namespace scenarios
