// Which tables `walferry verify` compares.
#pragma once

#include <pqxx/pqxx>
#include <vector>

#include "connector/cli.h"
#include "connector/config.h"
#include "pg/catalog.h"

namespace connector {

// Those that the command names, else all that are configured; each once, and no outboxes. Throws
// Stop where one is not captured, is not there, is an outbox or cannot be read.
std::vector<pg::TableInfo> tables_to_verify(const Config& config, const VerifyCommand& command,
                                            pqxx::connection& sql);

}  // namespace connector
