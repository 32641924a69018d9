// The little of NATS's client protocol that the bench programs need, over a plain socket: no client
// library stands between the measurement and the server.
//
// One connection, one thread. What is received is parsed in place: an Incoming borrows from the
// receive buffer until the next fill(). Errors (the server's -ERR, a closed connection, a malformed
// line) throw; these programs have no use for a reconnect.
// Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

struct Incoming {
  std::string_view subject;
  std::string_view payload;
};

class NatsWire {
 public:
  // Connects and waits until the server has answered a first PING.
  NatsWire(const std::string& host, const std::string& port);
  ~NatsWire();
  NatsWire(const NatsWire&) = delete;
  NatsWire& operator=(const NatsWire&) = delete;

  // What is to be sent: append whole protocol lines. flush() sends as much of it as the socket
  // takes now; unsent() says whether something is left.
  std::string& out() { return out_; }
  void flush();
  bool unsent() const { return !out_.empty(); }
  // Waits until there is something to read, or room for what is unsent; false when neither came in
  // time.
  bool wait(int timeout_ms) const;
  // Reads what is there now. Invalidates every Incoming handed out before.
  void fill();
  // The next whole message of the buffer, if there is one. Answers a PING on the way, behind what
  // is unsent: in between it would fall into the middle of a message.
  std::optional<Incoming> next();

 private:
  void connect_to(const std::string& host, const std::string& port);
  std::optional<std::string_view> take_line();
  // The message that `line` announces, if all of it is here.
  std::optional<Incoming> take_message(std::string_view line);

  int fd_ = -1;
  std::string out_;
  std::size_t out_begin_ = 0;  // sent up to here
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // parsed up to here
  std::size_t end_ = 0;    // filled up to here
  bool pong_seen_ = false;
};

// The stream sequence in a JetStream ack of `stream`, {"stream":"S", "seq":N}; nothing when it is
// something else. An error or a duplicate throws: no measurement is worth anything after it.
std::optional<std::uint64_t> acked_sequence(std::string_view ack, std::string_view stream);

}  // namespace bench
