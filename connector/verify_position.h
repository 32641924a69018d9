// The place in the stream that has all that was committed before a place in WAL.
//
// A daemon that works saves both, `last` and `stored`, about once a second, and on an idle server
// too: keepalives move it. Where none works, the slot is looked through from what the stream has
// up to that place: what it still holds of the tables must be nothing. That confirms nothing, and
// a daemon that starts meanwhile waits for a moment.
#pragma once

#include <cstdint>
#include <functional>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <utility>

#include "connector/config.h"
#include "pg/types.h"
#include "publisher/connection.h"
#include "publisher/types.h"

namespace connector {

using TableNames = std::set<std::pair<std::string, std::string>>;  // {schema, table}

// The number of a transaction of its own, which changes nothing. It moves the end of WAL.
std::uint64_t next_xid(pqxx::connection& sql);

// Waits for a daemon that works, as long as it takes, and says so every 10 s; calls `go_on` while
// it does, which throws where it should not. Throws Stop(precondition) where nobody works on the
// slot and the stream lacks changes of `tables`.
publisher::StreamSequence last_before(const Config& config, pqxx::connection& sql,
                                      publisher::Connection& nats, const TableNames& tables,
                                      pg::Lsn end, const std::function<void()>& go_on);

}  // namespace connector
