// What `run` needs, looked at without changing anything.
#include <fmt/format.h>

#include "connector/session.h"
#include "connector/stop.h"
#include "connector/verbs.h"
#include "pg/catalog.h"
#include "publisher/stream.h"

namespace connector {

int check(const Config& config, const CheckCommand&) {
  const auto sql = pg::connect_sql(config.source.dsn);
  const pg::ServerInfo server = pg::server_info(*sql);
  fmt::print("ok PostgreSQL {}\n", server.version_text);
  publisher::Connection nats(nats_settings(config), [] {});
  publisher::stream_info(nats, config.stream.name);
  fmt::print("ok JetStream\n");
  return static_cast<int>(Exit::done);
}

}  // namespace connector
