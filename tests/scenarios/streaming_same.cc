// The same WAL through two walferrys, one with streaming and one without: the streams are equal
// byte for byte, whatever several writers do at once in large transactions.
#include <atomic>
#include <random>
#include <thread>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

// One application with a table of its own, "w<n>", and one that it shares, "shared". Its
// transactions are large, nested, altered, truncated, and rolled back at all levels.
class Writer {
 public:
  Writer(const std::string& conninfo, int number, unsigned seed)
      : session_(conninfo), number_(number), table_("w" + std::to_string(number)), random_(seed) {}

  void transaction() {
    session_.exec("BEGIN");
    int depth = 0;
    with_messages_ = upto(3) == 1;
    const int steps = upto(10);
    for (int i = 0; i < steps; ++i) {
      step(depth);
    }
    session_.exec(upto(5) == 1 ? "ROLLBACK" : "COMMIT");
  }

 private:
  int upto(int most) { return std::uniform_int_distribution<int>(1, most)(random_); }
  std::string ids(int count) {
    const long first = next_id_;
    next_id_ += count;
    return "generate_series(" + std::to_string(first) + ", " + std::to_string(next_id_ - 1) + ") i";
  }
  void insert(const std::string& table, int count) {
    session_.exec("INSERT INTO " + table + " (id, v) SELECT i, repeat('v', i::int % 200) FROM " +
                  ids(count));
  }
  void copy() {
    std::string data;
    for (int i = 0; i < 300; ++i) {
      data += std::to_string(next_id_++) + "\tcopied\n";
    }
    session_.copy_in("COPY " + table_ + " (id, v) FROM STDIN", data);
  }
  void step(int& depth) {
    const std::string savepoint = "s" + std::to_string(depth);
    const std::string above = "s" + std::to_string(depth - 1);
    switch (upto(14)) {
      case 1:
      case 2:
        if (with_messages_) return insert(table_, 400);
        session_.exec("SAVEPOINT " + savepoint);
        ++depth;
        return insert(table_, 400);
      case 3:
      case 4:
        if (depth == 0) return insert(table_, 200);
        session_.exec("ROLLBACK TO " + above);
        return insert(table_, 100);
      case 5:
        if (depth == 0) return insert(table_, 200);
        session_.exec("RELEASE " + above);
        --depth;
        return;
      case 6:
        session_.exec("ALTER TABLE " + table_ + " ADD COLUMN c" + std::to_string(columns_++) +
                      " int DEFAULT " + std::to_string(upto(9)));
        return insert(table_, 300);
      case 7: session_.exec("TRUNCATE " + table_); return;
      case 8: return copy();
      case 9: session_.exec("UPDATE " + table_ + " SET v = 'u' || v WHERE id % 3 = 0"); return;
      case 10: session_.exec("DELETE FROM " + table_ + " WHERE id % 5 = 0"); return;
      case 11:
        if (with_messages_) {
          session_.exec("SELECT pg_logical_emit_message(true, 'note', repeat('m', 3000))");
        }
        session_.exec("SELECT pg_logical_emit_message(false, 'note', 'outside')");
        return;
      case 12: return insert("shared", 50);
      default: return insert(table_, 500);
    }
  }

  PgSession session_;
  int number_;
  std::string table_;
  std::mt19937 random_;
  bool with_messages_ = false;  // beside savepoints they would end the streaming
  long next_id_ = number_ * 100'000'000L;
  int columns_ = 0;
};

class StreamingSame : public Scenario {
 protected:
  StreamingSame()
      : Scenario({.settings = {"logical_decoding_work_mem=64kB"}}),
        whole_(walferry_binary(), settings_for(postgres_.conninfo(), whole_nats_.url())) {}

  static constexpr int writers = 3;

  void SetUp() override {
    create("shared");
    for (int i = 1; i <= writers; ++i) {
      create("w" + std::to_string(i));
    }
    create_load_tables();
    for (const auto& table : Load::tables()) {
      whole_.settings().table(table);
    }
    settings().set_string("source", "streaming", "on");
    whole_.settings().set_string("source", "slot", "whole");
    whole_.settings().set_string("source", "publication", "walferry");
  }
  void create(const std::string& table) {
    create_table(table, "id bigint PRIMARY KEY, v text");
    whole_.settings().table("public." + table);
  }
  void start_both() {
    start();
    whole_.start();
    wait_until(
        [this] {
          return postgres_.value(
                     "SELECT active AND confirmed_flush_lsn IS NOT NULL FROM pg_replication_slots "
                     "WHERE slot_name = 'whole'") == "t";
        },
        seconds(60), "the walferry without streaming streams");
  }
  void write(unsigned seed, int transactions) {
    std::vector<std::thread> threads;
    for (int i = 1; i <= writers; ++i) {
      threads.emplace_back([this, seed, transactions, i] {
        Writer writer(postgres_.conninfo(), i, seed + static_cast<unsigned>(i));
        for (int n = 0; n < transactions; ++n) writer.transaction();
      });
    }
    for (auto& thread : threads) thread.join();
  }
  long of_slot(const std::string& column, const std::string& slot) {
    const std::string value =
        postgres_.value("SELECT " + column +
                        " FROM pg_stat_replication_slots WHERE slot_name = " + sql_literal(slot));
    return value.empty() ? 0 : std::stol(value);
  }

  // Subject, id without the slot, and body of each message.
  static std::vector<std::string> lines(const std::vector<Stored>& stored) {
    std::vector<std::string> result;
    for (const Stored& message : stored) {
      const std::string id = message.headers.at("Nats-Msg-Id");
      result.push_back(message.subject + " " + id.substr(id.find(':')) + " " + message.payload);
    }
    return result;
  }

  NatsServer whole_nats_;
  Walferry whole_;
};

TEST_F(StreamingSame, TheStreamsOfTheSameWalAreEqualByteForByte) {
  start_both();
  const unsigned seed = std::random_device()();
  std::cout << "writers with seed " << seed << std::endl;
  Load load(postgres_.conninfo(), {.writers = 2});
  write(seed, scaled(12, 150));
  load.stop();
  oracle_->read();
  const auto expected = oracle_->changes();
  wait_stored(expected, seconds(scaled(120, 900)));
  const auto whole_records = [&] {
    auto whole = whole_nats_.jetstream();
    return whole.last_sequence("CDC") - whole.count("CDC", "cdc._schema.>");
  };
  wait_until([&] { return whole_records() >= expected; }, seconds(scaled(120, 900)),
             "all is stored without streaming");
  EXPECT_GT(of_slot("stream_txns", "walferry"), 3);
  EXPECT_EQ(of_slot("stream_txns", "whole"), 0);
  walferry_.stop();
  whole_.stop();
  const auto streamed = lines(js().read("CDC"));
  const auto whole = lines(whole_nats_.jetstream().read("CDC"));
  ASSERT_EQ(stored_records(), expected);
  ASSERT_EQ(whole.size(), streamed.size());
  for (std::size_t i = 0; i < streamed.size(); ++i) {
    ASSERT_EQ(streamed[i], whole[i]) << "message " << i + 1;
  }
}

}  // namespace
}  // namespace scenarios
