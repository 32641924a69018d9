// Position, lag, slot and stream at a glance.
#include <fmt/format.h>

#include "connector/session.h"
#include "connector/stop.h"
#include "connector/verbs.h"
#include "pg/catalog.h"
#include "publisher/stream.h"

namespace connector {

int status(const Config& config, const StatusCommand&) {
  const auto sql = pg::connect_sql(config.source.dsn);
  const auto slot = pg::slot_info(*sql, config.source.slot);
  if (slot) {
    fmt::print("slot    {} confirmed {}\n", config.source.slot,
               to_string(slot->confirmed.value_or(pg::Lsn())));
  } else {
    fmt::print("slot    {} does not exist\n", config.source.slot);
  }
  publisher::Connection nats(nats_settings(config), [] {});
  const auto info = publisher::stream_info(nats, config.stream.name);
  if (info) {
    fmt::print("stream  {} holds {} messages\n", config.stream.name, info->messages);
  } else {
    fmt::print("stream  {} does not exist\n", config.stream.name);
  }
  return static_cast<int>(Exit::done);
}

}  // namespace connector
