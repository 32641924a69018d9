// Whether an outbox's table is fit: has the columns that its [[outbox]] names, as the catalog has
// them today. (What counts in the end is each row's own shape, in WAL.)
#pragma once

#include "connector/preconditions.h"
#include "pg/table_columns.h"

namespace connector {

// `server_version` as libpq has it: 150018. Empty where all is well.
Findings outbox_findings(const OutboxConfig& config, const pg::TableInfo& table,
                         const pg::TableColumns& columns, int server_version);

}  // namespace connector
