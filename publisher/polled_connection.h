// The connection that messages go out on, read and written by the thread that publishes: nats.c's
// hook for an external event loop, with the caller's poll(2) as the loop. No message and no ack
// wakes another thread, which is most of what one costs otherwise.
//
// Nothing is sent or read but in turn() and flush(), and neither waits; but with TLS they wait for
// the rest of a record, a write for at most two seconds. So a request, which waits for its answer,
// would wait in vain: those have a Connection of their own.
//
// A peer that is gone shows within seconds, by TCP's own means: bytes that stay without its
// acknowledgement end the connection, and an idle one is probed.
#pragma once

#include <nats/nats.h>

#include <functional>

#include "publisher/connection.h"

namespace publisher {

class PolledConnection {
 public:
  // Connects, which waits. `on_lost` as in Connection: it is also called for what the server
  // refuses.
  PolledConnection(const ConnectionSettings& settings, std::function<void()> on_lost);
  // What is not sent yet is dropped.
  ~PolledConnection();
  PolledConnection(const PolledConnection&) = delete;
  PolledConnection& operator=(const PolledConnection&) = delete;

  // For poll(2); -1 when the connection is lost.
  int socket() const { return socket_; }
  short events() const;

  // Sends what is buffered, as far as the socket takes it, and reads all that has arrived.
  void turn();
  // Sends what is buffered, as far as the socket takes it.
  void flush();
  // The same once it is worth a system call. To be called behind each message.
  void flush_much();

  Connection& nats() { return nats_; }
  const Connection& nats() const { return nats_; }

 private:
  void use_event_loop(natsOptions* options);
  void attach(int socket);
  void detach();

  int socket_ = -1;
  bool unsent_ = false;  // there is something in nats.c's buffer
  bool full_ = false;    // the socket took only some of it, and has not been writable since
  Connection nats_;
};

}  // namespace publisher
