// Many changes a message, many messages a change, and columns left out: what a message holds is the
// same however often walferry dies, and nothing is lost or doubled.
#include <set>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

std::uint64_t number(const Stored& stored, const char* header) {
  const auto found = stored.headers.find(header);
  return found == stored.headers.end() ? 0 : std::stoull(found->second);
}

class Sizes : public Scenario {
 protected:
  void limit(const std::string& size) { settings().set_string("publish", "max_message", size); }
  // Packs taken apart and parts joined again, as messages of one record each; what headers say of
  // them is checked.
  std::vector<Stored> single_records() {
    std::vector<Stored> all;
    std::string joined;
    for (Stored stored : js().read("CDC")) {
      if (stored.subject == "cdc._transaction") {
        take_apart(stored, all);
        continue;
      }
      if (const auto parts = number(stored, "Walferry-Parts")) {
        const auto part = number(stored, "Walferry-Part");
        std::string& id = stored.headers["Nats-Msg-Id"];
        EXPECT_TRUE(id.ends_with("." + std::to_string(part))) << id;
        id = id.substr(0, id.rfind('.'));
        if (part == 1) joined.clear();
        joined += stored.payload;
        if (part < parts) continue;
        stored.payload = std::exchange(joined, "");
      }
      all.push_back(std::move(stored));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].sequence = i + 1;
      all[i].headers["Nats-Expected-Last-Sequence"] = std::to_string(i);
    }
    return all;
  }
  void take_apart(const Stored& pack, std::vector<Stored>& into) {
    std::size_t lines = 0;
    std::string last;
    for (std::size_t at = 0; at <= pack.payload.size(); ++lines) {
      const std::size_t end = std::min(pack.payload.find('\n', at), pack.payload.size());
      Stored record{.sequence = 0, .subject = "", .headers = {}, .payload = ""};
      record.payload = pack.payload.substr(at, end - at);
      const auto json = nlohmann::json::parse(record.payload);
      record.subject = "cdc." + subject_token(json["schema"].get<std::string>(), true) + "." +
                       subject_token(json["table"].get<std::string>()) + "." +
                       json["op"].get<std::string>();
      last = hex16(lsns_in(json["commit_lsn"].get<std::string>()).at(0)) + ":" + json["seq"].dump();
      record.headers["Nats-Msg-Id"] = "walferry:" + last;
      if (lines == 0) {
        EXPECT_EQ(pack.headers.at("Nats-Msg-Id"), record.headers.at("Nats-Msg-Id"));
      }
      into.push_back(std::move(record));
      at = end + 1;
    }
    EXPECT_EQ(pack.headers.at("Walferry-Position"), last);
    EXPECT_EQ(number(pack, "Walferry-Changes"), lines);
  }
  void expect_each_change_once() {
    wait_complete_packed();
    walferry_.stop();
    EXPECT_TRUE(each_change_once(single_records(), *oracle_));
  }
  void wait_complete_packed() {
    oracle_->read();
    const std::uint64_t end = oracle_->read().back().end_lsn;
    wait_until([&] { return postgres_.confirmed_flush("walferry") >= end; }, seconds(90),
               "all is stored and confirmed");
  }
  void expect_parts_within(std::size_t bytes) {
    for (const Stored& stored : js().read("CDC")) {
      EXPECT_LE(stored.payload.size(), bytes) << stored.subject;
    }
  }
};

class Packs : public Sizes {
 protected:
  Packs() {
    settings().set_string("publish", "pack", "transaction");
    settings().set_string("source", "replay_window", "0");
  }
};

TEST_F(Packs, ATransactionIsOneMessageUpToTheLimit) {
  create_table("a", "id int PRIMARY KEY, v text");
  create_table("b", "id int PRIMARY KEY");
  start();
  exec("INSERT INTO a SELECT i, 'x' FROM generate_series(1, 100) i; INSERT INTO b VALUES (1), (2)");
  exec("UPDATE a SET v = 'y' WHERE id <= 10; DELETE FROM b; TRUNCATE a");
  expect_each_change_once();
  std::size_t packs = 0;
  for (const Stored& stored : js().read("CDC")) packs += stored.subject == "cdc._transaction";
  // The first is cut by the announcement of b.
  EXPECT_EQ(packs, 3U);
}

TEST_F(Packs, AreCutAtMaxMessage) {
  create_table("a", "id int PRIMARY KEY, v text");
  limit("8KiB");
  start();
  exec("INSERT INTO a SELECT i, repeat('x', i) FROM generate_series(1, 500) i");
  expect_each_change_once();
  expect_parts_within(8 << 10);
}

TEST_F(Packs, SurviveKillsAndAreTheSameThen) {
  create_load_tables();
  limit("4KiB");
  start();
  Load load(postgres_.conninfo(), {.writers = 3, .pause = Milliseconds(2), .truncates = true});
  for (int round = 0; round < 6; ++round) {
    load.wait_for_more(60);
    walferry_.kill_hard();
    walferry_.start();
    wait_streaming();
  }
  load.stop();
  expect_each_change_once();
}

TEST_F(Packs, SettingMayChangeBetweenACrashAndTheRestart) {
  create_load_tables();
  limit("4KiB");
  start();
  Load load(postgres_.conninfo(), {.writers = 3, .pause = Milliseconds(2)});
  for (const char* pack : {"none", "transaction", "none", "transaction"}) {
    load.wait_for_more(60);
    walferry_.kill_hard();
    settings().set_string("publish", "pack", pack);
    walferry_.start();
    wait_streaming();
  }
  load.stop();
  expect_each_change_once();
}

class Split : public Sizes {
 protected:
  Split() {
    settings().set_string("publish", "oversize", "split");
    settings().set_string("source", "replay_window", "0");
    limit("4KiB");
  }
};

TEST_F(Split, PartsJoinToTheRecord) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t VALUES (1, 'small'), (2, repeat('ä', 5000)), (3, 'small')");
  exec("UPDATE t SET id = 4 WHERE id = 2");
  expect_each_change_once();
  expect_parts_within(4 << 10);
  EXPECT_EQ(js().read("CDC").size(), 9U) << "a shape, two small ones, twice three parts";
}

TEST_F(Split, SurvivesDeathBetweenParts) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  walferry_.stop();
  exec("CREATE SEQUENCE ids");
  for (int passes = 2; passes <= 7; ++passes) {
    exec(
        "BEGIN; INSERT INTO t VALUES (nextval('ids'), repeat('x', 20000)); INSERT INTO t VALUES "
        "(nextval('ids'), repeat('y', 6000)); COMMIT");
    walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:" + std::to_string(passes)});
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  }
  start();
  expect_each_change_once();
}

// The parts that were stored under another limit are left as they are; the record comes whole.
TEST_F(Split, ALimitThatChangesInTheMiddleOfARecordBeginsItAgain) {
  settings().set_string("stream", "duplicate_window", "100ms");
  create_table("t", "id int PRIMARY KEY, v text");
  watch();
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:4"});
  wait_streaming();
  exec("INSERT INTO t VALUES (1, repeat('x', 20000))");
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  limit("6KiB");
  walferry_.start();
  wait_streaming();
  exec("INSERT INTO t VALUES (2, 'z')");
  expect_each_change_once();
}

class Omit : public Sizes {
 protected:
  Omit() {
    settings().set_string("publish", "oversize", "omit");
    limit("4KiB");
  }
};

TEST_F(Omit, TheLargestColumnsAreNamedInstead) {
  create_table("t", "id int PRIMARY KEY, a text, b text, c int");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  start();
  exec("INSERT INTO t VALUES (1, repeat('a', 3000), repeat('b', 3500), 7)");
  exec("INSERT INTO t VALUES (2, 'small', 'small', 8)");
  exec("UPDATE t SET c = 9 WHERE id = 1");
  exec("DELETE FROM t WHERE id = 1");
  wait_complete();
  walferry_.stop();
  std::vector<nlohmann::json> all;
  for (const Stored& stored : js().read("CDC")) {
    EXPECT_LE(stored.payload.size(), 4U << 10);
    if (!is_schema_record(stored)) all.push_back(nlohmann::json::parse(stored.payload));
  }
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0]["omitted"], nlohmann::json::parse(R"(["b"])"));
  EXPECT_EQ(all[0]["after"].dump(), R"({"a":")" + std::string(3000, 'a') + R"(","c":7,"id":1})");
  EXPECT_FALSE(all[1].contains("omitted"));
  EXPECT_EQ(all[2]["omitted"], nlohmann::json::parse(R"(["a","b"])"));
  EXPECT_EQ(all[2]["before"].dump(), R"({"c":7,"id":1})");
  EXPECT_EQ(all[2]["after"].dump(), R"({"c":9,"id":1})");
  EXPECT_EQ(all[3]["omitted"], nlohmann::json::parse(R"(["b"])"));
}

TEST_F(Omit, WhatIsMaskedIsSmallAndStays) {
  exec("CREATE TABLE t (id int PRIMARY KEY, h text, r text, v text)");
  settings().table("public.t", "snapshot = \"never\"\nmask = { h = \"hash\", r = \"redact\" }");
  start();
  exec("INSERT INTO t SELECT 1, repeat('h', 100000), repeat('r', 90000), repeat('v', 3000)");
  exec("INSERT INTO t SELECT 2, repeat('h', 100000), repeat('r', 90000), repeat('v', 9000)");
  wait_complete();
  walferry_.stop();
  auto all = js().read("CDC");
  std::erase_if(all, [](const Stored& message) { return is_schema_record(message); });
  ASSERT_EQ(all.size(), 2U);
  const auto first = nlohmann::json::parse(all[0].payload);
  EXPECT_FALSE(first.contains("omitted")) << "nothing need be left out";
  EXPECT_EQ(first.at("after").at("v"), std::string(3000, 'v'));
  const auto second = nlohmann::json::parse(all[1].payload);
  ASSERT_TRUE(second.contains("omitted"));
  EXPECT_EQ(second["omitted"], nlohmann::json::parse(R"(["v"])"));
  for (const auto& record : {first, second}) {
    EXPECT_EQ(record.at("after").at("r"), "***");
    EXPECT_EQ(
        record.at("after").at("h"),
        postgres_.value("SELECT encode(sha256(convert_to(repeat('h', 100000), 'UTF8')), 'hex')"));
  }
}

TEST_F(Omit, AKeyThatIsTooLargeAloneStops) {
  create_table("t", "id text PRIMARY KEY, v text");
  limit("1KiB");
  start();
  exec("INSERT INTO t SELECT string_agg(md5(i::text), ''), 'v' FROM generate_series(1, 40) i");
  const std::string log = expect_exit(3);
  EXPECT_TRUE(says(log, "table public.t") && says(log, "max_message")) << log;
}

class LogicalMessages : public Scenario {
 protected:
  LogicalMessages() { settings().set("source", "messages", R"(["audit", "b.c d"])"); }
  std::vector<Stored> messages() {
    std::vector<Stored> found;
    for (Stored& stored : js().read("CDC")) {
      if (stored.subject.starts_with("cdc._message.")) found.push_back(std::move(stored));
    }
    return found;
  }
  void emit(bool transactional, const std::string& prefix, const std::string& content) {
    exec("SELECT pg_logical_emit_message(" + std::string(transactional ? "true" : "false") + ", '" +
         prefix + "', '" + content + "')");
  }
};

TEST_F(LogicalMessages, GoToTheirSubjectAsTheyAre) {
  create_table("t", "id int PRIMARY KEY");
  start();
  exec(
      "BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'audit', 'in the "
      "middle'); INSERT INTO t VALUES (2); SELECT pg_logical_emit_message(true, 'audit', "
      "'last'); COMMIT");
  emit(false, "b.c d", "outside");
  emit(true, "other", "not wanted");
  emit(true, "audit", "");
  exec("INSERT INTO t VALUES (3)");
  wait_until([&] { return stored_records() >= 7; }, seconds(60), "all is stored");
  walferry_.stop();
  const auto found = messages();
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].payload, "in the middle");
  EXPECT_EQ(found[0].subject, "cdc._message.audit");
  EXPECT_TRUE(found[0].headers.at("Nats-Msg-Id").ends_with(":2"));
  EXPECT_EQ(found[0].headers.count("Walferry-Tx-Last"), 0U);
  EXPECT_EQ(found[1].payload, "last");
  EXPECT_EQ(found[1].headers.at("Walferry-Tx-Last"), "true");
  EXPECT_EQ(found[1].headers.at("Walferry-Xid"), std::to_string(records().front().xid));
  EXPECT_EQ(found[2].subject, "cdc._message.b%2Ec%20d");
  EXPECT_EQ(found[2].headers.count("Walferry-Tx-Last"), 0U) << "outside of any transaction";
  EXPECT_EQ(found[2].headers.at("Walferry-Prefix"), "b%2Ec%20d");
  const std::uint64_t lsn = lsns_in(found[2].headers.at("Walferry-Lsn")).at(0);
  EXPECT_EQ(found[2].headers.at("Nats-Msg-Id"), "walferry:" + hex16(lsn) + ":0");
  EXPECT_EQ(found[3].payload, "");
  const auto rows = records();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[1].ordinal, 3U) << "messages count as changes";
  EXPECT_FALSE(rows[1].tx_last) << "a message follows";
}

// Those outside of transactions are a place to go on from, too.
TEST_F(LogicalMessages, EachArrivesOnceWhateverIsKilled) {
  create_table("t", "id int PRIMARY KEY");
  settings().set_string("source", "replay_window", "0");
  settings().set("publish", "max_in_flight", "3");
  start();
  int n = 0;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 4; ++i, ++n) {
      emit(false, "audit", std::to_string(n));
      if (i % 2 == round % 2) exec("INSERT INTO t VALUES (" + std::to_string(n) + ")");
      emit(true, "audit", std::to_string(1000 + n));
    }
    walferry_.kill_hard();
    walferry_.start();
    wait_streaming();
  }
  wait_until([&] { return stored_records() >= 60; }, seconds(60), "all is stored");
  walferry_.stop();
  std::vector<std::string> contents;
  std::vector<std::string> expected;
  std::set<std::string> ids;
  for (const Stored& stored : js().read("CDC")) {
    EXPECT_TRUE(ids.insert(stored.headers.at("Nats-Msg-Id")).second);
  }
  for (const Stored& stored : messages()) contents.push_back(stored.payload);
  for (int i = 0; i < n; ++i) {
    expected.push_back(std::to_string(i));
    expected.push_back(std::to_string(1000 + i));
  }
  EXPECT_EQ(contents, expected);
  EXPECT_EQ(records().size(), 12U);
}

}  // namespace
}  // namespace scenarios
