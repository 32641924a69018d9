// A private nats-server with JetStream on a loopback port that stays its own while it is down, and
// a store that can be saved, put back and wiped. NatsCluster makes three of them one cluster.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/servers/jetstream.h"
#include "tests/servers/port.h"
#include "tests/servers/process.h"
#include "tests/servers/temp_dir.h"

namespace servers {

struct NatsOptions {
  std::string name = {};
  std::string domain = {};        // of JetStream
  std::uint64_t max_payload = 0;  // 0: the server's default
  NatsLogin login = {};           // what the server asks for, of the tests' own reader too
  NatsLogin reader = {};          // what the tests' reader says, where `more` has the users
  std::string more = {};          // further lines of the configuration file
  bool start = true;
};

class NatsServer {
 public:
  explicit NatsServer(NatsOptions options = {});
  ~NatsServer();

  void launch();  // start() without waiting until JetStream answers
  void start();
  void stop();  // SIGTERM, waits
  void kill_hard();
  void restart() { stop(), start(); }
  void suspend() { process_->send(SIGSTOP); }
  void resume() { process_->send(SIGCONT); }
  bool running() { return process_ != nullptr && process_->running(); }
  void set_more(std::string lines) { options_.more = std::move(lines); }
  void set_max_payload(std::uint64_t bytes) { options_.max_payload = bytes; }

  // Of a stopped server.
  void save_store(const std::string& name);
  void restore_store(const std::string& name);
  void restore_stream(const std::string& name, const std::string& stream);  // and nothing else
  void wipe_store();

  std::string url() const { return "nats://127.0.0.1:" + lease_.text(); }
  std::uint16_t port() const { return lease_.port(); }
  const std::string& name() const { return options_.name; }
  JetStream jetstream() const {
    return JetStream({port()}, options_.reader.given() ? options_.reader : options_.login);
  }
  std::string file(const std::string& name) const { return dir_.file(name); }
  std::pair<int, int> version() const;  // {2, 9}
  std::string log() const { return read_file(dir_.file("log")); }

 private:
  std::string config() const;

  NatsOptions options_;
  TempDir dir_;
  PortLease lease_;
  std::unique_ptr<Process> process_;
};

class NatsCluster {
 public:
  // Three servers, ready for streams with three replicas; `more` are further lines of each one's
  // configuration file.
  explicit NatsCluster(const std::array<std::string, 3>& more = {});

  NatsServer& server(std::size_t index) { return *servers_.at(index); }
  NatsServer& named(const std::string& name);
  std::size_t size() const { return servers_.size(); }
  JetStream jetstream() const;  // through whichever server is up
  std::string url() const;      // of all three

  void step_down(const std::string& stream);
  // The stream has a leader, all of its replicas are there and have caught up.
  void wait_whole(const std::string& stream);

 private:
  std::vector<std::unique_ptr<PortLease>> routes_;
  std::vector<std::unique_ptr<NatsServer>> servers_;
};

}  // namespace servers
