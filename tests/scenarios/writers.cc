// One writer. Two walferrys share a slot as worker and hot standby; a stopped worker that wakes up
// behind its successor's back changes nothing; a foreign publisher in the stream is noticed, named,
// and nothing beyond the hole that it made is confirmed.
#include <set>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Writers : public Scenario {
 protected:
  explicit Writers(PostgresOptions postgres = {})
      : Scenario(std::move(postgres)), standby_(walferry_binary(), walferry_.settings()) {}
  void SetUp() override {
    create_load_tables();
    settings().set("source", "replay_window", "\"0\"");
    standby_.settings() = settings();
  }
  void TearDown() override {
    Scenario::TearDown();
    if (HasFailure()) {
      std::cout << "the standby's log:\n" << standby_.all_logs() << std::endl;
    }
  }
  std::string reader_of_the_slot() {
    return postgres_.value(
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = "
        "'walferry' AND active");
  }
  void wait_for_another_reader(const std::string& than, Milliseconds deadline) {
    wait_until(
        [&] {
          const std::string now = reader_of_the_slot();
          return !now.empty() && now != than;
        },
        deadline, "another walferry reads the slot");
  }

  Walferry standby_;
};

TEST_F(Writers, TheSecondWaitsAndTakesOverWhenTheFirstIsKilled) {
  start();
  const std::string first = reader_of_the_slot();
  standby_.start();
  Load load(postgres_.conninfo());
  load.wait_for_more(100);
  EXPECT_TRUE(
      stays_true([&] { return standby_.running() && reader_of_the_slot() == first; }, seconds(2)));
  walferry_.kill_hard();
  const auto begin = Clock::now();
  wait_for_another_reader(first, seconds(30));
  // 3 s are promised; four tests at once on two cores take longer.
  EXPECT_LT(Clock::now() - begin, scaled<Milliseconds>(seconds(6), seconds(3)));
  load.wait_for_more(100);
  load.stop();
  wait_complete();
  expect_slot_reaches_end();
  standby_.stop();
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

TEST_F(Writers, RolesPassBackAndForthUnderLoad) {
  start();
  standby_.start();
  Load load(postgres_.conninfo());
  for (int i = 0; i < scaled(4, 20); ++i) {
    load.wait_for_more(40);
    Walferry& one = i % 2 == 0 ? walferry_ : standby_;
    one.kill_hard();
    one.start();
  }
  load.wait_for_more(40);
  load.stop();
  wait_complete(seconds(90));
  walferry_.stop();
  standby_.stop();
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

TEST_F(Writers, TwoStartedAtOnceOnAFreshDatabaseBecomeWorkerAndStandby) {
  watch();
  walferry_.start();
  standby_.start();
  wait_streaming();
  Load load(postgres_.conninfo());
  load.wait_for_more(150);
  load.stop();
  wait_complete();
  EXPECT_TRUE(walferry_.running());
  EXPECT_TRUE(standby_.running());
  walferry_.stop();
  standby_.stop();
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

TEST_F(Writers, SigtermOfTheStandbyEndsItWithZero) {
  start();
  standby_.start();
  EXPECT_TRUE(stays_true([&] { return standby_.running(); }, seconds(1)));
  standby_.stop();
  EXPECT_TRUE(walferry_.running());
}

// A start refuses a configured table that is missing and one that belongs to somebody else. A
// standby has started long ago.
TEST_F(Writers, AStandbyTakesOverWhateverBecameOfTheTables) {
  exec(
      "CREATE ROLE ferry LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO ferry;"
      "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO ferry;"
      "CREATE TABLE app.t (id int PRIMARY KEY); ALTER TABLE app.t OWNER TO ferry;"
      "CREATE TABLE app.dropped (id int PRIMARY KEY); ALTER TABLE app.dropped OWNER TO ferry");
  for (Walferry* one : {&walferry_, &standby_}) {
    one->settings()
        .no_tables()
        .table("app.*")
        .table("app.dropped")
        .set_string("source", "dsn", postgres_.conninfo("ferry"));
  }
  start();
  standby_.start();
  wait_until([&] { return says(standby_.log(), "standing by"); }, seconds(30), "it stands by");
  exec("DROP TABLE app.dropped; CREATE TABLE app.foreign_owned (id int PRIMARY KEY)");
  const std::string first = reader_of_the_slot();
  walferry_.kill_hard();
  wait_for_another_reader(first, seconds(30));
  exec("INSERT INTO app.t VALUES (1)");
  wait_stored(1);
  EXPECT_TRUE(says(standby_.log(), "app.dropped")) << standby_.log();
  EXPECT_TRUE(says(standby_.log(), "app.foreign_owned")) << standby_.log();
  standby_.stop();
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
  // A start does refuse them.
  EXPECT_EQ(walferry_.run_to_exit().exit.code, 3);
}

TEST_F(Writers, AStandbyLooksAtItsConfigurationWhileItWaits) {
  const auto said = [&](const std::string& words) {
    return becomes_true([&] { return says(standby_.log(), words); }, seconds(30));
  };
  exec("CREATE TABLE added (id int PRIMARY KEY)");
  start();
  standby_.start();
  ASSERT_TRUE(said("standing by"));
  write_file(standby_.config_file(), "[source\n");
  standby_.send(SIGHUP);
  EXPECT_TRUE(said("the changed configuration is not taken, the old one stays")) << standby_.log();
  EXPECT_TRUE(standby_.running());
  standby_.settings().table("public.added");
  write_file(standby_.config_file(), standby_.settings().to_toml());
  standby_.send(SIGHUP);
  EXPECT_TRUE(said("has changed: [nats] and [log] hold at once")) << standby_.log();
  const std::string first = reader_of_the_slot();
  walferry_.kill_hard();
  wait_for_another_reader(first, seconds(30));
  ASSERT_TRUE(said("settling what is in flight, and going on with it")) << standby_.log();
  wait_until(
      [&] {
        return postgres_.value(
                   "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'added'") == "1";
      },
      seconds(30), "it is published");
  exec("INSERT INTO added VALUES (1)");
  wait_until([&] { return js().count("CDC", "cdc.public.added.insert") == 1; }, seconds(30),
             "its record");
  standby_.stop();
}

class StoppedWriters : public Writers {
 protected:
  StoppedWriters() : Writers({.settings = {"wal_sender_timeout=1s"}}) {}

  void stop_wake_and_expect_all(Load& load) {
    const std::string first = reader_of_the_slot();
    walferry_.suspend();
    wait_for_another_reader(first, seconds(40));
    const auto before = stored_records();
    wait_until([&] { return stored_records() > before + 50; }, seconds(60),
               "the successor publishes");
    walferry_.resume();
    load.wait_for_more(150);
    load.stop();
    wait_complete();
    EXPECT_TRUE(walferry_.running()) << "the first one stands by now";
    EXPECT_TRUE(standby_.running());
    walferry_.stop();
    standby_.stop();
    EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
  }
};

TEST_F(StoppedWriters, AStoppedWorkerThatIsContinuedAfterTheTakeOverDoesNoHarm) {
  start();
  standby_.start();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1)});
  load.wait_for_more(100);
  stop_wake_and_expect_all(load);
}

TEST_F(StoppedWriters, AWorkerStoppedInTheMiddleOfAHugeTransactionDoesNoHarm) {
  start();
  standby_.start();
  Load load(postgres_.conninfo(), {.writers = 1});
  exec("INSERT INTO load_d SELECT -i, 'row' FROM generate_series(1, 30000) i");
  wait_until([&] { return stored_records() > 500; }, seconds(30), "it is under way");
  stop_wake_and_expect_all(load);
}

class ForeignWriter : public Writers {
 protected:
  // Publishes into walferry's stream until walferry ends, as fast as answers come.
  std::uint64_t publish_foreign() {
    const auto ack = js().publish("cdc.public.load_a.insert", "{\"not\":\"ours\"}");
    return ack.value("seq", std::uint64_t{0});
  }
  // The first position that is missing before one of the same transaction that is stored.
  std::string first_hole() {
    std::string transaction;
    std::uint64_t expected = 0;
    for (const auto& stored : js().read("CDC")) {
      const auto id = stored.headers.find("Nats-Msg-Id");
      if (id == stored.headers.end() || id->second.ends_with(":schema")) continue;
      const std::string position = id->second.substr(id->second.find(':') + 1);
      const std::string lsn = position.substr(0, 16);
      expected = lsn == transaction ? expected + 1 : 1;
      transaction = lsn;
      std::string wanted = lsn + ":" + std::to_string(expected);
      if (position != wanted) return wanted;
    }
    return "";
  }
  // The slot may be confirmed only before the first change that is missing in the stream.
  void expect_nothing_beyond_a_hole_is_confirmed() {
    std::set<std::string> ids;
    for (const auto& stored : js().read("CDC")) {
      if (stored.headers.contains("Nats-Msg-Id")) {
        const std::string& id = stored.headers.at("Nats-Msg-Id");
        EXPECT_TRUE(ids.insert(id).second) << id << " is there twice";
      }
    }
    const std::uint64_t confirmed = postgres_.confirmed_flush("walferry");
    for (const auto& transaction : oracle_->read()) {
      std::size_t stored = 0;
      for (const auto& id : ids) {
        const auto position = std::stoull(id.substr(id.find(':') + 1, 16), nullptr, 16);
        stored += position < transaction.end_lsn && position >= previous_end_ ? 1U : 0U;
      }
      previous_end_ = transaction.end_lsn;
      if (stored < transaction.changes.size()) {
        EXPECT_LT(confirmed, transaction.end_lsn)
            << "only " << stored << " of " << transaction.changes.size() << " are stored";
        return;
      }
    }
  }

  void expect_a_hole_is_named() {
    start();
    exec("INSERT INTO load_d SELECT -i, 'row' FROM generate_series(1, 60000) i");
    wait_until([&] { return stored_records() > 300; }, seconds(30), "it is under way");
    std::string hole;
    for (int i = 0; i < 20 && hole.empty(); ++i) {
      const std::uint64_t sequence = publish_foreign();
      const std::string error = errors_in(expect_exit(4));
      EXPECT_TRUE(names_number(error, sequence)) << sequence << " is not named: " << error;
      hole = first_hole();
      if (hole.empty()) {  // nothing was under way just then
        start({"--accept-gap"});
        wait_until([&] { return js().last_sequence("CDC") > sequence + 300; }, seconds(60),
                   "it is under way again");
      } else {
        EXPECT_NE(error.find(hole), std::string::npos) << hole << " is not named: " << error;
      }
    }
    EXPECT_FALSE(hole.empty()) << "no foreign message took the place of one of walferry's";
    expect_nothing_beyond_a_hole_is_confirmed();
  }

  std::uint64_t previous_end_ = 0;
};

TEST_F(ForeignWriter, AMessageAtTheEndOfAnIdleStreamStopsWithItsSequence) {
  start();
  exec("INSERT INTO load_d VALUES (1), (2), (3)");
  wait_stored(3);
  const std::uint64_t sequence = publish_foreign();
  ASSERT_EQ(sequence, 5U) << "the shape and three rows stand before it";
  exec("INSERT INTO load_d VALUES (4)");
  const std::string log = expect_exit(4);
  EXPECT_TRUE(names_number(log, sequence)) << log;
  expect_nothing_beyond_a_hole_is_confirmed();
  // It does not go away by trying again.
  const Finished again = walferry_.run_to_exit();
  EXPECT_EQ(again.exit.code, 4);
  EXPECT_TRUE(names_number(again.err, sequence)) << again.err;
  EXPECT_EQ(js().last_sequence("CDC"), sequence);
}

TEST_F(ForeignWriter, AMessageInTheMiddleOfThePipelineStopsWithItsSequenceAndHidesNoHole) {
  expect_a_hole_is_named();
}

// All that is in flight is stored behind the foreign message, and the hole lies just before it.
TEST_F(ForeignWriter, AMessageBeforeAllThatIsInFlightHidesNoHole) {
  settings().set("publish", "max_in_flight", "32");
  expect_a_hole_is_named();
}

}  // namespace
}  // namespace scenarios
