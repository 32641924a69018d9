// Rows that are deleted after they were published: never before a replay_window has passed, never
// one that no batch had, and nothing is lost by it, whoever is killed when.
#include <random>

#include "tests/scenarios/outbox_rig.h"

namespace scenarios {
namespace {

class OutboxPollRemoval : public OutboxScenario {
 protected:
  void remove(const std::string& replay_window) {
    publish_outbox("poll", "delete_after_publish = true\npoll_interval = \"100ms\"\n");
    settings().set("source", "replay_window", "\"" + replay_window + "\"");
    be_a_reader_only(true);
  }
  std::uint64_t rows() { return std::stoull(postgres_.value("SELECT count(*) FROM outbox")); }
};

TEST_F(OutboxPollRemoval, RowsGoWhenTheirTimeIsOverButThoseOfTheNewestBatch) {
  remove("0");
  exec(event("1") + event("2"));
  walferry_.start();
  wait_events(2);
  exec(event("3"));
  wait_events(3);
  wait_until([&] { return rows() == 1; }, seconds(30), "the first batch's rows are deleted");
  EXPECT_TRUE(stays_true([&] { return rows() == 1; }, seconds(2)));
  exec(event("4"));
  wait_events(4);
  wait_until([&] { return postgres_.value("SELECT min(id) FROM outbox") == "4"; }, seconds(30),
             "the second batch's row is deleted");
  walferry_.stop();
  EXPECT_EQ(events().size(), 4U);
}

// What is due in one table says nothing of another that joins later.
TEST_F(OutboxPollRemoval, ATableThatIsAddedLosesNothingThatWasNotPublished) {
  remove("0");
  exec(event("1"));
  walferry_.run_to_exit({"--once"});
  for (int i = 2; i < 5; ++i) {
    exec(event(std::to_string(i)));
    walferry_.run_to_exit({"--once"});
  }
  exec(
      "CREATE TABLE added (LIKE outbox INCLUDING ALL); GRANT SELECT, DELETE ON added TO poller; "
      "INSERT INTO added (aggregate_type, aggregate_id, event_type, payload) "
      "VALUES ('o', '1', 'new', '{}'), ('o', '1', 'new', '{}'), ('o', '1', 'new', '{}')");
  settings().raw(
      "[[outbox]]\ntable = \"public.added\"\ncapture = \"poll\"\n"
      "delete_after_publish = true\n");
  const Finished finished = walferry_.run_to_exit({"--once"});
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(events().size(), 7U) << finished.err;
}

// The row is waited for, and is another event when it is free.
TEST_F(OutboxPollRemoval, ARowThatBecomesAnEventAnewStays) {
  remove("0");
  exec(event("1"));
  walferry_.start();
  wait_events(1);
  PgSession operator_session = postgres_.connect();
  operator_session.exec(
      "BEGIN; UPDATE outbox SET xid = DEFAULT, payload = '{\"again\": 1}' WHERE id = 1");
  exec(event("2"));
  wait_events(2);
  wait_until(
      [&] {
        return postgres_.value(
                   "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = "
                   "'Lock' AND query LIKE 'DELETE FROM%'") == "1";
      },
      seconds(30), "the removal waits for the row");
  operator_session.exec("COMMIT");
  wait_events(3);
  exec(event("3"));
  wait_events(4);
  walferry_.stop();
  EXPECT_EQ(events()[2].headers.at("Walferry-Event-Id"), "1");
  EXPECT_EQ(events()[2].payload, R"({"again": 1})");
}

// A foreign key, say: the events go on, and it is said, without a row's key.
TEST_F(OutboxPollRemoval, RowsThatMayNotBeDeletedHoldUpOnlyTheRemoval) {
  remove("0");
  exec("CREATE TABLE refers (id bigint REFERENCES outbox)");
  exec(event("1"));
  exec("INSERT INTO refers VALUES (1)");
  walferry_.start();
  wait_events(1);
  exec(event("2"));
  wait_until([&] { return says(walferry_.log(), "cannot be deleted"); }, seconds(30), "it is said");
  exec(event("3"));
  wait_events(3);
  EXPECT_FALSE(says(walferry_.log(), "(id)=(1)")) << walferry_.log();
  walferry_.stop();
}

TEST_F(OutboxPollRemoval, NothingGoesWithinTheReplayWindow) {
  remove("1h");
  exec(event("1"));
  walferry_.start();
  wait_events(1);
  exec(event("2"));
  wait_events(2);
  EXPECT_TRUE(stays_true([&] { return rows() == 2; }, seconds(2)));
}

TEST_F(OutboxPollRemoval, ARowThatIsNotYetVisibleStays) {
  remove("0");
  PgSession slow = postgres_.connect();
  slow.exec("BEGIN;" + event("slow"));
  exec(event("1"));
  walferry_.start();
  wait_events(1);
  exec(event("2"));
  wait_events(2);
  wait_until([&] { return rows() == 1; }, seconds(30), "the first batch's row is deleted");
  slow.exec("COMMIT");
  wait_events(3);
  EXPECT_EQ(events()[2].headers.at("Walferry-Event-Id"), "1");
  exec(event("3"));
  wait_events(4);
  wait_until([&] { return rows() == 1; }, seconds(30), "all but the newest are deleted");
}

TEST_F(OutboxPollRemoval, ALockOnTheTableHoldsUpOnlyTheRemoval) {
  remove("0");
  exec(event("1"));
  walferry_.start();
  wait_events(1);
  PgSession locker = postgres_.connect();
  locker.exec("BEGIN; SELECT 1 FROM outbox WHERE id = 1 FOR UPDATE");
  exec(event("2"));
  wait_events(2);
  exec(event("3"));
  wait_events(3);
  locker.exec("COMMIT");
  wait_until([&] { return rows() == 1; }, seconds(30), "all but the newest are deleted");
  EXPECT_FALSE(says(walferry_.log(), "trying again")) << walferry_.log();
}

TEST_F(OutboxPollRemoval, KilledAgainAndAgainWhileWritersGoOn) {
  remove("0");
  add_aggregates();
  OutboxWriters writers(postgres_.conninfo());
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < scaled(5, 20); ++i) {
    const bool within_removal = i % 2 == 1;
    walferry_.start({}, within_removal ? std::vector<std::string>{"WALFERRY_FAILPOINT="
                                                                  "before_removal:1"}
                                       : std::vector<std::string>{});
    if (within_removal) {
      EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
      continue;
    }
    wait_events(js().message_count("CDC") + 1 + random() % 60);
    walferry_.kill_hard();
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  }
  walferry_.start();
  writers.wait_for_more(50);
  writers.stop();
  wait_events(expected_events());
  exec(
      "UPDATE aggregates SET events = events + 1 WHERE id = 1; INSERT INTO outbox (aggregate_type,"
      " aggregate_id, event_type, payload) SELECT 'order', '1', 'last', jsonb_build_object('a', 1,"
      " 'v', events) FROM aggregates WHERE id = 1");
  wait_events(expected_events());
  wait_until([&] { return rows() == 1; }, seconds(60), "all but the newest batch is deleted");
  walferry_.stop();
  expect_every_event_once();
}

}  // namespace
}  // namespace scenarios
