#include "publisher/greeting.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "publisher/handles.h"

namespace publisher {
namespace {

using Clock = std::chrono::steady_clock;
using Addresses = std::unique_ptr<addrinfo, Closer<freeaddrinfo>>;

struct Socket {
  int fd;
  explicit Socket(int descriptor) : fd(descriptor) {}
  ~Socket() {
    if (fd >= 0) close(fd);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
};

// "nats://[::1]:4222" to "::1" and "4222".
bool split(std::string url, std::string& host, std::string& port) {
  if (const auto scheme = url.find("://"); scheme != std::string::npos) url.erase(0, scheme + 3);
  const auto colon = url.rfind(':');
  if (colon == std::string::npos) return false;
  host = url.substr(0, colon);
  port = url.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return true;
}

bool ready(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return left > 0 && poll(&waiting, 1, static_cast<int>(left)) == 1;
}

// "INFO {…}\r\n", the first line of every server.
std::string first_line(int fd, Clock::time_point deadline) {
  std::string text;
  constexpr std::size_t longest = 64 * 1024;
  while (text.find('\n') == std::string::npos && text.size() < longest) {
    char bytes[4096];
    if (!ready(fd, POLLIN, deadline)) return "";
    const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got <= 0) return "";
    text.append(bytes, static_cast<std::size_t>(got));
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::optional<Greeting> greeting(const Connection& nats) {
  const auto deadline = Clock::now() + std::chrono::seconds(1);
  std::string host;
  std::string port;
  if (!split(nats.connected_url(), host, port)) return std::nullopt;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &raw) != 0) return std::nullopt;
  const Addresses address(raw);
  const Socket socket(::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd < 0) return std::nullopt;
  // What cannot be connected to shows at the first read.
  [[maybe_unused]] const int begun = connect(socket.fd, address->ai_addr, address->ai_addrlen);
  const std::string line = first_line(socket.fd, deadline);
  const auto brace = line.find('{');
  if (line.compare(0, 4, "INFO") != 0 || brace == std::string::npos) return std::nullopt;
  const auto json = nlohmann::json::parse(line.substr(brace), nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return Greeting{.version = json.value("version", ""),
                  .cluster = json.value("cluster", ""),
                  .jetstream = json.value("jetstream", false)};
}

}  // namespace publisher
