// A TCP proxy on loopback that loses what it is told to lose: answers swallowed from a moment on
// (the message was stored, its acknowledgement never arrives), traffic paused, connections cut or
// refused.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/servers/port.h"

namespace servers {

class TcpProxy {
 public:
  explicit TcpProxy(std::uint16_t target_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const { return lease_.port(); }
  std::string nats_url() const { return "nats://127.0.0.1:" + lease_.text(); }

  // On the connections that are open now, and only on them: what the server sends from here on is
  // read and thrown away. A connection made later is whole.
  void swallow_answers() { swallow_.store(true); }
  void cut() { cut_.store(true); }             // closes what is open now
  void refuse(bool on) { refuse_.store(on); }  // new connections are closed at once
  void pause(bool on) { pause_.store(on); }    // nothing is passed on, nothing is lost
  std::uint64_t swallowed_bytes() const { return swallowed_.load(); }
  std::uint64_t connections_made() const { return made_.load(); }

 private:
  struct Link;
  void run();
  void accept_link();
  void obey_orders();

  PortLease lease_;
  std::uint16_t target_port_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Link>> links_;  // of the proxy's thread alone
  std::atomic<bool> swallow_{false}, cut_{false}, refuse_{false}, pause_{false}, stop_{false};
  std::atomic<std::uint64_t> swallowed_{0}, made_{0};
  std::thread thread_;
};

}  // namespace servers
