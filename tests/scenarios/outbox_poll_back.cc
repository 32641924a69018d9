// What polling does when NATS is not what it was: the stream or the saved position goes back, the
// stream is made anew or has expired.
#include "tests/scenarios/outbox_poll_rig.h"

namespace scenarios {
namespace {

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
  const Finished checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 4) << checked.out;
  EXPECT_TRUE(says(checked.out, "2 events of batch 2")) << checked.out;
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

// Nothing says what the second message was.
TEST_F(OutboxPollBack, ASavedPositionThatGoesBackBehindAnEmptyStreamIsALostPosition) {
  publish({event("1")});
  save_nats();
  publish({event("2")});
  put_nats_back("KV_walferry");
  js().purge("CDC");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "has had 2 messages, of which the saved position knows 1"))
      << refused.err;
  EXPECT_TRUE(events().empty());
}

TEST_F(OutboxPollBack, TheVeryFirstBatchIsReadFromTheStreamToo) {
  publish({"SELECT 1"});
  save_nats();
  publish({event("1")});
  put_nats_back("KV_walferry");
  const Finished finished = once();
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:1:poll:1 1"}));
}

// Whose rows were published is not known then.
TEST_F(OutboxPollBack, ASavedPositionFromBeforeATableJoinedIsALostPosition) {
  exec("CREATE TABLE more (LIKE outbox INCLUDING ALL)");
  publish({event("1")});
  save_nats();
  settings().raw("[[outbox]]\ntable = \"public.more\"\ncapture = \"poll\"\n");
  publish({"INSERT INTO more (aggregate_type, aggregate_id, event_type) VALUES ('o', '1', 'e')",
           event("2")});
  put_nats_back("KV_walferry");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "stream CDC holds batch 3")) << refused.err;
  EXPECT_EQ(events().size(), 3U);
}

// Two of five are published, expire, and are deleted: counted from the first that is left, the
// third and the fourth would be taken for them.
TEST_F(OutboxPollBack, RowsThatAreGoneAreNotCountedAsOthers) {
  settings().set("publish", "max_in_flight", "1");
  exec(event("1") + event("2") + event("3") + event("4") + event("5"));
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:3"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  ASSERT_EQ(js().last_sequence("CDC"), 2U);
  js().purge("CDC");
  exec("DELETE FROM outbox WHERE id <= 2");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_TRUE(says(refused.err, "2 of the 5 events of batch 1")) << refused.err;
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  EXPECT_EQ(ids(), (std::vector<std::string>{"walferry:1:poll:3 3", "walferry:1:poll:4 4",
                                             "walferry:1:poll:5 5"}));
}

TEST_F(OutboxPollBack, AStreamThatIsDeletedBehindAnAcceptedMessageIsALostPosition) {
  publish({event("1")});
  js().publish("events.a.b", "foreign");
  EXPECT_EQ(once({"--accept-gap"}).exit.code, 0);
  exec("DELETE FROM outbox");
  js().delete_stream("CDC");
  const Finished refused = once();
  EXPECT_EQ(refused.exit.code, 4) << refused.err;
  EXPECT_FALSE(js().stream("CDC"));
}

}  // namespace
}  // namespace scenarios
