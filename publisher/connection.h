// One connection to NATS, and JetStream's API over it.
//
// nats.c's reconnect is off: its buffers lose and reorder messages in the middle of a stream while
// every call returns OK. When the connection is lost, everything that stands on it ends, and
// the caller connects anew and asks the stream's tail where to go on.
//
// request() may be used from one thread. Errors are publisher::Error.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "publisher/handles.h"

namespace publisher {

struct ConnectionSettings {
  std::string url;  // several, comma separated
  std::string creds, nkey_seed_file, user, password, token;
  std::string tls_ca, tls_cert, tls_key;
  std::string domain;  // JetStream domain; empty for none
  std::string name;    // shown by the server's monitoring
};

class Connection;

// A subscription ends with its owner, but is freed only after its connection is closed: before
// nats.c 3.6 (issue 637 there) the thread that reads the socket may still be using it, and aborts.
struct RetireSubscription {
  Connection* nats;
  void operator()(natsSubscription* subscription) const noexcept;
};
using Subscription = std::unique_ptr<natsSubscription, RetireSubscription>;

class Connection {
 public:
  // `on_lost` is called once, on a thread of nats.c, when the connection is lost; it may only
  // record. It must stay callable until the Connection is gone. `prepare` may set further options.
  Connection(const ConnectionSettings& settings, std::function<void()> on_lost,
             const std::function<void(natsOptions*)>& prepare = {});
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // A request on JetStream's API: `verb` is what follows "$JS.API.". Returns the JSON of the
  // answer. An error in the answer is thrown as Failure::api, no responder (JetStream is off, or
  // has no leader) as Failure::unavailable.
  std::string api(const std::string& verb, std::string_view body);

  // True once the connection is gone; it does not come back.
  bool lost() const { return natsConnection_IsClosed(connection_.get()); }

  // Throws Failure::refused when the server has said that this user may not do what was tried: a
  // publish without permission gets no other answer.
  void check_permissions() const;

  natsConnection* get() const { return connection_.get(); }
  // What it returns must not outlive the connection.
  Subscription own(natsSubscription* subscription) { return {subscription, {this}}; }

  const std::string& api_prefix() const { return api_prefix_; }  // "$JS.API" or "$JS.{domain}.API"
  bool in_domain() const { return in_domain_; }
  std::int64_t max_payload() const;
  std::string connected_url() const;  // without credentials

 private:
  bool in_domain_;
  std::string api_prefix_;
  std::unique_ptr<void, void (*)(void*)> watcher_;
  NatsConnection connection_;
  friend struct RetireSubscription;
  std::vector<std::unique_ptr<natsSubscription, Closer<natsSubscription_Destroy>>> retired_;
};

// How long one request waits for its answer.
inline constexpr std::chrono::milliseconds request_timeout{5000};

// Throws the Failure that fits a nats.c status; `doing` says what was tried.
[[noreturn]] void throw_status(natsStatus status, const std::string& doing);
inline void check(natsStatus status, const char* doing) {
  if (status != NATS_OK) throw_status(status, doing);
}

}  // namespace publisher
