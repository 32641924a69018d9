// Drops what `run` has made and keeps nothing of the position: the slot, the publications whose
// COMMENT says that walferry made them, and the saved position. Never the stream: its records are
// the user's. What is not there is no error, so that an interrupted teardown can be repeated.
//
// The slot goes first: it is what fills the server's disk when nobody reads it.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "connector/saved_position.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/verbs.h"
#include "pg/catalog.h"
#include "pg/publication.h"

namespace connector {
namespace {

struct Found {
  std::optional<pg::SlotInfo> slot;
  std::vector<std::string> publications;
  bool saved = false;
  bool nothing() const { return !slot && publications.empty() && !saved; }
};

Found look(const Config& config, pqxx::connection& sql, publisher::Connection& nats) {
  Found found;
  found.slot = pg::slot_info(sql, config.source.slot);
  for (const std::string& name :
       {config.source.publication, pg::insert_publication(config.source.publication)}) {
    const auto info = pg::publication_info(sql, name);
    if (info && info->ours) found.publications.push_back(name);
  }
  found.saved = position_key(config).get(nats).value.has_value();
  return found;
}

}  // namespace

int teardown(const Config& config, const TeardownCommand& command) {
  const auto sql = pg::connect_sql(config.source.dsn);
  publisher::Connection nats(nats_settings(config), [] {});
  const Found found = look(config, *sql, nats);
  if (found.nothing()) {
    fmt::print("nothing to drop\n");
    return static_cast<int>(Exit::done);
  }
  if (!command.yes) {
    fmt::print(stderr, "walferry teardown: say --yes\n");
    return static_cast<int>(Exit::usage);
  }
  if (found.slot) pg::drop_slot(*sql, config.source.slot);
  pg::drop_publications(*sql, config.source.publication);
  if (found.saved) position_key(config).purge(nats);
  fmt::print("dropped\n");
  return static_cast<int>(Exit::done);
}

}  // namespace connector
