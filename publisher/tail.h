// Reads back what the stream has stored, from its leader.
//
// Never with a direct get: that is answered by any replica, and one that lags would make walferry
// publish again what is stored already.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "publisher/connection.h"
#include "publisher/types.h"

namespace publisher {

struct StoredMessage {
  StreamSequence sequence;
  std::string subject;
  std::map<std::string, std::string> headers;
  std::string payload;
  std::string time;  // when it was stored, as the server writes it

  const std::string* header(const std::string& name) const;
};

// Nothing when that message was deleted, purged or has expired.
std::optional<StoredMessage> get_message(Connection& nats, const std::string& stream,
                                         StreamSequence sequence);
// The first message with this sequence or a higher one whose subject matches `filter` (">": any).
std::optional<StoredMessage> next_message(Connection& nats, const std::string& stream,
                                          StreamSequence from, const std::string& filter);
// The newest message whose subject matches `filter`, wildcards allowed.
std::optional<StoredMessage> last_message(Connection& nats, const std::string& stream,
                                          const std::string& filter);

// The messages of the last window, oldest first: from `last` backwards until `max_messages`
// sequences or `max_bytes` of payload are passed. Those that are gone are left out; payloads are
// dropped. Many requests are under way at once.
std::vector<StoredMessage> read_back(Connection& nats, const std::string& stream,
                                     StreamSequence first, StreamSequence last,
                                     std::uint64_t max_messages, std::uint64_t max_bytes);

}  // namespace publisher
