// Follows the stream's records.
#include <fmt/format.h>

#include <cstdio>

#include "connector/session.h"
#include "connector/stop.h"
#include "connector/verbs.h"
#include "publisher/stream.h"
#include "publisher/tail.h"

namespace connector {

int tail(const Config& config, const TailCommand& command) {
  publisher::Connection nats(nats_settings(config), [] {});
  const auto info = publisher::stream_info(nats, config.stream.name);
  std::uint64_t next = info ? info->last.value + 1 : 1;
  if (command.last) next = next > *command.last ? next - *command.last : 1;
  while (info && next <= info->last.value) {
    const auto message = publisher::get_message(nats, config.stream.name,
                                                publisher::StreamSequence(next++));
    if (message) fmt::print("{}\n", message->payload);
  }
  return static_cast<int>(Exit::done);
}

}  // namespace connector
