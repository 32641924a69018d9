// What a nats-server says of itself to whoever connects, before any login: nats.c reads it and
// keeps the version to itself.
#pragma once

#include <optional>
#include <string>

#include "publisher/connection.h"

namespace publisher {

struct Greeting {
  std::string version;
  std::string cluster;     // empty: it stands alone
  bool jetstream = false;  // on this very server
};

// Asks the server that `nats` is connected to, over a connection of its own. Nothing when it does
// not say it within a second: behind a proxy that expects TLS from the first byte, say.
std::optional<Greeting> greeting(const Connection& nats);

}  // namespace publisher
