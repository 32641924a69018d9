// What polling needs of PostgreSQL and of each outbox, as findings.
#pragma once

#include <pqxx/pqxx>

#include "connector/config.h"
#include "connector/preconditions.h"

namespace connector {

// Looks at the catalog, and at nothing else. A failure names the command that fixes it.
Findings poll_findings(const Config& config, pqxx::connection& sql);

}  // namespace connector
