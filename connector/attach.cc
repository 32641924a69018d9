#include "connector/attach.h"

#include "connector/session.h"
#include "pg/catalog.h"
#include "pg/connect.h"
#include "pg/conninfo.h"
#include "publisher/error.h"

namespace connector {

std::unique_ptr<pqxx::connection> attach_postgres(const Config& config) {
  try {
    return pg::connect_sql(config.source.dsn);
  } catch (const pqxx::broken_connection&) {
    // libpq says why, unless the server has come up meanwhile.
    pg::connect(pg::connect_params(config.source.dsn, pg::Session::sql));
    throw;
  }
}

std::unique_ptr<publisher::Connection> attach_nats(const Config& config) {
  const auto connect = [&] {
    return std::make_unique<publisher::Connection>(nats_settings(config), [] {});
  };
  constexpr int attempts = 3;
  for (int attempt = 1; attempt < attempts; ++attempt) {
    try {
      return connect();
    } catch (const publisher::Error& error) {
      if (error.failure() != publisher::Failure::refused) throw;
    }
  }
  return connect();
}

}  // namespace connector
