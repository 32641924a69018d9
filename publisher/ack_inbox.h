// Where acks land: filled by a thread of nats.c, emptied by the publisher's.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "publisher/ack.h"

namespace publisher {

// The reply subject's last token says what is acknowledged: a message's number, or 0 for a save.
struct NumberedAck {
  std::uint64_t number = 0;
  Ack ack;
};

class AckInbox {
 public:
  explicit AckInbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  // Wakes only when it was empty: the publisher empties it whole.
  void put(NumberedAck ack);

  // Swaps what has arrived into `into`, which must be empty.
  void take(std::vector<NumberedAck>& into);

  // After this `wake` is called no more; acks that still arrive are ignored.
  void close();

 private:
  std::mutex mutex_;  // guards all below
  std::vector<NumberedAck> acks_;
  std::function<void()> wake_;
};

}  // namespace publisher
