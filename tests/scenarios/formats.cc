// publish.format = "debezium" and "cloudevents": every operation from a real server to the stream,
// exact ids and counts after kill -9, and what tail makes of them.
#include <algorithm>
#include <sstream>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

class Formats : public Scenario {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  void start_as(const std::string& format) {
    settings().set_string("publish", "format", format);
    start();
  }
  // Stopped, what is stored, and that the ids are those of the changes: in order, without a gap
  // within a transaction.
  std::vector<Stored> stored(std::uint64_t messages) {
    wait_stored(messages);
    walferry_.stop();
    std::vector<Stored> all = js().read("CDC");
    std::erase_if(all, [](const Stored& message) { return is_schema_record(message); });
    EXPECT_EQ(all.size(), messages);
    return all;
  }
  static json body(const Stored& message) { return json::parse(message.payload); }
};

TEST_F(Formats, DebeziumHasEveryOperationAndItsSource) {
  start_as("debezium");
  exec("INSERT INTO t VALUES (1, 'a')");
  exec("UPDATE t SET v = 'b' WHERE id = 1");
  exec("UPDATE t SET id = 2");
  exec("DELETE FROM t");
  exec("TRUNCATE t");
  const auto all = stored(6);
  std::string ops;
  for (const Stored& message : all) {
    const json record = body(message);
    ops += record["op"].get<std::string>();
    const json& source = record["source"];
    EXPECT_EQ(source["connector"], "postgresql");
    EXPECT_EQ(source["name"], "cdc");
    EXPECT_EQ(source["db"], postgres_.value("SELECT current_database()"));
    EXPECT_EQ(source["schema"], "public");
    EXPECT_EQ(source["table"], "t");
    EXPECT_EQ(source["snapshot"], "false");
    EXPECT_EQ(record["ts_ms"], source["ts_ms"]);
    const std::string commit = message.headers.at("Nats-Msg-Id").substr(9, 16);
    const std::string lsn = std::to_string(std::stoull(commit, nullptr, 16));
    EXPECT_EQ(record["transaction"]["id"], source["txId"].dump() + ":" + lsn);
    EXPECT_EQ(json::parse(source["sequence"].get<std::string>())[0], lsn);
    EXPECT_EQ(json::parse(source["sequence"].get<std::string>())[1], source["lsn"].dump());
    EXPECT_EQ(record["transaction"]["total_order"], 1);
  }
  EXPECT_EQ(ops, "cudcdt");
  EXPECT_EQ(body(all[0])["after"], json::parse(R"({"id":1,"v":"a"})"));
  EXPECT_TRUE(body(all[1])["before"].is_null());
  // Another key: the row is gone under the old one, and there under the new.
  EXPECT_EQ(body(all[2])["before"], json::parse(R"({"id":1,"v":null})"));
  EXPECT_TRUE(body(all[2])["after"].is_null());
  EXPECT_EQ(all[2].subject, "cdc.public.t.delete");
  EXPECT_EQ(all[2].headers.at("Nats-Msg-Id"), all[3].headers.at("Nats-Msg-Id") + ":delete");
  EXPECT_TRUE(body(all[3])["before"].is_null());
  EXPECT_EQ(body(all[3])["after"], json::parse(R"({"id":2,"v":"b"})"));
  EXPECT_EQ(all[3].subject, "cdc.public.t.insert");
  EXPECT_EQ(body(all[4])["before"], json::parse(R"({"id":2,"v":null})"));
  EXPECT_TRUE(body(all[4])["after"].is_null());
  EXPECT_EQ(all[5].subject, "cdc.public.t.truncate");
}

// A kill leaves a beginning of the transaction's messages: each such beginning is put back, and
// gone on from.
TEST_F(Formats, DebeziumsTwoRecordsOfAKeyChangeAreExactWhereverAKillCutsThem) {
  create_table("f", "id int PRIMARY KEY, v text, big text");
  exec("ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE f ALTER big SET STORAGE EXTERNAL");
  start_as("debezium");
  exec("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO f VALUES (1, 'x', repeat('y', 3000))");
  wait_stored(3);
  walferry_.stop();
  nats_.stop();
  nats_.save_store("before");
  nats_.start();
  exec("BEGIN; UPDATE t SET id = id + 10; UPDATE f SET id = 2; UPDATE f SET v = 'z'; COMMIT");
  start();
  wait_stored(10);
  walferry_.stop();
  const auto all = js().read("CDC");
  const std::size_t begin = all.size() - 7;
  std::string ops;
  std::vector<std::string> ids;
  for (std::size_t i = begin; i < all.size(); ++i) {
    ops += body(all[i])["op"].get<std::string>();
    ids.push_back(all[i].headers.at("Nats-Msg-Id").substr(26));
  }
  EXPECT_EQ(ops, "dcdcdcu");
  EXPECT_EQ(ids,
            (std::vector<std::string>{"1:delete", "1", "2:delete", "2", "3:delete", "3", "4"}));
  // Under FULL the removal has the whole row, and the new row its unchanged values from the old.
  EXPECT_EQ(body(all[begin + 4])["before"]["v"], "x");
  EXPECT_EQ(body(all[begin + 5])["after"]["big"], std::string(3000, 'y'));
  EXPECT_EQ(body(all[begin + 5])["after"]["id"], 2);
  for (std::size_t cut = begin; cut < all.size(); ++cut) {
    nats_.stop();
    nats_.restore_store("before");
    nats_.start();
    for (std::size_t i = begin; i < cut; ++i) {
      js().publish(all[i].subject, all[i].payload, all[i].headers);
    }
    start();
    wait_stored(10);
    walferry_.stop();
    const auto again = js().read("CDC");
    ASSERT_EQ(again.size(), all.size()) << cut;
    for (std::size_t i = begin; i < all.size(); ++i) {
      EXPECT_EQ(again[i].headers, all[i].headers) << cut;
      EXPECT_EQ(again[i].subject, all[i].subject) << cut;
      EXPECT_EQ(again[i].payload, all[i].payload) << cut;
    }
  }
}

// Under FULL the key is not in WAL: what is read again is written with the key of then.
TEST_F(Formats, DebeziumsRecordsStayTheSameWhenThePrimaryKeyIsDroppedAfterThem) {
  create_table("f", "id int PRIMARY KEY, v text");
  exec("ALTER TABLE f REPLICA IDENTITY FULL");
  start_as("debezium");
  exec("INSERT INTO f VALUES (1, 'x')");
  exec("UPDATE f SET id = 2");  // two records
  wait_stored(3);
  walferry_.kill_hard();
  exec("ALTER TABLE f DROP CONSTRAINT f_pkey");
  start();
  exec("UPDATE f SET id = 3");  // and without a key one
  const auto all = stored(4);
  std::string ops;
  for (const Stored& message : all) ops += body(message)["op"].get<std::string>();
  EXPECT_EQ(ops, "cdcu");
}

TEST_F(Formats, DebeziumKeepsTheKeyWhateverColumnsAreChosen) {
  exec("CREATE TABLE chosen (id int PRIMARY KEY, v text, w text)");
  settings().table("public.chosen", "snapshot = \"never\"\ncolumns = [\"v\"]");
  exec("CREATE TABLE excluded (id int PRIMARY KEY, v text, w text)");
  settings().table("public.excluded", "snapshot = \"never\"\nexclude = [\"id\", \"w\"]");
  start_as("debezium");
  for (const std::string table : {"chosen", "excluded"}) {
    exec("INSERT INTO " + table + " VALUES (1, 'a', 'b')");
    exec("UPDATE " + table + " SET id = 2");
    exec("DELETE FROM " + table);
  }
  const auto all = stored(8);
  for (std::size_t i = 0; i < 8; i += 4) {
    EXPECT_EQ(body(all[i])["after"], json::parse(R"({"id":1,"v":"a"})"));
    EXPECT_EQ(body(all[i + 1])["before"], json::parse(R"({"id":1,"v":null})"));
    EXPECT_EQ(body(all[i + 2])["after"], json::parse(R"({"id":2,"v":"a"})"));
    EXPECT_EQ(body(all[i + 3])["before"], json::parse(R"({"id":2,"v":null})"));
  }
}

TEST_F(Formats, DebeziumsTwoRecordsOfAKeyChangeAreTwoLinesOfAPack) {
  settings().set_string("publish", "pack", "transaction");
  start_as("debezium");
  exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  exec("UPDATE t SET id = id + 10");
  const auto all = stored(2);
  std::string ops;
  std::istringstream lines(all[1].payload);
  for (std::string line; std::getline(lines, line);) {
    ops += json::parse(line)["op"].get<std::string>();
  }
  EXPECT_EQ(ops, "dcdc");
  EXPECT_EQ(all[1].headers.at("Walferry-Changes"), "4");
}

TEST_F(Formats, DebeziumEncodesWhatTheServerPrints) {
  exec("CREATE DOMAIN price AS numeric(10,2); CREATE EXTENSION hstore");
  create_table(
      "every",
      "id int PRIMARY KEY, n numeric(12,2), any_n numeric, p price, m money, d date, "
      "t time, t3 time(3), ts timestamp, ts3 timestamp(3), tz timestamptz, tz0 "
      "timestamptz(0), ttz timetz, i interval, b bit, bs bit(9), vb bit varying, pt point, "
      "by bytea, h hstore, prices numeric(12,2)[], big text, doc jsonb");
  exec("ALTER TABLE every ALTER big SET STORAGE EXTERNAL");
  start_as("debezium");
  exec(
      "INSERT INTO every VALUES (1, 12.3, 12.300, 9.90, 1234.5, '2018-06-20', '10:00:00.5', "
      "'10:00:00.5', '2018-06-20 15:13:16.945104', '2018-06-20 15:13:16.945', "
      "'2026-11-23 10:00:00+02', '0044-03-15 12:00:00+00 BC', '10:00:00+02', '1 day 02:03:04', "
      "B'1', B'100000001', B'101', '(1,1)', '\\x0001feff', 'a=>1,b=>NULL', '{12.30,NULL}', "
      "repeat('x', 3000), '{\"a\": 1}')");
  exec("UPDATE every SET n = 'NaN', d = 'infinity', ts = '-infinity', tz = 'infinity'");
  const auto all = stored(2);
  json row = body(all[0])["after"];
  row.erase("big");
  EXPECT_EQ(row, json::parse(R"({"id":1,"n":"BM4=","any_n":{"scale":1,"value":"ew=="},
    "p":"A94=","m":"AeI6","d":17702,"t":36000500000,"t3":36000500,"ts":1529507596945104,
    "ts3":1529507596945,"tz":"2026-11-23T08:00:00.000000Z","tz0":"-0043-03-15T12:00:00Z",
    "ttz":"08:00:00Z","i":93784000000,"b":true,"bs":"AQE=","vb":"BQ==",
    "pt":{"x":1,"y":1,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAPA/","srid":null},"by":"AAH+/w==",
    "h":"{\"a\":\"1\",\"b\":null}","prices":["BM4=",null],"doc":"{\"a\": 1}"})"));
  row = body(all[1])["after"];
  EXPECT_EQ(row["n"], json::parse(R"({"special":"NaN"})"));
  EXPECT_EQ(row["d"], -2147472692);
  EXPECT_EQ(row["ts"], -9223372036832400000);
  EXPECT_EQ(row["tz"], "infinity");
  EXPECT_EQ(row["big"], "__debezium_unavailable_value");
}

TEST_F(Formats, DebeziumHasItsPlaceholderForWhatIsOmitted) {
  create_table("o", "id int PRIMARY KEY, v text, b bytea, list int[], w text");
  exec("ALTER TABLE o REPLICA IDENTITY FULL");
  settings().set_string("publish", "oversize", "omit").set_string("publish", "max_message", "4KiB");
  start_as("debezium");
  exec("INSERT INTO o VALUES (1, repeat('v', 5000), 'small', '{1}', 'w')");
  exec(
      "UPDATE o SET v = 'v', b = convert_to(repeat('b', 6000), 'UTF8'), list = (SELECT "
      "array_agg(i) FROM generate_series(1, 2000) i)");
  exec("DELETE FROM o");
  const auto all = stored(3);
  for (const Stored& message : all) EXPECT_LE(message.payload.size(), 4U << 10);
  const std::string placeholder = "__debezium_unavailable_value";
  EXPECT_EQ(body(all[0])["after"], json::parse(R"({"id":1,"v":")" + placeholder +
                                               R"(","b":"c21hbGw=","list":[1],"w":"w"})"));
  const std::vector<int> spelled(placeholder.begin(), placeholder.end());
  const json row = {{"id", 1},
                    {"v", "v"},
                    {"b", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="},
                    {"list", spelled},
                    {"w", "w"}};
  EXPECT_EQ(body(all[2])["before"], row);
  json updated = row;
  updated["v"] = placeholder;  // the old one is large, and a column goes from both rows
  EXPECT_EQ(body(all[1])["after"], updated);
  EXPECT_EQ(body(all[1])["before"], updated);
}

TEST_F(Formats, DebeziumIsExactAfterAKillInTheMiddleOfATransaction) {
  create_table("u", "id int PRIMARY KEY");
  start_as("debezium");
  const int rows = scaled(6000, 60000);
  walferry_.stop();
  exec("DO $$ BEGIN FOR i IN 1.." + std::to_string(rows / 2) +
       " LOOP INSERT INTO t VALUES (i, 'x'); INSERT INTO u VALUES (i); END LOOP; END $$");
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:" + std::to_string(rows / 3)});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << walferry_.log();
  start();
  const auto all = stored(static_cast<std::uint64_t>(rows));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const json transaction = body(all[i])["transaction"];
    const std::string ordinal = std::to_string(i + 1);
    const std::string& id = all[i].headers.at("Nats-Msg-Id");
    ASSERT_EQ(id.substr(id.rfind(':') + 1), ordinal);
    ASSERT_EQ(transaction["total_order"], i + 1);
    ASSERT_EQ(transaction["data_collection_order"], i / 2 + 1);
  }
}

TEST_F(Formats, CloudEventsHaveTheirAttributesInHeadersAndTheRecordAsBody) {
  exec("CREATE TABLE \"Ä %\" (id int PRIMARY KEY)");
  settings().table("public.Ä %");
  start_as("cloudevents");
  exec("BEGIN; INSERT INTO t VALUES (1, 'a'); UPDATE t SET v = 'b'; DELETE FROM t; COMMIT");
  exec("TRUNCATE t");
  exec("INSERT INTO \"Ä %\" VALUES (1)");
  wait_stored(5);
  walferry_.kill_hard();
  start();
  exec("INSERT INTO t VALUES (3)");
  oracle_->read();
  const auto all = stored(6);
  const auto records = parse_records(all);  // exact, as in the JSON format
  ASSERT_EQ(records.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const NatsHeaders& headers = all[i].headers;
    EXPECT_EQ(headers.at("ce-specversion"), "1.0");
    EXPECT_EQ(headers.at("ce-id"), headers.at("Nats-Msg-Id"));
    EXPECT_EQ(headers.at("ce-source"), "/walferry/walferry");
    EXPECT_EQ(headers.at("ce-type"), "walferry.change." + records[i].op);
    EXPECT_EQ(headers.at("ce-subject"), i == 4 ? "public.%C3%84%20%25" : "public.t");
    EXPECT_EQ(headers.at("ce-time"), records[i].commit_ts);
    EXPECT_EQ(headers.at("ce-datacontenttype"), "application/json");
    EXPECT_EQ(std::count_if(headers.begin(), headers.end(),
                            [](const auto& header) { return header.first.rfind("ce-", 0) == 0; }),
              7);
  }
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
}

TEST_F(Formats, AChangeOfFormatGoesOnInTheSameStream) {
  start();
  exec("INSERT INTO t VALUES (1, 'a')");
  wait_stored(1);
  walferry_.stop();
  for (const std::string format : {"debezium", "cloudevents", "json"}) {
    start_as(format);
    const std::uint64_t before = stored_records();
    exec("UPDATE t SET v = " + sql_literal(format));
    wait_stored(before + 1);
    walferry_.stop();
  }
  auto all = js().read("CDC");
  std::erase_if(all, [](const Stored& message) { return is_schema_record(message); });
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(body(all[1])["op"], "u");
  EXPECT_EQ(all[2].headers.count("ce-id"), 1U);
  EXPECT_EQ(body(all[3])["op"], "update");
  EXPECT_EQ(all[3].headers.count("ce-id"), 0U);
}

}  // namespace
}  // namespace scenarios
