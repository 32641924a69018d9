// Messages of nats.c that are done with. It frees them on a thread of its own, and each wakes that
// thread if it sleeps, which costs more than the message did. So they are handed over by the
// hundred.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "publisher/handles.h"

namespace publisher {

class SpentMessages {
 public:
  // `bytes` is about what it holds.
  void add(NatsMessage message, std::size_t bytes) {
    bytes_ += bytes;
    messages_.push_back(std::move(message));
    if (messages_.size() < most && bytes_ < most_bytes) return;
    messages_.clear();
    bytes_ = 0;
  }

 private:
  static constexpr std::size_t most = 512;
  static constexpr std::size_t most_bytes = 512 << 10;

  std::vector<NatsMessage> messages_;
  std::size_t bytes_ = 0;
};

}  // namespace publisher
