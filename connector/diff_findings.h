// What a snapshot-diff needs of Postgres and of its folder, as `run` and `check` see it.
#pragma once

#include <pqxx/pqxx>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/table_selection.h"

namespace connector {

// The tables that are captured. Unlike with WAL, unlogged ones too.
TableSelection::Resolved resolve_diff(const Config& config, pqxx::connection& sql);

Findings diff_findings(const Config& config, pqxx::connection& sql);

}  // namespace connector
