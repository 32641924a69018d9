#include "connector/outbox_findings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connector/outbox_router.h"

namespace connector {
namespace {

constexpr int generated_since = 180000;

}  // namespace

Findings outbox_findings(const OutboxConfig& config, const pg::TableInfo& table,
                         const pg::TableColumns& columns, int server_version) {
  const std::string name = readable_name(quoted_name(config.schema, config.table));
  Findings found;
  if (table.partitioned) {
    found.push_back(
        {Verdict::warn, "table " + name,
         fmt::format("the outbox {} is partitioned: an UPDATE that moves a row to another "
                     "partition is a DELETE and an INSERT in WAL, and publishes its event again",
                     name),
         "do not update its rows where that moves them; deleting them is fine"});
  }
  std::vector<OutboxRouter::Column> in_wal;
  std::vector<std::string> names;
  for (const pg::TableColumn& column : columns.columns) {
    if (column.generated && server_version < generated_since) continue;
    in_wal.push_back({column.name});
    names.push_back(column.name);
  }
  const OutboxRouter router(config, in_wal);
  if (router.missing().empty()) return found;
  found.push_back(
      {Verdict::fail, "table " + name,
       fmt::format("the outbox {} has no column {} (generated ones do not count before "
                   "PostgreSQL 18)",
                   name, fmt::join(router.missing(), ", ")),
       fmt::format("name the columns that it has in its [[outbox]] (id, aggregate_type, "
                   "aggregate_id, event_type, payload, headers, and those in subject); it has "
                   "{}",
                   fmt::join(names, ", "))});
  return found;
}

}  // namespace connector
