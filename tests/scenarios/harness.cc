// The test servers, tested: a checker that could not notice a loss would make every scenario below
// worthless, so it is shown streams with each kind of fault, written from what the oracle saw.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/servers/checker.h"
#include "tests/servers/load.h"
#include "tests/servers/nats_server.h"
#include "tests/servers/tcp_proxy.h"

namespace servers {
namespace {

using nlohmann::ordered_json;

ordered_json object_of(const std::vector<TrueColumn>& row, bool nulls) {
  ordered_json object = ordered_json::object();
  for (const auto& column : row) {
    if (column.kind == TrueColumn::Kind::null) {
      if (nulls) {
        object[column.name] = nullptr;
      }
    } else if (column.kind == TrueColumn::Kind::text) {
      const bool number = column.type == "integer" || column.type == "bigint";
      object[column.name] =
          number ? ordered_json(std::stoll(column.text)) : ordered_json(column.text);
    }
  }
  return object;
}

// The key columns of the tables of Load.
ordered_json key_of(const ordered_json& row) {
  if (row.contains("id")) {
    return {{"id", row["id"]}};
  }
  return {{"k1", row["k1"]}, {"k2", row["k2"]}};
}

// The stream that a faultless walferry would write.
std::vector<Stored> ideal_stream(const std::vector<TrueTransaction>& truth) {
  std::vector<Stored> stream;
  for (const auto& transaction : truth) {
    const std::uint64_t commit_lsn = transaction.end_lsn - 1;
    for (std::size_t i = 0; i < transaction.changes.size(); ++i) {
      const TrueChange& change = transaction.changes[i];
      ordered_json json = {{"op", change.op}, {"schema", change.schema}, {"table", change.table},
                           {"key", nullptr},  {"before", nullptr},       {"after", nullptr}};
      if (!change.old_row.empty()) {
        json["before"] = object_of(change.old_row, true);
        json["key"] = key_of(json["before"]);
      }
      if (!change.new_row.empty()) {
        json["after"] = object_of(change.new_row, true);
        json["key"] = key_of(json["after"]);
      }
      for (const auto& column : change.new_row) {
        if (column.kind == TrueColumn::Kind::unchanged) {
          json["unchanged"].push_back(column.name);
        }
      }
      json["lsn"] = lsn_text(commit_lsn);
      json["commit_lsn"] = lsn_text(commit_lsn);
      json["seq"] = i + 1;
      if (i + 1 == transaction.changes.size()) {
        json["tx_last"] = true;
      }
      json["xid"] = transaction.xid;
      json["commit_ts"] = "2026-01-01T00:00:00.000000Z";
      Stored stored;
      stored.sequence = stream.size() + 1;
      stored.subject = "cdc." + change.schema + "." + change.table + "." + change.op;
      stored.headers["Nats-Msg-Id"] = "walferry:" + hex16(commit_lsn) + ":" + std::to_string(i + 1);
      stored.headers["Nats-Expected-Last-Sequence"] = std::to_string(stream.size());
      stored.payload = json.dump();
      stream.push_back(stored);
    }
  }
  return stream;
}

// Gives them the sequences that a server would have given.
void number(std::vector<Stored>& stream) {
  for (std::size_t i = 0; i < stream.size(); ++i) {
    stream[i].sequence = i + 1;
    stream[i].headers["Nats-Expected-Last-Sequence"] = std::to_string(i);
  }
}

class Harness : public testing::Test {
 protected:
  Harness() : oracle_(postgres_) {}
  void SetUp() override {
    PgSession session = postgres_.connect();
    Load::create_tables(session);
    Load load(postgres_.conninfo(), {.pause = Milliseconds(0), .truncates = true});
    load.wait_for_more(400);
    load.stop();
    stream_ = ideal_stream(oracle_.read());
    ASSERT_GT(stream_.size(), 500U);
  }
  bool accepted() {
    return static_cast<bool>(each_change_once(stream_, oracle_, {.announced = false}));
  }

  PostgresCluster postgres_;
  Oracle oracle_;
  std::vector<Stored> stream_;
};

TEST_F(Harness, CheckerAcceptsWhatTheOracleSaw) {
  EXPECT_TRUE(each_change_once(stream_, oracle_, {.announced = false}));
  for (const std::string table : {"load_a", "load_b", "load_c", "load_d"}) {
    EXPECT_EQ(fold(parse_records(stream_), "public", table),
              rows_of(postgres_, Load::select_rows(table)));
  }
}

TEST_F(Harness, CheckerNoticesALostADoubledAndASwappedRecord) {
  const auto whole = stream_;
  const auto middle = static_cast<std::ptrdiff_t>(stream_.size() / 2);
  stream_.erase(stream_.begin() + middle);
  number(stream_);
  EXPECT_FALSE(accepted());
  stream_ = whole;
  stream_.insert(stream_.begin() + middle, stream_[static_cast<std::size_t>(middle)]);
  number(stream_);
  EXPECT_FALSE(accepted());
  stream_ = whole;
  std::swap(stream_[10], stream_[11]);
  number(stream_);
  EXPECT_FALSE(accepted());
  stream_ = whole;
  stream_.pop_back();
  EXPECT_FALSE(accepted());
  stream_ = whole;
  EXPECT_TRUE(accepted());
}

TEST_F(Harness, CheckerNoticesAWrongValueIdSubjectAndFormat) {
  const auto whole = stream_;
  const auto spoil = [&](const std::function<void(Stored&)>& how) {
    stream_ = whole;
    how(stream_[20]);
    return !accepted();
  };
  EXPECT_TRUE(spoil([](Stored& s) { s.headers["Nats-Msg-Id"] += "0"; }));
  EXPECT_TRUE(spoil([](Stored& s) { s.subject += ".x"; }));
  EXPECT_TRUE(spoil([](Stored& s) { s.payload += " "; }));
  EXPECT_TRUE(spoil([](Stored& s) { s.headers["Nats-Expected-Last-Sequence"] = "7"; }));
  EXPECT_TRUE(spoil([](Stored& s) {
    auto json = ordered_json::parse(s.payload);
    json["xid"] = 1;
    s.payload = json.dump();
  }));
  EXPECT_TRUE(spoil([](Stored& s) {
    auto json = ordered_json::parse(s.payload);
    auto& row = json["after"].is_object() ? json["after"] : json["before"];
    row.begin().value() = -5;
    s.payload = json.dump();
  }));
}

TEST_F(Harness, CheckerNoticesAKeyThatIsMissingIncompleteOrTooMuch) {
  const auto whole = stream_;
  const auto spoil = [&](const char* subject, const std::function<void(ordered_json&)>& how) {
    stream_ = whole;
    const auto record = std::find_if(stream_.begin(), stream_.end(), [&](const Stored& stored) {
      return stored.subject == subject;
    });
    auto json = ordered_json::parse(record->payload);
    how(json);
    record->payload = json.dump();
    return !accepted();
  };
  EXPECT_FALSE(spoil("cdc.public.load_b.insert", [](ordered_json&) {}));
  for (const char* subject : {"cdc.public.load_b.insert", "cdc.public.load_b.delete"}) {
    EXPECT_TRUE(spoil(subject, [](ordered_json& json) { json["key"] = nullptr; })) << subject;
    EXPECT_TRUE(spoil(subject, [](ordered_json& json) { json["key"].erase("k2"); })) << subject;
  }
  EXPECT_TRUE(spoil("cdc.public.load_b.update",
                    [](ordered_json& json) { json["key"]["v"] = json["after"]["v"]; }));
}

TEST(Servers, OracleKnowsTheKeysThatDoNotChangeWhileItWatches) {
  PostgresCluster postgres;
  postgres.exec(
      "CREATE TABLE changed (id int PRIMARY KEY);"
      "CREATE TABLE whole (b int, a int, c int, PRIMARY KEY (b, a) INCLUDE (c));"
      "ALTER TABLE whole REPLICA IDENTITY FULL;"
      "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);"
      "CREATE TABLE indexed (id int PRIMARY KEY, code int NOT NULL UNIQUE);"
      "ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code_key");
  Oracle oracle(postgres);
  postgres.exec("ALTER TABLE changed DROP CONSTRAINT changed_pkey; CREATE TABLE keyless (id int)");
  oracle.read();
  const Keys expected = {{"public.whole", {"a", "b"}},
                         {"public.late", {}},
                         {"public.indexed", {"code"}},
                         {"public.keyless", {}}};
  EXPECT_EQ(oracle.keys(), expected);
}

TEST(Servers, OracleLeavesOutWhatWasRolledBack) {
  PostgresCluster postgres;
  Oracle oracle(postgres);
  postgres.exec("CREATE TABLE \"a.b \"\" c\" (id int primary key, t text, a int[], b bit(3))");
  postgres.exec(
      "BEGIN; INSERT INTO \"a.b \"\" c\" VALUES (1, 'it''s', '{1,2}', B'101'); SAVEPOINT s;"
      "INSERT INTO \"a.b \"\" c\" VALUES (2, null); ROLLBACK TO s; COMMIT");
  postgres.exec("BEGIN; INSERT INTO \"a.b \"\" c\" VALUES (3, ''); ROLLBACK");
  postgres.exec("UPDATE \"a.b \"\" c\" SET id = 5; DELETE FROM \"a.b \"\" c\"");
  const auto& truth = oracle.read();
  ASSERT_EQ(truth.size(), 2U);
  ASSERT_EQ(truth[0].changes.size(), 1U);
  EXPECT_EQ(truth[0].changes[0].table, "a.b \" c");
  EXPECT_EQ(truth[0].changes[0].new_row.at(1).text, "it's");
  EXPECT_EQ(truth[0].changes[0].new_row.at(3).text, "101");
  ASSERT_EQ(truth[1].changes.size(), 2U);
  EXPECT_EQ(truth[1].changes[0].old_row.at(0).text, "1");
  EXPECT_EQ(truth[1].changes[1].op, "delete");
}

TEST(Servers, ReaderSeesEveryStoredMessageByteForByte) {
  NatsServer nats;
  JetStream js = nats.jetstream();
  js.create_stream({{"name", "S"}, {"subjects", {"s.>"}}});
  for (int i = 1; i <= 3000; ++i) {
    const auto ack = js.publish("s." + std::to_string(i), "body\r\n" + std::to_string(i),
                                {{"Nats-Msg-Id", "m" + std::to_string(i)}});
    ASSERT_EQ(ack["seq"], i);
  }
  js.delete_message("S", 2);
  nats.kill_hard();
  nats.start();
  const auto stored = js.read("S");
  ASSERT_EQ(stored.size(), 2999U);
  EXPECT_EQ(stored[1].sequence, 3U);
  EXPECT_EQ(stored[1].payload, "body\r\n3");
  EXPECT_EQ(stored.back().headers.at("Nats-Msg-Id"), "m3000");
  js.purge("S");
  EXPECT_TRUE(js.read("S").empty());
  EXPECT_EQ(js.last_sequence("S"), 3000U);
}

TEST(Servers, ProxyLosesAnswersButNotRequests) {
  NatsServer nats;
  nats.jetstream().create_stream({{"name", "S"}, {"subjects", {"s"}}});
  TcpProxy proxy(nats.port());
  NatsClient client(proxy.port());
  client.request("s", "one");
  proxy.swallow_answers();
  EXPECT_THROW(client.request("s", "two", {}, Milliseconds(300)), std::runtime_error);
  EXPECT_EQ(nats.jetstream().last_sequence("S"), 2U);
  EXPECT_GT(proxy.swallowed_bytes(), 0U);
  EXPECT_EQ(JetStream({proxy.port()}).publish("s", "three")["seq"], 3);
}

TEST(Servers, ClusterKeepsWhatItAcknowledgedWhenItsLeaderIsKilled) {
  NatsCluster cluster;
  cluster.jetstream().create_stream({{"name", "S"}, {"subjects", {"s"}}, {"num_replicas", 3}});
  for (int i = 0; i < 50; ++i) {
    cluster.jetstream().publish("s", std::to_string(i));
  }
  NatsServer& leader = cluster.named(cluster.jetstream().leader("S"));
  leader.kill_hard();
  wait_until([&] { return cluster.jetstream().last_sequence("S") == 50; }, seconds(30),
             "a new leader");
  leader.start();
  cluster.wait_whole("S");
  EXPECT_EQ(cluster.jetstream().read("S").size(), 50U);
}

TEST(Servers, CloneOfAClusterBecomesAnotherTimelineOfTheSameSystem) {
  PostgresCluster postgres;
  postgres.exec("CREATE TABLE t (id int)");
  postgres.stop();
  const auto copy = postgres.clone();
  copy->be_standby();
  copy->start();
  copy->promote();
  copy->exec("INSERT INTO t VALUES (1)");
  postgres.start();
  EXPECT_EQ(postgres.value("SELECT count(*) FROM t"), "0");
  const std::string system = "SELECT system_identifier FROM pg_control_system()";
  EXPECT_EQ(postgres.value(system), copy->value(system));
  copy->exec("CHECKPOINT");
  EXPECT_EQ(copy->value("SELECT timeline_id FROM pg_control_checkpoint()"), "2");
}

}  // namespace
}  // namespace servers
