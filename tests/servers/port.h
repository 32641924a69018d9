// A loopback port that belongs to this test until the lease ends, also while its server is down.
// Ports come from below the range that outgoing connections use, and a lock file a port keeps
// parallel tests apart; the kernel drops the lock when the process dies.
#pragma once

#include <cstdint>
#include <string>

namespace servers {

class PortLease {
 public:
  PortLease();
  ~PortLease();
  PortLease(const PortLease&) = delete;
  PortLease& operator=(const PortLease&) = delete;

  std::uint16_t port() const { return port_; }
  std::string text() const { return std::to_string(port_); }

 private:
  std::uint16_t port_ = 0;
  int lock_ = -1;
};

}  // namespace servers
