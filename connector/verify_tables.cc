#include "connector/verify_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "connector/preconditions.h"
#include "connector/stop.h"
#include "connector/table_selection.h"

namespace connector {

std::vector<pg::TableInfo> tables_to_verify(const Config& config, const VerifyCommand& command,
                                            pqxx::connection& sql) {
  const TableSelection::Resolved resolved = TableSelection(config).resolve(sql);
  const TableSelection selection(config);
  const auto is_outbox = [&](const pg::TableInfo& table) {
    const TableConfig* const found = selection.find(table.schema, table.name);
    return found != nullptr && found->outbox;
  };
  std::vector<pg::TableInfo> chosen;
  if (command.tables.empty()) {
    require(table_findings(resolved));
    std::copy_if(resolved.tables.begin(), resolved.tables.end(), std::back_inserter(chosen),
                 [&](const pg::TableInfo& table) { return !is_outbox(table); });
  }
  for (const std::string& name : command.tables) {
    const TableConfig wanted = parse_table_name(name);
    bool any = false;
    for (const pg::TableInfo& table : resolved.tables) {
      if (table.schema != wanted.schema || !(wanted.pattern || table.name == wanted.table))
        continue;
      any = true;
      if (is_outbox(table)) {
        throw Stop(Exit::usage,
                   fmt::format("table {} is an outbox: its rows are events, which do not add up to "
                               "a table",
                               name),
                   "name tables that are captured as tables");
      }
      const bool twice = std::any_of(chosen.begin(), chosen.end(), [&](const pg::TableInfo& one) {
        return one.oid == table.oid;
      });
      if (!twice) chosen.push_back(table);
    }
    if (!any) {
      throw Stop(Exit::precondition,
                 fmt::format("table {} is not captured, or does not exist", name),
                 "name tables that the configuration has, as schema.table");
    }
  }
  if (chosen.empty()) {
    throw Stop(Exit::precondition, "there is no table to verify (outboxes do not count)",
               "add a [[table]] to the configuration, or create what its patterns match");
  }
  for (const pg::TableInfo& table : chosen) {
    if (table.readable) continue;
    throw Stop(Exit::precondition,
               fmt::format("table {}.{} cannot be read by this role", table.schema, table.name),
               fmt::format("GRANT SELECT ON {} TO the role in source.dsn (and USAGE on its schema)",
                           quoted_name(table.schema, table.name)));
  }
  return chosen;
}

}  // namespace connector
