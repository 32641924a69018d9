#include "publisher/polled_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace publisher {
namespace {

constexpr int much = 64 << 10;  // bytes

// In seconds, and for unacknowledged bytes in milliseconds.
constexpr int probe_when_idle = 5;
constexpr int probe_interval = 2;
constexpr int probes = 3;
constexpr unsigned unacknowledged = 10'000;

// What the kernel does not know is left as it is: the acks' own deadline is the last word.
template <class T>
void set(int socket, int level, int option, T value) {
  setsockopt(socket, level, option, &value, sizeof value);
}

}  // namespace

PolledConnection::PolledConnection(const ConnectionSettings& settings,
                                   std::function<void()> on_lost)
    : nats_(settings, std::move(on_lost),
            [this](natsOptions* options) { use_event_loop(options); }) {}

// Closed by us, nats.c would wait half a second for an answer to what is still unsent, which the
// thread that would have to send it cannot give. Closed by the peer, it does not.
PolledConnection::~PolledConnection() {
  if (socket_ == -1) return;
  shutdown(socket_, SHUT_RDWR);
  while (socket_ != -1) natsConnection_ProcessReadEvent(nats_.get());
}

void PolledConnection::use_event_loop(natsOptions* options) {
  check(natsOptions_SetEventLoop(
            options, this,
            [](void** data, void* self, natsConnection*, natsSock socket) {
              *data = self;
              static_cast<PolledConnection*>(self)->attach(socket);
              return NATS_OK;
            },
            [](void*, bool) { return NATS_OK; },
            [](void* self, bool add) {
              static_cast<PolledConnection*>(self)->unsent_ = add;
              return NATS_OK;
            },
            [](void* self) {
              static_cast<PolledConnection*>(self)->detach();
              return NATS_OK;
            }),
        "setting the event loop");
  check(natsOptions_SetSendAsap(options, true), "doing without a thread that flushes");
  // A ping would come from a thread of nats.c.
  check(natsOptions_SetPingInterval(options, 0), "turning pings off");
}

void PolledConnection::attach(int socket) {
  socket_ = socket;
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, probe_when_idle);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, probe_interval);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, probes);
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, unacknowledged);
}

// nats.c closes the socket, but from 3.10 on leaves that to the loop, and later ones hold the
// connection until the loop says that it is through with it.
void PolledConnection::detach() {
#ifdef NATS_HAS_CLOSE_EVENT
  natsSock socket = socket_;
  natsConnection_ProcessCloseEvent(&socket);
#endif
#ifdef NATS_HAS_DETACHED_EVENT
  natsConnection_ProcessDetachedEvent(nats_.get());
#endif
  socket_ = -1;
}

short PolledConnection::events() const {
  return static_cast<short>(unsent_ ? POLLIN | POLLOUT : POLLIN);
}

void PolledConnection::flush() {
  if (!unsent_ || socket_ == -1) return;
  natsConnection_ProcessWriteEvent(nats_.get());
  full_ = unsent_;
}

void PolledConnection::flush_much() {
  if (!full_ && natsConnection_Buffered(nats_.get()) >= much) flush();
}

// A read takes what is there at that time, at most a buffer full. It is asked for only where there
// is something: with TLS, nats.c would wait for it.
void PolledConnection::turn() {
  flush();
  while (socket_ != -1) {
    pollfd arrived{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&arrived, 1, 0) <= 0) return;
    natsConnection_ProcessReadEvent(nats_.get());
  }
}

}  // namespace publisher
