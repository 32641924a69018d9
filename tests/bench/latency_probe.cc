// How long a committed row takes until JetStream has acknowledged it: commits single-row
// transactions at a steady pace and watches, in the same process and by the same clock, the acks
// that the server sends to whoever published (a wildcard subscription to the inboxes of the
// account).
//
// One committer makes stream order the order of its commits, so the ack of sequence base + i
// belongs to commit i. Two latencies: from before COMMIT was sent, which includes Postgres's own
// sync to disk, and from COMMIT's return, the moment at which the application goes on. The pace
// does not wait for acks; what the committer could not keep up with shows as a rate below --rate.
// Prints one JSON line.
#include <fmt/format.h>
#include <libpq-fe.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/nats_wire.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string dsn, host = "127.0.0.1", port = "4222", stream = "CDC", insert;
  std::uint64_t base_sequence = 0, first_id = 1, count = 5000;
  double rate = 500;
  int ack_timeout_ms = 10'000;
};

struct CommitTimes {
  Clock::time_point sent, returned;
};

struct CloseConnection {
  void operator()(PGconn* c) const noexcept { PQfinish(c); }
};
using Connection = std::unique_ptr<PGconn, CloseConnection>;

void expect_ok(PGconn* conn, PGresult* result) {
  const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  if (!good) throw std::runtime_error(PQerrorMessage(conn));
}

Connection connect(const Options& o) {
  Connection conn(PQconnectdb(o.dsn.c_str()));
  if (PQstatus(conn.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(conn.get()));
  expect_ok(conn.get(), PQprepare(conn.get(), "insert", o.insert.c_str(), 1, nullptr));
  return conn;
}

std::vector<CommitTimes> commit_all(const Options& o, PGconn* conn) {
  std::vector<CommitTimes> commits;
  commits.reserve(o.count);
  const auto begin = Clock::now();
  for (std::uint64_t i = 0; i < o.count; ++i) {
    const std::chrono::duration<double> offset(static_cast<double>(i) / o.rate);
    std::this_thread::sleep_until(begin + std::chrono::duration_cast<Clock::duration>(offset));
    const std::string id = std::to_string(o.first_id + i);
    const char* const value = id.c_str();
    expect_ok(conn, PQexec(conn, "BEGIN"));
    expect_ok(conn, PQexecPrepared(conn, "insert", 1, &value, nullptr, nullptr, 0));
    const auto sent = Clock::now();
    expect_ok(conn, PQexec(conn, "COMMIT"));
    commits.push_back({sent, Clock::now()});
  }
  return commits;
}

// When the ack of each commit arrived. A whole ack timeout without one is an error.
std::vector<Clock::time_point> watch_acks(const Options& o, bench::NatsWire& wire) {
  std::vector<Clock::time_point> acked;
  acked.reserve(o.count);
  while (acked.size() < o.count) {
    if (!wire.wait(o.ack_timeout_ms))
      throw std::runtime_error(fmt::format("{} of {} acks came", acked.size(), o.count));
    wire.flush();
    wire.fill();
    const auto now = Clock::now();
    while (const auto message = wire.next()) {
      const auto sequence = bench::acked_sequence(message->payload, o.stream);
      if (!sequence) continue;
      if (*sequence != o.base_sequence + acked.size() + 1)
        throw std::runtime_error(fmt::format("sequence {} was acked where {} was due", *sequence,
                                             o.base_sequence + acked.size() + 1));
      acked.push_back(now);
    }
  }
  return acked;
}

// "name": {median, 99th percentile, maximum}, in milliseconds.
std::string summary(const std::string& name, std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  const auto at = [&ms](std::size_t percent) { return ms[(ms.size() - 1) * percent / 100]; };
  return fmt::format("\"{}\":{{\"median_ms\":{:.3f},\"p99_ms\":{:.3f},\"max_ms\":{:.3f}}}", name,
                     at(50), at(99), at(100));
}

void probe(const Options& o) {
  const Connection conn = connect(o);
  bench::NatsWire wire(o.host, o.port);
  wire.out() = "SUB _INBOX.> 1\r\nPING\r\n";
  wire.flush();
  auto committer = std::async(std::launch::async, [&] { return commit_all(o, conn.get()); });
  const std::vector<Clock::time_point> acked = watch_acks(o, wire);
  const std::vector<CommitTimes> commits = committer.get();
  using Milliseconds = std::chrono::duration<double, std::milli>;
  std::vector<double> commit, from_sent, from_returned;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    commit.push_back(Milliseconds(commits[i].returned - commits[i].sent).count());
    from_sent.push_back(Milliseconds(acked[i] - commits[i].sent).count());
    from_returned.push_back(Milliseconds(acked[i] - commits[i].returned).count());
  }
  const std::chrono::duration<double> took = commits.back().returned - commits.front().sent;
  fmt::print("{{\"count\":{},\"rate\":{:.1f},{},{},{}}}\n", o.count,
             static_cast<double>(o.count - 1) / took.count(), summary("commit", commit),
             summary("from_commit_sent", from_sent),
             summary("from_commit_returned", from_returned));
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Commits rows at a steady pace and times their acks");
  app.add_option("--dsn", o.dsn)->required();
  app.add_option("--host", o.host);
  app.add_option("--port", o.port);
  app.add_option("--stream", o.stream);
  app.add_option("--insert", o.insert, "the statement; $1 is the row's id")->required();
  app.add_option("--base-sequence", o.base_sequence, "the stream's last sequence now")->required();
  app.add_option("--first-id", o.first_id);
  app.add_option("--count", o.count)->check(CLI::Range(2, 10'000'000));
  app.add_option("--rate", o.rate, "transactions a second")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    probe(o);
  } catch (const std::exception& e) {
    fmt::print(stderr, "latency_probe: {}\n", e.what());
    return 1;
  }
  return 0;
}
