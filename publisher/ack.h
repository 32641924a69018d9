// What JetStream answers to a publish.
#pragma once

#include <nats/nats.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "publisher/types.h"

namespace publisher {

struct Ack {
  StreamSequence sequence;  // 0: not stored
  bool duplicate = false;   // its id was in the duplicate window
  int error = 0;            // JetStream's err_code, or 503 when there is no leader
  std::string description;  // of the error
};

// An answer that is none of JetStream's is an error too: nothing unknown counts as stored.
Ack parse_ack(std::string_view body);
Ack parse_ack(natsMsg* reply);

}  // namespace publisher
