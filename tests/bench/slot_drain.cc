// How fast this machine's Postgres decodes and sends the slot: the same START_REPLICATION as
// walferry's, every message received by libpq and dropped. Nothing is decoded beyond its first
// byte.
//
// Status updates go out every second, so that the server neither gives up nor waits, and name 0/0
// as flushed: the slot stays where it was, ready for the next contender. Ends when a Commit or a
// keepalive has reached --until. Prints one JSON line.
// Protocol: https://www.postgresql.org/docs/current/protocol-replication.html
#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using Clock = std::chrono::steady_clock;

struct Close {
  void operator()(PGconn* c) const noexcept { PQfinish(c); }
  void operator()(PGresult* r) const noexcept { PQclear(r); }
  void operator()(char* bytes) const noexcept { PQfreemem(bytes); }
};

struct Options {
  std::string dsn, slot, publications, until;
};

std::uint64_t parse_lsn(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) throw std::runtime_error("not an LSN: " + text);
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  const char* const begin = text.data();
  const auto a = std::from_chars(begin, begin + slash, high, 16);
  const auto b = std::from_chars(begin + slash + 1, begin + text.size(), low, 16);
  if (a.ptr != begin + slash || b.ptr != begin + text.size())
    throw std::runtime_error("not an LSN: " + text);
  return high << 32 | low;
}

std::uint64_t read_u64(std::string_view bytes, std::size_t at) {
  if (bytes.size() < at + 8) throw std::runtime_error("short replication message");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

class Drain {
 public:
  explicit Drain(const Options& options)
      : until_(parse_lsn(options.until)), conn_(PQconnectdb(options.dsn.c_str())) {
    if (PQstatus(conn_.get()) != CONNECTION_OK) fail();
    const std::string start = fmt::format(
        "START_REPLICATION SLOT \"{}\" LOGICAL 0/0 "
        "(proto_version '1', publication_names '{}', messages 'true')",
        options.slot, options.publications);
    const std::unique_ptr<PGresult, Close> result(PQexec(conn_.get(), start.c_str()));
    if (PQresultStatus(result.get()) != PGRES_COPY_BOTH) fail();
  }

  void run() {
    auto status_due = Clock::now();
    while (!done_) {
      if (Clock::now() >= status_due || status_asked_) {
        send_status();
        status_due = Clock::now() + std::chrono::seconds(1);
      }
      receive_batch();
    }
  }

  std::uint64_t rows() const { return rows_; }
  std::uint64_t transactions() const { return transactions_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  [[noreturn]] void fail() { throw std::runtime_error(PQerrorMessage(conn_.get())); }

  // Takes what is buffered, up to a number of messages that keeps the status on time.
  void receive_batch() {
    for (int i = 0; i < 4096 && !done_; ++i) {
      char* raw = nullptr;
      const int size = PQgetCopyData(conn_.get(), &raw, 1);
      const std::unique_ptr<char, Close> owned(raw);
      if (size == 0) return wait();
      if (size < 0) fail();
      take({raw, static_cast<std::size_t>(size)});
    }
  }

  void wait() {
    pollfd one{};
    one.fd = PQsocket(conn_.get());
    one.events = POLLIN;
    ::poll(&one, 1, 100);
    if (PQconsumeInput(conn_.get()) == 0) fail();
  }

  void take(std::string_view message) {
    if (message.starts_with('k')) {
      if (read_u64(message, 1) >= until_) done_ = true;
      if (message.back() != 0) status_asked_ = true;
      return;
    }
    constexpr std::size_t header = 25;  // 'w', start, end, clock
    if (message.size() <= header) throw std::runtime_error("short replication message");
    bytes_ += message.size() - header;
    switch (message[header]) {
      case 'I':
      case 'U':
      case 'D': ++rows_; break;
      case 'C':
        ++transactions_;
        if (read_u64(message, header + 2 + 8) >= until_) done_ = true;
        break;
      default: break;
    }
  }

  // Written, flushed and applied 0/0, the clock 0, no reply wanted.
  void send_status() {
    std::array<char, 34> message{};
    message[0] = 'r';
    if (PQputCopyData(conn_.get(), message.data(), static_cast<int>(message.size())) != 1 ||
        PQflush(conn_.get()) != 0)
      fail();
    status_asked_ = false;
  }

  std::uint64_t until_;
  std::unique_ptr<PGconn, Close> conn_;
  bool done_ = false, status_asked_ = false;
  std::uint64_t rows_ = 0, transactions_ = 0, bytes_ = 0;
};

void drain_all(const Options& options) {
  const auto begin = Clock::now();
  Drain drain(options);
  drain.run();
  const std::chrono::duration<double> took = Clock::now() - begin;
  fmt::print("{{\"count\":{},\"transactions\":{},\"bytes\":{},\"seconds\":{:.6f}}}\n", drain.rows(),
             drain.transactions(), drain.bytes(), took.count());
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Reads a logical slot to nowhere, and leaves it where it was");
  app.add_option("--dsn", o.dsn, "with replication=database")->required();
  app.add_option("--slot", o.slot)->required();
  app.add_option("--publications", o.publications, "quoted, comma separated")->required();
  app.add_option("--until", o.until, "the LSN to end at")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    drain_all(o);
  } catch (const std::exception& e) {
    fmt::print(stderr, "slot_drain: {}\n", e.what());
    return 1;
  }
  return 0;
}
