// One thread polls all links. Each direction holds at most one buffer of bytes that the other side
// has not taken yet, and is not read while it does, so that back-pressure passes through.
#include "tests/servers/tcp_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>

namespace servers {
namespace {

constexpr std::size_t chunk = 64U << 10U;
constexpr int poll_ms = 5;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int tcp_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return fd;
}

void make_ready(int fd) {
  const int yes = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

// Bytes on their way from one socket to the other.
struct Direction {
  std::string held;

  // False when a side has gone.
  bool pass(int from, int to) {
    if (held.empty()) {
      held.resize(chunk);
      const ssize_t got = ::recv(from, held.data(), chunk, 0);
      held.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (got == 0 || (got < 0 && errno != EAGAIN)) {
        return false;
      }
    }
    while (!held.empty()) {
      const ssize_t sent = ::send(to, held.data(), held.size(), MSG_NOSIGNAL);
      if (sent < 0) {
        return errno == EAGAIN;
      }
      held.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
  }
};

}  // namespace

struct TcpProxy::Link {
  int client;
  int server;
  Direction up;
  Direction down;
  bool swallowing = false;
  bool open = true;

  Link(int client_fd, int server_fd) : client(client_fd), server(server_fd) {}
  ~Link() {
    ::close(client);
    ::close(server);
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  std::size_t drop_answers() {
    const std::size_t held = down.held.size();
    down.held.resize(chunk);
    const ssize_t got = ::recv(server, down.held.data(), chunk, 0);
    down.held.clear();
    open = open && (got > 0 || (got < 0 && errno == EAGAIN));
    return held + static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  }
};

TcpProxy::TcpProxy(std::uint16_t target_port) : target_port_(target_port) {
  listener_ = tcp_socket();
  const sockaddr_in address = loopback(lease_.port());
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_, 64) != 0) {
    ::close(listener_);
    throw std::runtime_error("proxy cannot listen");
  }
  thread_ = std::thread([this] { run(); });
}

TcpProxy::~TcpProxy() {
  stop_.store(true);
  thread_.join();
  ::close(listener_);
}

void TcpProxy::accept_link() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) {
    return;
  }
  const int server = tcp_socket();
  const sockaddr_in address = loopback(target_port_);
  if (refuse_.load() ||
      ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(client);
    ::close(server);
    return;
  }
  make_ready(client);
  make_ready(server);
  made_.fetch_add(1);
  links_.push_back(std::make_unique<Link>(client, server));
}

void TcpProxy::obey_orders() {
  if (swallow_.exchange(false)) {
    for (auto& link : links_) {
      link->swallowing = true;
    }
  }
  if (cut_.exchange(false)) {
    links_.clear();
  }
}

void TcpProxy::run() {
  while (!stop_.load()) {
    obey_orders();
    std::vector<pollfd> waits = {{listener_, POLLIN, 0}};
    for (const auto& link : links_) {
      const bool up_full = !link->up.held.empty();
      const bool down_full = !link->down.held.empty();
      const auto when = [](bool read, bool write) {
        return static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0));
      };
      waits.push_back({link->client, when(!up_full, down_full), 0});
      waits.push_back({link->server, when(!down_full, up_full), 0});
    }
    const bool paused = pause_.load();
    ::poll(waits.data(), paused ? 1 : waits.size(), poll_ms);
    obey_orders();
    if ((waits[0].revents & POLLIN) != 0) {
      accept_link();
    }
    if (paused) {
      continue;
    }
    for (auto& link : links_) {
      link->open = link->up.pass(link->client, link->server);
      if (link->swallowing) {
        swallowed_.fetch_add(link->drop_answers());
      } else {
        link->open = link->open && link->down.pass(link->server, link->client);
      }
    }
    std::erase_if(links_, [](const auto& link) { return !link->open; });
  }
}

}  // namespace servers
