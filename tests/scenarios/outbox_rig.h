// An application with an outbox, and a walferry that publishes it: public.outbox from
// outbox/schema.sql, aggregates whose rows the writers lock before they write events, and a counter
// in each that says how many events it has.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/scenarios/rig.h"

namespace scenarios {

// The text of a file of the repository.
std::string source_file(const std::string& name);

struct OutboxWriterOptions {
  int writers = 16;
  int aggregates = 8;
  bool rolls_back = true;
};

// Each transaction locks an aggregate, counts up, writes one to three events, waits a little before
// and after, and in one of five cases rolls back. Ids are taken long before the commit.
class OutboxWriters {
 public:
  explicit OutboxWriters(std::string conninfo, OutboxWriterOptions options = {});
  ~OutboxWriters();
  OutboxWriters(const OutboxWriters&) = delete;
  OutboxWriters& operator=(const OutboxWriters&) = delete;

  void stop();
  std::uint64_t transactions() const { return transactions_.load(); }
  void wait_for_more(std::uint64_t transactions, Milliseconds deadline = seconds(60));

 private:
  void write(unsigned seed);

  std::string conninfo_;
  OutboxWriterOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> transactions_{0};
  std::vector<std::thread> threads_;
};

class OutboxScenario : public Scenario {
 protected:
  explicit OutboxScenario(PostgresOptions postgres = {}, NatsOptions nats = {})
      : Scenario(std::move(postgres), std::move(nats)) {}
  void SetUp() override;

  // An [[outbox]] of public.outbox with that capture; more lines of TOML.
  void publish_outbox(const std::string& capture, const std::string& more = "");
  // As the role "poller", which may log in, SELECT and nothing else.
  void be_a_reader_only(bool deletes = false);
  void add_aggregates(int aggregates = 8);
  // "INSERT INTO outbox …" of one event.
  static std::string event(const std::string& aggregate, const std::string& payload = "{}");

  std::vector<Stored> events() { return js().read("CDC"); }
  std::uint64_t expected_events();
  void wait_events(std::uint64_t count, Milliseconds deadline = seconds(60));
  // Each event of each aggregate once, in the order of commits.
  void expect_every_event_once();
};

}  // namespace scenarios
