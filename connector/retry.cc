#include "connector/retry.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "publisher/error.h"

namespace connector {

using std::chrono::milliseconds;

milliseconds Backoff::next() {
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  const milliseconds delay(
      static_cast<long>(static_cast<double>(current_.count()) * jitter(random_)));
  current_ = std::min(current_ * 3 / 2, longest);
  return delay;
}

Remedy Retry::judge(const std::exception& error) {
  Remedy remedy = remedy_for(error);
  // One nkey or creds signature in 256 of nats.c before 3.8 is wrong, and a changed password
  // reaches the servers one after the other.
  const auto* nats = dynamic_cast<const publisher::Error*>(&error);
  const bool refused = nats != nullptr && nats->failure() == publisher::Failure::refused;
  if (refused && ++refusals_ < refusals_allowed) remedy.retry = true;
  // A handshake that a restarting server breaks off looks like one that fails for good; a server
  // that was reached before had the right certificates.
  const bool handshake = nats != nullptr && nats->failure() == publisher::Failure::handshake;
  if (handshake && (reached_ || ++refusals_ < refusals_allowed)) remedy.retry = true;
  return remedy;
}

std::optional<Exit> Retry::after(const std::exception& error, const Remedy& remedy,
                                 const Wakeup& wakeup) {
  const std::string what = one_line(error.what());
  if (!remedy.retry) {
    spdlog::error("{}{}{}", what, remedy.hint.empty() ? "" : ". What to do: ", remedy.hint);
    return remedy.code;
  }
  const milliseconds delay = backoff_.next();
  spdlog::warn("{}{}{}; trying again in {} ms", what, remedy.hint.empty() ? "" : ": ", remedy.hint,
               delay.count());
  wakeup.wait_for(delay);
  return std::nullopt;
}

void Retry::worked() {
  backoff_.reset();
  refusals_ = 0;
}

}  // namespace connector
