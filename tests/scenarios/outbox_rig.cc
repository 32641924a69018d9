#include "tests/scenarios/outbox_rig.h"

#include <fstream>
#include <random>
#include <set>
#include <sstream>

namespace scenarios {

std::string source_file(const std::string& name) {
  std::ifstream file(std::string(WALFERRY_SOURCE_DIR) + "/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

OutboxWriters::OutboxWriters(std::string conninfo, OutboxWriterOptions options)
    : conninfo_(std::move(conninfo)), options_(options) {
  std::random_device random;
  for (int i = 0; i < options_.writers; ++i) {
    threads_.emplace_back([this, seed = random()] { write(seed); });
  }
}

OutboxWriters::~OutboxWriters() { stop(); }

void OutboxWriters::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void OutboxWriters::wait_for_more(std::uint64_t transactions, Milliseconds deadline) {
  const std::uint64_t goal = transactions_ + transactions;
  wait_until([&] { return transactions_ >= goal; }, deadline, "more transactions of the writers");
}

void OutboxWriters::write(unsigned seed) {
  std::mt19937 random(seed);
  const auto upto = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  PgSession session(conninfo_);
  while (!stop_) {
    const std::string aggregate = std::to_string(1 + upto(options_.aggregates - 1));
    const auto pause = [&] { return "SELECT pg_sleep(" + std::to_string(upto(9)) + " / 1000.0);"; };
    std::string sql = "BEGIN; SELECT 1 FROM aggregates WHERE id = " + aggregate + " FOR UPDATE;";
    for (int i = upto(2); i >= 0; --i) {
      sql += "WITH n AS (UPDATE aggregates SET events = events + 1 WHERE id = " + aggregate +
             " RETURNING id, events) INSERT INTO outbox (aggregate_type, aggregate_id, event_type,"
             " payload) SELECT 'order', id::text, 'changed', jsonb_build_object('a', id, 'v', "
             "events) FROM n;" +
             pause();
    }
    const bool back = options_.rolls_back && upto(4) == 0;
    session.exec(sql);
    session.exec(back ? "ROLLBACK" : "COMMIT");
    if (!back) ++transactions_;
    session.exec(pause());
  }
}

void OutboxScenario::SetUp() {
  exec(source_file("outbox/schema.sql"));
  settings().no_tables();
}

void OutboxScenario::publish_outbox(const std::string& capture, const std::string& more) {
  settings().raw("[[outbox]]\ntable = \"public.outbox\"\ncapture = \"" + capture + "\"\n" + more);
}

void OutboxScenario::be_a_reader_only(bool deletes) {
  exec("CREATE ROLE poller LOGIN; GRANT SELECT ON outbox TO poller");
  if (deletes) exec("GRANT DELETE ON outbox TO poller");
  settings().set_string("source", "dsn", postgres_.conninfo("poller"));
}

void OutboxScenario::add_aggregates(int aggregates) {
  exec(
      "CREATE TABLE aggregates (id int PRIMARY KEY, events int NOT NULL DEFAULT 0);"
      "INSERT INTO aggregates SELECT generate_series(1, " +
      std::to_string(aggregates) + ")");
}

std::string OutboxScenario::event(const std::string& aggregate, const std::string& payload) {
  return "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload) VALUES "
         "('order', " +
         sql_literal(aggregate) + ", 'changed', " + sql_literal(payload) + ");";
}

std::uint64_t OutboxScenario::expected_events() {
  return std::stoull(postgres_.value("SELECT coalesce(sum(events), 0) FROM aggregates"));
}

void OutboxScenario::wait_events(std::uint64_t count, Milliseconds deadline) {
  wait_until([&] { return js().message_count("CDC") >= count; }, deadline,
             std::to_string(count) + " events in the stream");
}

void OutboxScenario::expect_every_event_once() {
  std::map<int, int> versions;
  std::set<std::string> ids;
  for (const Stored& stored : events()) {
    EXPECT_TRUE(ids.insert(stored.headers.at("Nats-Msg-Id")).second)
        << stored.headers.at("Nats-Msg-Id");
    const auto payload = nlohmann::json::parse(stored.payload);
    const int aggregate = payload.at("a").get<int>();
    EXPECT_EQ(payload.at("v").get<int>(), ++versions[aggregate])
        << "of aggregate " << aggregate << ", at message " << stored.sequence;
    versions[aggregate] = payload.at("v").get<int>();
  }
  for (const SqlRow& row : postgres_.query("SELECT id, events FROM aggregates WHERE events > 0")) {
    EXPECT_EQ(versions[std::stoi(*row[0])], std::stoi(*row[1])) << "of aggregate " << *row[0];
  }
}

}  // namespace scenarios
