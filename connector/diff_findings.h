// What a snapshot-diff needs of Postgres and of its folder, as `run` and `check` see it.
#pragma once

#include <pqxx/pqxx>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/table_selection.h"

namespace connector {

// The tables that are captured. Unlike with WAL, unlogged ones too, but for those of patterns on a
// standby, which are `unfit`.
TableSelection::Resolved resolve_diff(const Config& config, pqxx::connection& sql);

// `running`: of one that has begun, which a table that was dropped does not end.
Findings diff_findings(const Config& config, pqxx::connection& sql, bool running = false);

}  // namespace connector
