// What both sides say, gathered for decide().
#pragma once

#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/resume.h"
#include "connector/wakeup.h"
#include "pg/replication.h"
#include "publisher/connection.h"
#include "publisher/tail.h"

namespace connector {

struct Permissions {
  bool adopt = false;
  bool accept_gap = false;
  bool renew_slot = false;               // what the slot needs is gone, and that is accepted
  std::optional<pg::Lsn> from_lsn = {};  // where an empty stream is to begin
};

struct Observation {
  Observed seen;
  std::uint64_t revision = 0;  // of the key that holds the saved position
};

// Asks everything but `settings`. Where replicas could still be behind, it asks again for up to
// 15 s before it lets the stream or the saved position look as if they had gone back; a stop
// requested of `wakeup` ends that early.
Observation observe(const Config& config, Permissions permissions, pqxx::connection& sql,
                    pg::ReplicationStream& replication, const pg::SystemIdentity& identity,
                    publisher::Connection& nats, const Wakeup& wakeup);

// Headers and payloads that the stream holds, as the decision wants them.
std::vector<StoredRecord> to_records(const std::vector<publisher::StoredMessage>& messages,
                                     const std::string& slot);

}  // namespace connector
