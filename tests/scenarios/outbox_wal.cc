// An outbox from WAL: its rows are events, to the byte, beside the records of tables and in one
// order with them; what is no event stops walferry, and nothing is lost by it.
#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

const std::string columns =
    "(id bigserial PRIMARY KEY, aggregate_type text, aggregate_id text, event_type text, "
    "payload jsonb, headers jsonb)";

class OutboxWal : public Scenario {
 protected:
  void create_outbox(const std::string& definition, const std::string& more = "") {
    exec("CREATE TABLE outbox " + definition);
    settings().raw("[[outbox]]\ntable = \"public.outbox\"\n" + more);
  }
  std::vector<Stored> messages() { return js().read("CDC"); }
  std::vector<Stored> events() {
    std::vector<Stored> all = messages();
    std::erase_if(all, [](const Stored& one) { return !one.subject.starts_with("events."); });
    return all;
  }
  void wait_events(std::size_t count) {
    wait_until([&] { return !walferry_.running() || events().size() >= count; }, seconds(60),
               "the events are stored");
  }
  void update_stream(const std::function<void(nlohmann::json&)>& change) {
    auto config = js().stream("CDC")->at("config");
    change(config);
    js().api("STREAM.UPDATE.CDC", config);
  }
};

std::string header(const Stored& message, const std::string& name) {
  const auto found = message.headers.find(name);
  return found == message.headers.end() ? "(none)" : found->second;
}

TEST_F(OutboxWal, ARowIsAnEventToTheByte) {
  create_outbox(columns);
  settings().no_tables();
  start();
  exec(
      "INSERT INTO outbox VALUES (7, 'order', '42', 'paid', "
      "'{\"amount\": 12.30, \"who\": \"ü\"}', '{\"trace\": \"00-ab-01\", \"Nats-Msg-Id\": "
      "\"x\"}')");
  exec("INSERT INTO outbox VALUES (8, 'a.b *', '', '>', NULL, NULL)");
  wait_events(2);
  const auto all = events();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].subject, "events.order.paid");
  EXPECT_EQ(all[0].payload, "{\"who\": \"ü\", \"amount\": 12.30}") << "as jsonb prints it";
  EXPECT_EQ(header(all[0], "Walferry-Event-Id"), "7");
  EXPECT_EQ(header(all[0], "trace"), "00-ab-01");
  EXPECT_EQ(header(all[0], "%4Eats-Msg-Id"), "x");
  EXPECT_TRUE(header(all[0], "Nats-Msg-Id").starts_with("walferry:"));
  EXPECT_TRUE(header(all[0], "Walferry-Commit-Ts").ends_with("Z"));
  EXPECT_EQ(all[1].subject, "events.a%2Eb%20%2A.%3E");
  EXPECT_EQ(all[1].payload, "");
  walferry_.stop();
}

TEST_F(OutboxWal, BytesTextAndHstoreGoOutAsTheyAre) {
  exec("CREATE EXTENSION hstore");
  create_outbox(
      "(id uuid, aggregatetype text, aggregateid text, type text, payload bytea, meta hstore)",
      "headers = \"meta\"\nsubject = \"events.{aggregate_type}.{aggregate_id}.{type}\"");
  create_table("t", "id int PRIMARY KEY");
  exec("CREATE TABLE texts (id int, kind text, said text)");
  settings().raw(
      "[[outbox]]\ntable = \"public.texts\"\nsubject = \"events.said.{kind}\"\n"
      "payload = \"said\"");
  start();
  exec(
      "INSERT INTO outbox VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'o', '1', 'new', "
      "'\\x00ff0a', 'k=>\"v w\", n=>NULL')");
  exec("INSERT INTO texts VALUES (1, 'x', E' {\"a\":\\t1} \\n')");
  wait_events(2);
  const auto all = events();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].subject, "events.o.1.new");
  EXPECT_EQ(all[0].payload, std::string("\0\xff\n", 3));
  EXPECT_EQ(header(all[0], "Walferry-Event-Id"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  EXPECT_EQ(header(all[0], "k"), "v%20w");
  EXPECT_EQ(header(all[0], "n"), "%");
  EXPECT_EQ(all[1].subject, "events.said.x");
  EXPECT_EQ(all[1].payload, " {\"a\":\t1} \n");
  walferry_.stop();
}

TEST_F(OutboxWal, EventsAndRecordsShareOneStreamAndOneOrder) {
  create_table("t", "id int PRIMARY KEY, v text");
  create_outbox(columns);
  settings().raw("[[outbox]]\nmessage_prefix = \"outbox\"\nsubject = \"events.said.{event_type}\"");
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1, 'a'); "
      "INSERT INTO outbox VALUES (1, 'o', '1', 'new', '1', NULL); "
      "DELETE FROM outbox; "
      "SELECT pg_logical_emit_message(true, 'outbox', "
      "'{\"id\": 1, \"event_type\": \"x\", \"payload\": \"p\"}'); "
      "UPDATE t SET v = 'b'; COMMIT");
  exec(
      "INSERT INTO outbox VALUES (2, 'o', '1', 'old', '2', NULL); UPDATE outbox SET payload = '3'; "
      "TRUNCATE outbox");
  exec(
      "SELECT pg_logical_emit_message(false, 'outbox', "
      "'{\"id\": 2, \"event_type\": \"y\", \"payload\": {\"a\" : 1}}')");
  wait_events(4);
  std::vector<std::string> subjects;
  for (const Stored& one : messages()) subjects.push_back(one.subject);
  EXPECT_EQ(subjects,
            (std::vector<std::string>{"cdc._schema.public.t", "cdc.public.t.insert", "events.o.new",
                                      "events.said.x", "cdc.public.t.update", "events.o.old",
                                      "events.said.y"}));
  const auto all = events();
  ASSERT_EQ(all.size(), 4U);
  // The delete between them counts, as every change that Postgres sends does.
  EXPECT_TRUE(header(all[0], "Nats-Msg-Id").ends_with(":2"));
  EXPECT_TRUE(header(all[1], "Nats-Msg-Id").ends_with(":4"));
  EXPECT_EQ(all[1].payload, "p");
  EXPECT_EQ(all[3].payload, "{\"a\" : 1}");
  EXPECT_EQ(header(all[3], "Walferry-Commit-Ts"), "(none)");
  // Each of the other verbs knows them, or knows to leave them alone.
  const Finished verified = walferry_.verb({"verify"});
  EXPECT_EQ(verified.exit.code, 0) << verified.err << verified.out;
  EXPECT_EQ(walferry_.verb({"verify", "public.outbox"}).exit.code, 2);
  EXPECT_EQ(walferry_.verb({"snapshot", "public.outbox"}).exit.code, 2);
  TempDir dir;
  Process tail(Spawn{.argv = {walferry_binary(), "tail", "--last", "4", "--config",
                              walferry_.config_file(), "public.outbox"},
                     .stdout_file = dir.file("out"),
                     .stderr_file = dir.file("err")});
  EXPECT_TRUE(becomes_true(
      [&] {
        const std::string out = read_file(dir.file("out"));
        return says(out, "events.o.new") && says(out, "events.o.old");
      },
      seconds(30)))
      << read_file(dir.file("out")) << read_file(dir.file("err"));
  EXPECT_FALSE(says(read_file(dir.file("out")), "cdc."));
  tail.send(SIGTERM);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
  const Finished checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 0) << checked.out;
  EXPECT_TRUE(says(checked.out, "an outbox: each insert is an event")) << checked.out;
  const Finished sought = walferry_.verb({"seek", header(all[2], "Walferry-Commit-Ts"), "--json"});
  EXPECT_EQ(sought.exit.code, 0) << sought.err;
  EXPECT_EQ(nlohmann::json::parse(sought.out)["sequence"], all[2].sequence) << sought.out;
  walferry_.stop();
}

TEST_F(OutboxWal, AReplayPublishesEventsUnderItsOwnPrefix) {
  create_outbox(columns);
  settings().no_tables();
  start();
  const std::string from = postgres_.value("SELECT pg_current_wal_lsn()");
  exec("INSERT INTO outbox VALUES (1, 'o', '1', 'new', '{\"a\": 1}', '{\"h\": \"1\"}')");
  wait_events(1);
  const Finished replayed = walferry_.verb({"replay", "--from-lsn", from});
  ASSERT_EQ(replayed.exit.code, 0) << replayed.err;
  const auto again = js().read("CDC_REPLAY");
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].subject, "replay.cdc.events.o.new");
  EXPECT_EQ(again[0].payload, "{\"a\": 1}");
  EXPECT_EQ(header(again[0], "h"), "1");
  walferry_.stop();
}

TEST_F(OutboxWal, ATableThatIsNoOutboxIsRefusedWithItsColumns) {
  create_outbox("(id int, kind text, body text)");
  settings().no_tables();
  const Finished checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 3) << checked.out;
  EXPECT_TRUE(says(checked.out, "has no column aggregate_type, event_type, payload"))
      << checked.out;
  const Finished refused = walferry_.run_to_exit();
  EXPECT_EQ(refused.exit.code, 3);
  EXPECT_TRUE(says(refused.err, "it has id, kind, body")) << refused.err;
}

TEST_F(OutboxWal, WhatIsNoEventStopsItAndIsPublishedOnceTheConfigurationFits) {
  create_outbox(columns);
  settings().no_tables().raw("[[outbox]]\nmessage_prefix = \"outbox\"");
  start();
  exec("INSERT INTO outbox VALUES (1, 'o', '1', 'new', '1', '{\"h\": \"1\"}')");
  exec("INSERT INTO outbox VALUES (2, 'o', '1', 'new', '2', '[\"no object\"]')");
  exec("INSERT INTO outbox VALUES (3, 'o', '1', 'new', '3', NULL)");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.outbox")) << log;
  EXPECT_TRUE(says(log, "its headers are neither")) << log;
  EXPECT_EQ(events().size(), 1U);
  Settings fitting = settings_for(postgres_.conninfo(), nats_.url());
  fitting.no_tables().raw("[[outbox]]\ntable = \"public.outbox\"\nheaders = \"\"");
  settings() = fitting;
  start();
  wait_events(3);
  const auto all = events();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].payload + all[2].payload, "23");
  walferry_.stop();
}

TEST_F(OutboxWal, AMessageThatIsNoEventStopsItAndGoesOutAsItIsThen) {
  settings().no_tables().raw("[[outbox]]\nmessage_prefix = \"outbox\"");
  start();
  exec("SELECT pg_logical_emit_message(true, 'outbox', 'plain text')");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "no JSON object")) << log;
  create_table("t", "id int PRIMARY KEY");
  Settings fitting = settings_for(postgres_.conninfo(), nats_.url());
  fitting.table("public.t").set("source", "messages", "[\"outbox\"]");
  fitting.set("stream", "subjects", "[\"events.*.*\"]");
  settings() = fitting;
  start();
  wait_stored(1);
  const auto all = messages();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].subject, "cdc._message.outbox");
  EXPECT_EQ(all[0].payload, "plain text");
  walferry_.stop();
}

// nats-server looks for the names of its headers in the whole block: a value that has one would
// hide the sequence that the message expects.
TEST_F(OutboxWal, NoRowHidesTheSequenceThatItsMessageExpects) {
  create_outbox("(id text, aggregate_type text, event_type text, payload text, headers jsonb)");
  settings().no_tables();
  settings().set("stream", "discard", "\"new\"").set("stream", "max_bytes", "\"200KiB\"");
  start();
  exec(
      "INSERT INTO outbox SELECT i::text, 'o', 'new', repeat('x', 120000), NULL FROM "
      "generate_series(1, 2) i");
  // The second finds no room, and so nothing may be stored behind the first.
  const std::string poison = "Nats-Expected-Last-Sequence";
  exec("INSERT INTO outbox VALUES ('" + poison + "', 'o', 'new', 'p', '{\"d\": \"" + poison +
       " Nats-Msg-Id\"}')");
  for (const char* name : {"a", "d", "f", "source", "causation", "trace"}) {
    exec("INSERT INTO outbox VALUES ('1', 'o', 'new', 'p', '{\"" + std::string(name) + "\": \"" +
         poison + " Nats-Msg-Id\"}')");
  }
  wait_until([&] { return says(walferry_.log(), "maximum bytes"); }, seconds(60), "no room");
  EXPECT_EQ(events().size(), 1U);
  update_stream([](auto& config) { config["max_bytes"] = 10'000'000; });
  wait_events(9);
  const auto all = events();
  ASSERT_EQ(all.size(), 9U);
  EXPECT_EQ(header(all[2], "Walferry-Event-Id"), "%4Eats-Expected-Last-Sequence");
  walferry_.stop();
}

TEST_F(OutboxWal, WhatIsStoredIsNotAskedForTheColumnsOfToday) {
  create_outbox(columns);
  settings().no_tables();
  start();
  exec("INSERT INTO outbox VALUES (1, 'o', '1', 'new', '1', NULL)");
  wait_events(1);
  walferry_.stop();
  exec(
      "ALTER TABLE outbox RENAME COLUMN payload TO body; "
      "ALTER TABLE outbox ADD COLUMN tenant text NOT NULL DEFAULT 't'");
  settings() = settings_for(postgres_.conninfo(), nats_.url())
                   .raw(
                       "[[outbox]]\ntable = \"public.outbox\"\npayload = \"body\"\n"
                       "subject = \"events.{aggregate_type}.{tenant}\"");
  start();
  exec("INSERT INTO outbox VALUES (2, 'o', '1', 'new', '2', NULL, 'x')");
  wait_events(2);
  walferry_.kill_hard();
  start();
  exec("INSERT INTO outbox VALUES (3, 'o', '1', 'new', '3', NULL, 'y')");
  wait_events(3);
  const auto all = events();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].subject, "events.o.x");
  EXPECT_EQ(all[2].payload, "3");
  walferry_.stop();
}

TEST_F(OutboxWal, OneThatIsAddedWhileItRunsJoinsWithNobodyWritingOrSaysSo) {
  create_table("t", "id int PRIMARY KEY");
  start();
  exec("CREATE TABLE outbox " + columns);
  settings().raw("[[outbox]]\ntable = \"public.outbox\"");
  settings().set("stream", "create", "true");
  update_stream([](auto& config) { config["subjects"].push_back("events.*.*"); });
  PgSession writer = postgres_.connect();
  writer.exec("BEGIN; INSERT INTO outbox VALUES (1, 'o', '1', 'early', '1', NULL)");
  walferry_.stop();
  start();
  EXPECT_TRUE(says(walferry_.log(), "table public.outbox: transactions that were open"));
  writer.exec("INSERT INTO outbox VALUES (2, 'o', '1', 'late', '2', NULL); COMMIT");
  wait_events(1);
  const auto all = events();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].subject, "events.o.late");
  walferry_.stop();
}

TEST_F(OutboxWal, APartitionedOneIsTakenWithAWarningAndBytesBehindADomainAreBytes) {
  exec("CREATE DOMAIN bytes AS bytea");
  create_outbox(
      "(id int, aggregate_type text, event_type text, payload bytes, done bool) "
      "PARTITION BY LIST (done); CREATE TABLE open PARTITION OF outbox FOR VALUES IN "
      "(false); CREATE TABLE done PARTITION OF outbox FOR VALUES IN (true)");
  settings().no_tables();
  const Finished checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 0) << checked.out;
  EXPECT_TRUE(says(checked.out, "the outbox public.outbox is partitioned")) << checked.out;
  start();
  exec("INSERT INTO outbox VALUES (1, 'o', 'new', '\\x00ff', false)");
  wait_events(1);
  EXPECT_EQ(events().at(0).payload, std::string("\0\xff", 2));
  walferry_.stop();
}

// ---- an application: orders with an outbox

class OutboxApplication : public OutboxWal {};

TEST_F(OutboxApplication, SixteenWritersAndKillsEachEventOnceInTheOrderOfItsAggregate) {
  create_table("orders", "id int PRIMARY KEY, version int NOT NULL");
  create_outbox(columns, "subject = \"events.{aggregate_type}.{aggregate_id}\"");
  exec("INSERT INTO orders SELECT i, 0 FROM generate_series(1, 40) i");
  start();
  const int writers = 16;
  const int rounds = scaled(60, 600);
  // Each takes its event's id before it takes the order's row, and waits in between: commits come
  // out of the order of ids. A third rolls back; half of what stays is deleted at once.
  const std::string round =
      "DO $$ DECLARE o int; v int; e bigint; BEGIN FOR i IN 1.." + std::to_string(rounds) +
      " LOOP e := nextval('outbox_id_seq'); PERFORM pg_sleep(random() * 0.004); "
      "o := 1 + floor(random() * 40); "
      "UPDATE orders SET version = version + 1 WHERE id = o RETURNING version INTO v; "
      "INSERT INTO outbox VALUES (e, 'order', o, 'changed', to_jsonb(v), NULL); "
      "IF random() < 0.5 THEN DELETE FROM outbox WHERE id = e; END IF; "
      "IF random() < 0.33 THEN ROLLBACK; ELSE COMMIT; END IF; END LOOP; END $$";
  std::vector<std::thread> threads;
  std::atomic<int> at_work = writers;
  for (int i = 0; i < writers; ++i) {
    threads.emplace_back([&] {
      PgSession session(postgres_.conninfo());
      session.exec(round);
      --at_work;
    });
  }
  // An old transaction elsewhere in the cluster, which holds up nobody.
  exec("CREATE DATABASE elsewhere");
  PgSession elsewhere(postgres_.conninfo() + " dbname=elsewhere");
  elsewhere.exec("BEGIN; SELECT pg_current_xact_id()");
  const int kills = scaled(5, 20);
  for (int i = 0; i < kills; ++i) {
    const auto before = js().last_sequence("CDC");
    wait_until([&] { return at_work == 0 || js().last_sequence("CDC") > before + 20; }, seconds(60),
               "some events");
    walferry_.kill_hard();
    start();
  }
  for (std::thread& thread : threads) thread.join();
  const auto changes = std::stoul(postgres_.value("SELECT sum(version) FROM orders"));
  wait_events(changes);
  // A consumer that counts each order's events sees 1, 2, 3 …, up to what the table has.
  std::map<std::string, int> versions;
  std::set<std::string> ids;
  for (const Stored& event : events()) {
    EXPECT_TRUE(ids.insert(header(event, "Walferry-Event-Id")).second) << "twice";
    EXPECT_EQ(std::stoi(event.payload), ++versions[event.subject]) << event.subject;
  }
  EXPECT_EQ(ids.size(), changes);
  for (const auto& [subject, version] : versions) {
    const std::string order = subject.substr(subject.rfind('.') + 1);
    EXPECT_EQ(postgres_.value("SELECT version FROM orders WHERE id = " + order),
              std::to_string(version));
  }
  walferry_.stop();
}

}  // namespace
}  // namespace scenarios
