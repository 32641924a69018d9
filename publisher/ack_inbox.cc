#include "publisher/ack_inbox.h"

#include <utility>

namespace publisher {

void AckInbox::put(NumberedAck ack) {
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  const bool was_empty = acks_.empty();
  acks_.push_back(std::move(ack));
  if (was_empty) wake_();
}

void AckInbox::take(std::vector<NumberedAck>& into) {
  const std::lock_guard lock(mutex_);
  std::swap(acks_, into);
}

void AckInbox::close() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  acks_.clear();
}

}  // namespace publisher
