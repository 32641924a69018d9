// How fast this machine's nats-server takes what walferry would send: the same number of messages
// of the same size under the same headers, each acknowledged, and nothing else done. No record is
// built and no Postgres read, so no publisher that asks for every ack can be much faster.
//
//   append to the out buffer ──▶ socket ──▶ JetStream
//            ▲ while the window has room        │
//            └──────────── acks ◀───────────────┘
//
// One thread, one poll. Each message expects the sequence of the one before, and each ack must
// carry exactly the sequence that its message was sent for; anything else ends the run with an
// error. The stream must be empty. Prints one JSON line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/bench/nats_wire.h"

namespace {

struct Options {
  std::string host = "127.0.0.1", port = "4222";
  std::string stream = "CDC", subject = "cdc.public.bench_rows.insert", slot = "walferry";
  std::string snapshot;  // ids and headers as of a snapshot's rows: "snapshot:public.bench_rows"
  std::uint64_t count = 1'000'000, rows_per_transaction = 1000;
  std::size_t payload = 400;
  std::uint64_t window = 4096, window_bytes = 8U << 20;
  int ack_timeout_ms = 30'000;
};

constexpr std::size_t out_limit = 256U << 10;  // bytes made ahead of the socket

class RawPublisher {
 public:
  explicit RawPublisher(const Options& options)
      : options_(options), wire_(options.host, options.port) {
    while (payload_.size() < options.payload)
      payload_ += static_cast<char>('a' + payload_.size() % 26);
    wire_.out() = "SUB _INBOX.raw.* 1\r\n";
    append(1);
    window_ =
        std::clamp<std::uint64_t>(options.window_bytes / wire_.out().size(), 1, options.window);
  }

  void run() {
    while (acked_ < options_.count) {
      while (sent_ < options_.count && sent_ - acked_ < window_ && wire_.out().size() < out_limit)
        append(sent_ + 1);
      if (!wire_.wait(options_.ack_timeout_ms))
        throw std::runtime_error(fmt::format("no ack after {}", acked_));
      wire_.flush();
      wire_.fill();
      while (const auto ack = wire_.next()) take(*ack);
    }
  }

 private:
  void append(std::uint64_t sequence) {
    // Made-up commit LSNs, as far apart as real ones: the ids have the length of walferry's.
    const std::uint64_t row = sequence - 1;
    const std::uint64_t commit_lsn = 0x1000000 + row / options_.rows_per_transaction * 0x1000;
    const std::uint64_t ordinal = row % options_.rows_per_transaction + 1;
    headers_.clear();
    const auto header = std::back_inserter(headers_);
    fmt::format_to(header, "NATS/1.0\r\nNats-Msg-Id: {}:{:016X}:", options_.slot, commit_lsn);
    if (!options_.snapshot.empty()) fmt::format_to(header, "{}:", options_.snapshot);
    fmt::format_to(header, "{}\r\nNats-Expected-Last-Sequence: {}\r\n", ordinal, row);
    if (!options_.snapshot.empty())
      fmt::format_to(header, "Walferry-Position: {:016X}:0\r\n", commit_lsn);
    headers_ += "\r\n";
    std::string& out = wire_.out();
    fmt::format_to(std::back_inserter(out), "HPUB {} _INBOX.raw.{} {} {}\r\n", options_.subject,
                   sequence, headers_.size(), headers_.size() + payload_.size());
    out += headers_;
    out += payload_;
    out += "\r\n";
    sent_ = sequence;
  }

  void take(const bench::Incoming& ack) {
    const auto sequence = bench::acked_sequence(ack.payload, options_.stream);
    const std::uint64_t expected = acked_ + 1;
    if (sequence != expected || !ack.subject.ends_with(fmt::format(".{}", expected)))
      throw std::runtime_error(fmt::format("ack {} for {} where sequence {} was due", ack.payload,
                                           ack.subject, expected));
    acked_ = expected;
  }

  Options options_;
  bench::NatsWire wire_;
  std::string payload_, headers_;
  std::uint64_t sent_ = 0, acked_ = 0, window_ = 0;
};

void publish_all(const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  RawPublisher(options).run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print("{{\"count\":{},\"seconds\":{:.6f}}}\n", options.count, took.count());
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Publishes --count messages with an ack each, as fast as JetStream takes them");
  app.add_option("--host", o.host);
  app.add_option("--port", o.port);
  app.add_option("--stream", o.stream);
  app.add_option("--subject", o.subject);
  app.add_option("--slot", o.slot, "the first part of Nats-Msg-Id");
  app.add_option("--snapshot", o.snapshot, "ids and headers as of a snapshot's rows");
  app.add_option("--count", o.count)->check(CLI::PositiveNumber);
  app.add_option("--rows-per-transaction", o.rows_per_transaction)->check(CLI::PositiveNumber);
  app.add_option("--payload", o.payload, "bytes");
  app.add_option("--window", o.window, "messages in flight");
  app.add_option("--window-bytes", o.window_bytes);
  CLI11_PARSE(app, argc, argv);
  try {
    publish_all(o);
  } catch (const std::exception& e) {
    fmt::print(stderr, "raw_publisher: {}\n", e.what());
    return 1;
  }
  return 0;
}
