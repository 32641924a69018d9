// What most scenarios stand on: one Postgres, one nats-server, one walferry between them, and the
// oracle that knows what was committed. A failed test prints the log of walferry.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/servers/checker.h"
#include "tests/servers/load.h"
#include "tests/servers/nats_server.h"
#include "tests/servers/oracle.h"
#include "tests/servers/postgres.h"
#include "tests/servers/tcp_proxy.h"
#include "tests/servers/walferry.h"

namespace scenarios {

// Scenarios are written in its words.
using namespace servers;  // NOLINT(google-build-using-namespace)

// The binary under test: $WALFERRY_BINARY, else the one that was built.
std::string walferry_binary();

// Slot, stream and prefix by their defaults.
Settings settings_for(const std::string& dsn, const std::string& nats_url);

// The log has the words, in any case.
bool says(const std::string& log, const std::string& words);
// The log's lines of level error.
std::string errors_in(const std::string& log);
// The log's lines that have the words, in any case.
std::string lines_saying(const std::string& log, const std::string& words);
// The log has the number as a word of its own.
bool names_number(const std::string& log, std::uint64_t number);
// The LSNs that a text names, in order.
std::vector<std::uint64_t> lsns_in(const std::string& text);
// As "16/B374D848", or as a position: "00000016B374D848:1".
bool names_lsn(const std::string& text, std::uint64_t lsn);

class Scenario : public testing::Test {
 protected:
  explicit Scenario(PostgresOptions postgres = {}, NatsOptions nats = {});
  void TearDown() override;

  Settings& settings() { return walferry_.settings(); }
  // Creates the table and publishes it: create_table("t", "id int PRIMARY KEY, v text").
  void create_table(const std::string& name, const std::string& columns);
  void create_load_tables();
  // From now on the oracle watches. Called by start() at the latest.
  void watch();
  // Starts walferry and waits until it streams: what commits from here on must appear.
  void start(const std::vector<std::string>& args = {}, const std::vector<std::string>& env = {});
  void wait_streaming(Milliseconds deadline = seconds(60));
  // Walferry ends by itself with this code; its log is returned.
  std::string expect_exit(int code, Milliseconds deadline = seconds(60));
  void wait_stored(std::uint64_t records, Milliseconds deadline = seconds(60));
  // The stream's last sequence, less the schema records that it was seen to hold: how many records
  // were ever stored.
  std::uint64_t stored_records();
  // All that was committed is stored.
  void wait_complete(Milliseconds deadline = seconds(90));
  // ... and walferry ends cleanly, and the stream holds each change once, in order.
  void expect_exact(const Expected& expected = {});
  void expect_slot_reaches_end(Milliseconds deadline = seconds(30));
  void expect_folds_to_load_tables();
  std::vector<Record> records() { return parse_records(js().read("CDC")); }
  JetStream js() { return nats_.jetstream(); }
  void exec(const std::string& sql) { postgres_.exec(sql); }

  PostgresCluster postgres_;
  NatsServer nats_;
  Walferry walferry_;
  std::unique_ptr<Oracle> oracle_;
  std::uint64_t schemas_ = 0;
};

}  // namespace scenarios
