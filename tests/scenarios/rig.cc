// The common steps of the scenarios.
#include "tests/scenarios/rig.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <regex>
#include <sstream>

namespace scenarios {
namespace {

constexpr std::size_t shown_log = 6000;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::string walferry_binary() {
  const char* chosen = std::getenv("WALFERRY_BINARY");
  return chosen != nullptr ? chosen : WALFERRY_BINARY;
}

Settings settings_for(const std::string& dsn, const std::string& nats_url) {
  Settings settings;
  settings.set_string("source", "dsn", dsn);
  settings.set_string("nats", "url", nats_url);
  return settings;
}

bool says(const std::string& log, const std::string& words) {
  return lower(log).find(lower(words)) != std::string::npos;
}

std::string errors_in(const std::string& log) { return lines_saying(log, "Z error "); }

std::string lines_saying(const std::string& log, const std::string& words) {
  std::istringstream in(log);
  std::string found;
  for (std::string line; std::getline(in, line);) {
    if (says(line, words)) {
      found.append(line).append("\n");
    }
  }
  return found;
}

bool names_number(const std::string& log, std::uint64_t number) {
  return std::regex_search(log, std::regex("\\b" + std::to_string(number) + "\\b"));
}

std::vector<std::uint64_t> lsns_in(const std::string& text) {
  static const std::regex lsn("\\b[0-9A-F]{1,8}/[0-9A-F]{1,8}\\b");
  std::vector<std::uint64_t> found;
  for (std::sregex_iterator match(text.begin(), text.end(), lsn), end; match != end; ++match) {
    found.push_back(parse_lsn(match->str()));
  }
  return found;
}

bool names_lsn(const std::string& text, std::uint64_t lsn) {
  const auto named = lsns_in(text);
  return std::find(named.begin(), named.end(), lsn) != named.end() ||
         text.find(hex16(lsn) + ":") != std::string::npos;
}

Scenario::Scenario(PostgresOptions postgres, NatsOptions nats)
    : postgres_(std::move(postgres)),
      nats_(std::move(nats)),
      walferry_(walferry_binary(), settings_for(postgres_.conninfo(), nats_.url())) {}

void Scenario::TearDown() {
  if (HasFailure()) {
    const std::string log = walferry_.all_logs();
    std::cout << "walferry " << walferry_.state() << "; its log, the end of it:\n"
              << log.substr(log.size() - std::min(log.size(), shown_log)) << std::endl;
    if (!nats_.running()) {
      std::cout << "nats-server is not running; its log, the end of it:\n"
                << nats_.log().substr(nats_.log().size() - std::min(nats_.log().size(), shown_log))
                << std::endl;
    }
  }
}

void Scenario::create_table(const std::string& name, const std::string& columns) {
  exec("CREATE TABLE " + sql_name(name) + " (" + columns + ")");
  settings().table("public." + name);
}

void Scenario::create_load_tables() {
  PgSession session = postgres_.connect();
  Load::create_tables(session);
  for (const auto& table : Load::tables()) {
    settings().table(table);
  }
}

void Scenario::watch() {
  if (oracle_ == nullptr) {
    oracle_ = std::make_unique<Oracle>(postgres_);
  }
}

void Scenario::start(const std::vector<std::string>& args, const std::vector<std::string>& env) {
  watch();
  walferry_.start(args, env);
  wait_streaming();
}

// The slot of a walferry that was killed stays active for a moment: that connection does not count.
void Scenario::wait_streaming(Milliseconds deadline) {
  const auto started = std::chrono::duration_cast<std::chrono::microseconds>(
      walferry_.started_at().time_since_epoch());
  const std::string query =
      "SELECT count(*) FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = "
      "s.active_pid WHERE slot_name = 'walferry' AND confirmed_flush_lsn IS NOT NULL AND "
      "backend_start >= timestamptz 'epoch' + " +
      std::to_string(started.count()) + " * interval '1 microsecond'";
  wait_until([this, &query] { return !walferry_.running() || postgres_.value(query) == "1"; },
             deadline, "walferry streams");
  if (!walferry_.running()) {
    throw std::runtime_error("walferry ended with code " +
                             std::to_string(walferry_.wait_exit().code));
  }
}

std::string Scenario::expect_exit(int code, Milliseconds deadline) {
  const Exit exit = walferry_.wait_exit(deadline);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_EQ(exit.code, code);
  return walferry_.log();
}

void Scenario::wait_stored(std::uint64_t records, Milliseconds deadline) {
  wait_until([&] { return stored_records() >= records; }, deadline,
             std::to_string(records) + " records in the stream");
}

std::uint64_t Scenario::stored_records() {
  const std::uint64_t last = js().last_sequence("CDC");
  // Counted after: of what is missing from the one, nothing is in the other.
  schemas_ = std::max(schemas_, js().count("CDC", "*._schema.>"));
  return last > schemas_ ? last - schemas_ : 0;
}

void Scenario::wait_complete(Milliseconds deadline) {
  oracle_->read();
  wait_stored(oracle_->changes(), deadline);
}

void Scenario::expect_exact(const Expected& expected) {
  wait_complete();
  walferry_.stop();
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_, expected));
}

void Scenario::expect_slot_reaches_end(Milliseconds deadline) {
  const std::uint64_t end = oracle_->read().back().end_lsn;
  wait_until([&] { return postgres_.confirmed_flush("walferry") >= end; }, deadline,
             "the slot's confirmed position reaches " + lsn_text(end));
}

void Scenario::expect_folds_to_load_tables() {
  const auto all = records();
  for (const std::string table : {"load_a", "load_b", "load_c", "load_d"}) {
    EXPECT_EQ(fold(all, "public", table), rows_of(postgres_, Load::select_rows(table))) << table;
  }
}

}  // namespace scenarios
