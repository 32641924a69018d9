#include "tests/bench/nats_wire.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace bench {

namespace {

[[noreturn]] void fail_with_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

NatsWire::NatsWire(const std::string& host, const std::string& port) : buffer_(1 << 20) {
  connect_to(host, port);
  out_ = "CONNECT {\"verbose\":false,\"headers\":true,\"echo\":false}\r\nPING\r\n";
  while (!pong_seen_) {
    flush();
    if (!wait(5000)) throw std::runtime_error("nats-server does not answer");
    fill();
    while (next()) {
    }
  }
}

NatsWire::~NatsWire() {
  if (fd_ >= 0) ::close(fd_);
}

void NatsWire::connect_to(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int rc = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); rc != 0)
    throw std::runtime_error(host + ": " + ::gai_strerror(rc));
  fd_ = ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
  const int connected = fd_ < 0 ? -1 : ::connect(fd_, found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  if (connected != 0) fail_with_errno("connecting to " + host + ":" + port);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool NatsWire::wait(int timeout_ms) const {
  pollfd one{};
  one.fd = fd_;
  one.events = static_cast<short>(unsent() ? POLLIN | POLLOUT : POLLIN);
  const int ready = ::poll(&one, 1, timeout_ms);
  if (ready < 0 && errno != EINTR) fail_with_errno("poll");
  return ready > 0;
}

void NatsWire::flush() {
  if (out_.empty()) return;
  const ssize_t n =
      ::send(fd_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR) fail_with_errno("send");
  if (n > 0) out_begin_ += static_cast<std::size_t>(n);
  if (out_begin_ < out_.size()) return;
  out_.clear();
  out_begin_ = 0;
}

void NatsWire::fill() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (end_ == buffer_.size()) {
    if (begin_ == 0) throw std::runtime_error("a message larger than the receive buffer");
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const ssize_t n = ::recv(fd_, buffer_.data() + end_, buffer_.size() - end_, MSG_DONTWAIT);
  if (n == 0) throw std::runtime_error("nats-server closed the connection");
  if (n > 0) end_ += static_cast<std::size_t>(n);
  if (n < 0 && errno != EAGAIN && errno != EINTR) fail_with_errno("recv");
}

std::optional<std::string_view> NatsWire::take_line() {
  const std::string_view rest(buffer_.data() + begin_, end_ - begin_);
  const std::size_t eol = rest.find("\r\n");
  if (eol == std::string_view::npos) return std::nullopt;
  begin_ += eol + 2;
  return rest.substr(0, eol);
}

// MSG subject sid [reply] size. HMSG does not occur: acks have no headers.
std::optional<Incoming> NatsWire::take_message(std::string_view line) {
  const std::size_t subject_end = line.find(' ', 4);
  const std::size_t size_begin = line.rfind(' ') + 1;
  const char* const line_end = line.data() + line.size();
  std::size_t size = 0;
  const auto parsed = std::from_chars(line.data() + size_begin, line_end, size);
  if (subject_end >= size_begin || parsed.ec != std::errc() || parsed.ptr != line_end)
    throw std::runtime_error("malformed line: " + std::string(line));
  if (end_ - begin_ < size + 2) return std::nullopt;
  const Incoming message{line.substr(4, subject_end - 4), {buffer_.data() + begin_, size}};
  begin_ += size + 2;
  return message;
}

std::optional<Incoming> NatsWire::next() {
  for (;;) {
    const std::size_t line_begin = begin_;
    const std::optional<std::string_view> line = take_line();
    if (!line) return std::nullopt;
    if (line->starts_with("MSG ")) {
      const std::optional<Incoming> message = take_message(*line);
      if (!message) begin_ = line_begin;  // the rest comes with a later fill()
      return message;
    }
    if (*line == "PING") {
      out_ += "PONG\r\n";
    } else if (*line == "PONG") {
      pong_seen_ = true;
    } else if (!line->starts_with("INFO ") && *line != "+OK") {
      throw std::runtime_error("nats-server says " + std::string(*line));
    }
  }
}

std::optional<std::uint64_t> acked_sequence(std::string_view ack, std::string_view stream) {
  constexpr std::string_view stream_key = "\"stream\":\"";
  constexpr std::string_view sequence_key = "\"seq\":";
  if (ack.find("\"error\"") != std::string_view::npos ||
      ack.find("\"duplicate\"") != std::string_view::npos)
    throw std::runtime_error("not stored: " + std::string(ack));
  const std::size_t name = ack.find(stream_key);
  const std::size_t number = ack.find(sequence_key);
  if (name == std::string_view::npos || number == std::string_view::npos) return std::nullopt;
  const std::string_view named = ack.substr(name + stream_key.size());
  if (!named.starts_with(stream) || named.substr(stream.size(), 1) != "\"") return std::nullopt;
  std::uint64_t sequence = 0;
  std::from_chars(ack.data() + number + sequence_key.size(), ack.data() + ack.size(), sequence);
  return sequence;
}

}  // namespace bench
