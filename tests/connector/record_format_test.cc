// Whole records of each format, from what a real PostgreSQL sent (tests/wire), byte for byte
// against tests/golden. A difference shows the new text; WALFERRY_WRITE_GOLDEN=1 writes the files
// anew.
#include "connector/record_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "connector/message_position.h"
#include "pg/pgoutput.h"
#include "tests/pg/wire.h"

namespace connector {
namespace {

// All that is no type of every server in the captures is an enum.
std::optional<pg::TypeRow> an_enum(pg::TypeId) { return pg::TypeRow{.type = 'e', .name = "mood"}; }

// What the pump does with a capture, without its servers: a line for each record, headers first.
class Writer {
 public:
  explicit Writer(const std::string& format) : types_(an_enum), values_(types_), config_() {
    config_.publish.format = format;
    config_.source.slot = "walferry";
    format_.emplace(config_, "app", types_);
  }

  std::string lines(const std::string& capture) {
    pg::PgoutputDecoder decoder;
    for (const pg::Captured& message : pg::captured(capture)) {
      lsn_ = pg::parse_lsn(message.lsn).value();
      std::visit([this](const auto& change) { on(change); }, decoder.decode(message.bytes));
    }
    return lines_;
  }

 private:
  void on(const pg::Begin& begin) {
    transaction_.begin(begin);
    format_->begin(begin);
    ordinal_ = 0;
  }
  void on(const pg::Insert& change) {
    write(*change.relation, Op::insert,
          [&](const auto& table, std::string& out) { table.insert(out, change); });
  }
  void on(const pg::Update& change) {
    const TableEncoder json(*change.relation, {}, "cdc", values_);
    if (format_->is_two(json, change)) {
      format_->count(change.relation->id);
      std::string removal, creation;
      format_->write_two(removal, creation, format_->table(*change.relation, json), change, lsn_,
                         ++ordinal_);
      lines_ += removal + "\n" + creation + "\n";
      return;
    }
    write(*change.relation, Op::update,
          [&](const auto& table, std::string& out) { table.update(out, change); });
  }
  void on(const pg::Delete& change) {
    write(*change.relation, Op::remove,
          [&](const auto& table, std::string& out) { table.remove(out, change); });
  }
  void on(const pg::Truncate& change) {
    for (const pg::Relation* relation : change.relations) {
      write(*relation, Op::truncate,
            [](const auto& table, std::string& out) { table.truncate(out); });
    }
  }
  void on(const pg::Message& message) {
    if (message.transactional) {
      ++ordinal_;
      format_->count_message();
    }
    std::string body;
    if (format_->message(body, message, message.transactional ? ordinal_ : 0))
      lines_ += body + "\n";
  }
  template <class Other>
  void on(const Other&) {}

  template <class Encode>
  void write(const pg::Relation& relation, Op op, Encode encode) {
    ++ordinal_;
    format_->count(relation.id);
    const TableEncoder json(relation, {}, "cdc", values_);
    const RecordFormat::Table table = format_->table(relation, json);
    std::string body;
    format_->write(body, table, json, transaction_, op, lsn_, ordinal_, encode);
    format_->finish(body, transaction_, false);
    const std::string id =
        "walferry:" + to_string(pg::Position{transaction_.commit_lsn(), ordinal_});
    for (const publisher::Header& header : format_->headers(op, id.c_str(), table.event_subject)) {
      lines_ += std::string(header.name) + ": " + header.value + "\n";
    }
    lines_ += body + "\n";
  }

  pg::TypeCatalog types_;
  StructuredValues values_;
  Config config_;
  std::optional<RecordFormat> format_;
  TransactionEncoder transaction_;
  pg::Lsn lsn_;
  std::uint64_t ordinal_ = 0;
  std::string lines_;
};

void expect_golden(const std::string& name, const std::string& lines) {
  const std::string path = std::string(WALFERRY_SOURCE_DIR) + "/tests/golden/" + name;
  if (std::getenv("WALFERRY_WRITE_GOLDEN") != nullptr) std::ofstream(path) << lines;
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_FALSE(lines.empty()) << name;
  EXPECT_EQ(lines, golden.str()) << path;
}

const std::vector<std::string> captures = {"rows",    "toast",      "full",  "by_index", "truncate",
                                           "altered", "identities", "kinds", "messages"};

TEST(RecordFormat, DebeziumIsWhatTheGoldenFilesSay) {
  for (const std::string& capture : captures) {
    expect_golden("debezium_" + capture + ".jsonl", Writer("debezium").lines(capture));
  }
}

TEST(RecordFormat, CloudEventsAreWhatTheGoldenFilesSay) {
  for (const std::string capture : {"rows", "truncate"}) {
    expect_golden("cloudevents_" + capture + ".txt", Writer("cloudevents").lines(capture));
  }
}

TEST(RecordFormat, TheBodyOfACloudEventIsTheJsonRecord) {
  for (const std::string& capture : captures) {
    std::istringstream events(Writer("cloudevents").lines(capture));
    std::string bodies;
    for (std::string line; std::getline(events, line);) {
      if (line.front() == '{') bodies += line + "\n";
    }
    EXPECT_EQ(bodies, Writer("json").lines(capture));
  }
}

TEST(RecordFormat, DebeziumsFieldsStandInTheOrderOfItsSchemas) {
  std::istringstream lines(Writer("debezium").lines("rows"));
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::ordered_json::parse(line);
    std::string names;
    for (const auto& [name, value] : record.items()) names += name + " ";
    EXPECT_EQ(names, "before after source transaction op ts_ms ts_us ts_ns ");
    names.clear();
    for (const auto& [name, value] : record["source"].items()) names += name + " ";
    EXPECT_EQ(names,
              "version connector name ts_ms snapshot db sequence ts_us ts_ns schema table txId lsn "
              "xmin ");
    EXPECT_EQ(nlohmann::json::parse(record["source"]["sequence"].get<std::string>()).size(), 2U);
  }
}

TEST(RecordFormat, DebeziumCountsByTableAndBeginsAnewWithEachTransaction) {
  DebeziumValues values;
  pg::TypeCatalog types(an_enum);
  pg::Relation a{.id = pg::RelationId(1), .schema = "s", .name = "a", .columns = {}};
  pg::Relation b{.id = pg::RelationId(2), .schema = "s", .name = "b", .columns = {}};
  const DebeziumEncoder encoder_a(a, types, values, std::vector<bool>(a.columns.size(), true));
  const DebeziumEncoder encoder_b(b, types, values, std::vector<bool>(b.columns.size(), true));
  DebeziumTransaction transaction("cdc", "app");
  const auto orders = [&](const DebeziumEncoder& table, std::uint64_t ordinal) {
    std::string out = "{\"before\":null,\"after\":null";
    transaction.append_end(out, table, Op::truncate, pg::Lsn(5), ordinal);
    return nlohmann::json::parse(out)["transaction"];
  };
  transaction.begin({pg::Lsn(10), {}, pg::TransactionId(7)});
  transaction.count(a.id);
  transaction.count(b.id);
  transaction.count(a.id);
  EXPECT_EQ(orders(encoder_a, 3),
            (nlohmann::json{{"id", "7:10"}, {"total_order", 3}, {"data_collection_order", 2}}));
  EXPECT_EQ(orders(encoder_b, 2)["data_collection_order"], 1);
  transaction.begin({pg::Lsn(20), {}, pg::TransactionId(8)});
  transaction.count(a.id);
  EXPECT_EQ(orders(encoder_a, 1)["data_collection_order"], 1);
}

TEST(RecordFormat, DebeziumTimesAreTheCommitsAndFloorBeforeTheEpoch) {
  DebeziumTransaction transaction("cdc", "app");
  std::string out;
  // 1969-12-31 23:59:59.999999
  transaction.begin({pg::Lsn(10), {-946684800000001}, pg::TransactionId(7)});
  transaction.message(out, {true, pg::Lsn(9), "p", "c"}, 1);
  const auto record = nlohmann::json::parse(out);
  EXPECT_EQ(record["ts_ms"], -1);
  EXPECT_EQ(record["source"]["ts_us"], -1);
  EXPECT_EQ(record["source"]["ts_ns"], -1000);
}

TEST(RecordFormat, DebeziumLogicalMessages) {
  DebeziumTransaction transaction("cdc", "app");
  transaction.begin({pg::Lsn(0x20), {}, pg::TransactionId(7)});
  transaction.count_message();
  std::string out;
  transaction.message(out, {true, pg::Lsn(0x10), "out\"box", std::string_view("\0\xFF\"", 3)}, 4);
  EXPECT_EQ(out,
            R"({"op":"m","ts_ms":946684800000,"ts_us":946684800000000,)"
            R"("ts_ns":946684800000000000,"source":{"version":"walferry","connector":"postgresql",)"
            R"("name":"cdc","ts_ms":946684800000,"snapshot":"false","db":"app",)"
            R"("sequence":"[\"32\",\"16\"]","ts_us":946684800000000,"ts_ns":946684800000000000,)"
            R"("schema":"","table":"","txId":7,"lsn":16,"xmin":null},)"
            R"("transaction":{"id":"7:32","total_order":4,"data_collection_order":1},)"
            R"("message":{"prefix":"out\"box","content":"AP8i"}})");
  out.clear();
  transaction.message(out, {false, pg::Lsn(0x30), "p", ""}, 0);
  const auto record = nlohmann::json::parse(out);
  EXPECT_TRUE(record["transaction"].is_null());
  EXPECT_TRUE(record["source"]["txId"].is_null());
  EXPECT_TRUE(record["ts_ms"].is_null());
  EXPECT_EQ(record["source"]["ts_ms"], 0);
  EXPECT_EQ(record["source"]["lsn"], 0x30);
}

TEST(CloudEvent, AttributesAreEscapedAsTheBindingSays) {
  EXPECT_EQ(escape_attribute("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");  // its example
  EXPECT_EQ(escape_attribute("a\"b%c\r\n\x7F~!"), "a%22b%25c%0D%0A%7F~!");
  EXPECT_EQ(escape_attribute(""), "");
}

TEST(CloudEvent, HeadersFitTheRoomThatIsKeptForThem) {
  std::string name;
  while (name.size() < 63) name += "\xC3\xA4";
  CloudEvent event(std::string(63, 's'));
  event.set_time("2026-11-23T10:00:00.123456Z");
  std::string id(63, 's');
  id += ":0123456789ABCDEF:18446744073709551615.9999999999";
  std::size_t bytes = 0;
  const std::string subject = escape_attribute(fmt::format("{0}.{0}", name));
  for (const auto& header : event.headers("truncate", id.c_str(), subject)) {
    bytes += std::string(header.name).size() + std::string(header.value).size() + 4;
  }
  EXPECT_LE(bytes, CloudEvent::most_header_bytes);
}

}  // namespace
}  // namespace connector
