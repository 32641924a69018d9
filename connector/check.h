// What `walferry check` is made of: one look at each side, one dry run of the decision where to go
// on, and the page that shows it all. Nothing is created, altered or written on either side.
//
// The order of looking matters while a daemon runs: slot, saved position, stream, the server's WAL
// end. Each only grows, and each is never behind the one that is read before it; in any other order
// a sound daemon would look as if something had been lost.
#pragma once

#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "pg/catalog.h"
#include "pg/replication.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"
#include "publisher/stream.h"

namespace connector {

// What was seen of Postgres. Empty members: it could not be seen, and a finding says why.
struct PostgresView {
  std::unique_ptr<pqxx::connection> sql;
  std::optional<pg::ServerInfo> server;
  std::optional<pg::ReplicationStream> replication;
  std::optional<pg::SystemIdentity> identity;
  std::optional<pg::SlotInfo> slot;
  std::optional<std::vector<std::string>> publications;  // what START_REPLICATION would be given
};
Findings check_postgres(const Config& config, PostgresView& seen);

struct NatsView {
  std::unique_ptr<publisher::Connection> nats;
  bool complete = false;  // what follows could be asked
  publisher::KeyValueEntry saved;
  std::optional<publisher::StreamInfo> stream;
};
Findings check_nats(const Config& config, NatsView& seen);

// What `run` would decide; nothing when one of the sides could not be seen.
Findings check_position(const Config& config, PostgresView& postgres, const NatsView& nats,
                        Exit& code);

// The command that fixes an error, as a finding.
Finding failed(const std::string& name, const std::exception& error);

std::string check_text(const Findings& findings, const Palette& palette);
std::string check_json(const Findings& findings);
// position_lost counts only when nothing but the position fails.
Exit check_exit(const Findings& findings, Exit position);

}  // namespace connector
