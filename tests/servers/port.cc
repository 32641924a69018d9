// Leases of loopback ports, see the header.
#include "tests/servers/port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <stdexcept>

namespace servers {
namespace {

constexpr int first_port = 12000;
constexpr int last_port = 31999;

bool can_bind(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return bound;
}

}  // namespace

PortLease::PortLease() {
  const std::string folder = "/tmp/wf-ports-" + std::to_string(::geteuid());
  ::mkdir(folder.c_str(), 0755);
  std::random_device seed;
  std::uniform_int_distribution<int> pick(first_port, last_port);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = pick(seed);
    const std::string file = folder + "/" + std::to_string(port);
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
      throw std::runtime_error("cannot open " + file);
    }
    const auto candidate = static_cast<std::uint16_t>(port);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && can_bind(candidate)) {
      port_ = candidate;
      lock_ = fd;
      return;
    }
    ::close(fd);
  }
  throw std::runtime_error("no free loopback port");
}

PortLease::~PortLease() { ::close(lock_); }

}  // namespace servers
