#include "connector/diff_findings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "connector/diff_choice.h"
#include "connector/diff_store.h"
#include "connector/remedy.h"
#include "pg/table_columns.h"

namespace connector {
namespace {

namespace fs = std::filesystem;

Finding folder_finding(const Config& config) {
  // What create_directories() makes is made where the last folder that is there may be written to.
  std::error_code error;
  fs::path folder = diff_folder(config);
  while (!folder.empty() && folder != folder.root_path() && !fs::exists(folder, error)) {
    folder = folder.parent_path();
  }
  if (!error && fs::is_directory(folder, error) && ::access(folder.c_str(), W_OK | X_OK) == 0) {
    return {Verdict::ok, "diff.state_dir", diff_folder(config), ""};
  }
  return {Verdict::fail, "diff.state_dir",
          fmt::format("the folder {} cannot be made: walferry's user may not write to {}",
                      diff_folder(config), folder.string()),
          fmt::format("mkdir -p {0} && chown WALFERRY_USER {0}", config.state_dir)};
}

// A [[table]]'s columns that some table must have: each that one is seen to have is taken out.
using Unseen = std::map<const TableConfig*, std::set<std::string>>;

std::set<std::string> shaping_columns(const TableConfig& config) {
  std::set<std::string> names(config.columns.begin(), config.columns.end());
  names.insert(config.exclude.begin(), config.exclude.end());
  for (const auto& [column, mask] : config.mask) names.insert(column);
  return names;
}

// The first of the key's columns that is generated; empty: none.
std::string generated_key(pqxx::connection& sql, const TableConfig& config,
                          const pg::TableInfo& table, const pg::TableColumns& columns) {
  std::vector<std::string> key = config.key;
  if (key.empty()) {
    for (const pg::TableColumn& column : columns.columns) {
      if (column.identity) key.push_back(column.name);
    }
  }
  if (key.empty()) key = pg::primary_key(sql, pg::RelationId(table.oid));
  key.insert(key.end(), config.columns.begin(), config.columns.end());
  for (const std::string& name : key) {
    const pg::TableColumn* column = columns.find(name);
    if (column != nullptr && column->generated) return name;
  }
  return "";
}

// The row security that applies is an error when rows are read, not a filter.
void look_at_table(pqxx::connection& sql, const TableConfig& config, const pg::TableInfo& table,
                   bool standby, Unseen& unseen, Findings& found) {
  const std::string quoted = quoted_name(table.schema, table.name);
  const std::string name = readable_name(quoted);
  const auto add = [&](Verdict verdict, std::string detail, std::string fix) {
    found.push_back({verdict, "table " + name, std::move(detail), std::move(fix)});
  };
  if (!table.readable) {
    add(Verdict::fail, fmt::format("table {} cannot be read by walferry's role", name),
        fmt::format("GRANT USAGE ON SCHEMA {} TO …;\nGRANT SELECT ON {} TO …;",
                    quoted_identifier(table.schema), quoted));
    return;
  }
  if (standby && table.persistence == 'u') {
    add(Verdict::fail, unlogged_on_standby(name), unlogged_hint);
    return;
  }
  const pg::TableColumns columns = pg::table_columns(sql, table.oid);
  std::set<std::string> needed(config.key.begin(), config.key.end());
  const std::set<std::string> shaping = shaping_columns(config);
  if (config.pattern) {
    auto& left = unseen.try_emplace(&config, shaping).first->second;
    std::erase_if(left, [&](const auto& column) { return columns.find(column) != nullptr; });
  } else {
    needed.insert(shaping.begin(), shaping.end());
  }
  for (const std::string& column : needed) {
    if (columns.find(column) != nullptr) continue;
    add(Verdict::fail,
        fmt::format("table {} has no column \"{}\", which its [[table]] names", name, column),
        "correct columns, exclude, mask or key");
    return;
  }
  if (const std::string column = generated_key(sql, config, table, columns); !column.empty()) {
    add(Verdict::fail,
        fmt::format("table {}: column \"{}\" is generated, and generated columns are not read: it "
                    "can be no part of the key, nor one of columns",
                    name, column),
        "name other columns in key and columns of its [[table]]");
    return;
  }
  if (!config.where.empty()) {
    try {
      pqxx::nontransaction work(sql);
      work.exec(fmt::format("SELECT FROM {}{} WHERE ({}\n) LIMIT 0",
                            table.partitioned ? "" : "ONLY ", quoted, config.where));
    } catch (const pqxx::sql_error& error) {
      add(Verdict::fail,
          fmt::format("table {}: its where is refused: {}", name, one_line(error.what())),
          "correct where");
      return;
    }
  }
  const bool keyed = !config.key.empty() ||
                     std::any_of(columns.columns.begin(), columns.columns.end(),
                                 [](const pg::TableColumn& column) { return column.identity; }) ||
                     !pg::primary_key(sql, pg::RelationId(table.oid)).empty();
  if (keyed) {
    add(Verdict::ok, "can be read, and has a key", "");
  } else {
    add(Verdict::ok,
        "can be read; without a key its rows are compared whole, and kept in diff.state_dir", "");
  }
}

}  // namespace

TableSelection::Resolved resolve_diff(const Config& config, pqxx::connection& sql) {
  const TableSelection selection(config);
  TableSelection::Resolved resolved;
  const bool standby = pg::server_info(sql).in_recovery;
  std::map<std::pair<std::string, std::string>, pg::TableInfo> found;
  for (const TableConfig& wanted : config.tables) {
    if (wanted.pattern) {
      for (const pg::TableInfo& table : pg::tables_in_schema(sql, wanted.schema)) {
        if (table.persistence == 't' || !selection.matches(table.schema, table.name)) continue;
        if (standby && table.persistence == 'u' &&
            selection.find(table.schema, table.name)->pattern) {
          resolved.unfit.push_back(table);
          continue;
        }
        found.emplace(std::pair(table.schema, table.name), table);
      }
    } else if (const auto table = pg::table(sql, wanted.schema, wanted.table)) {
      found.emplace(std::pair(table->schema, table->name), *table);
    } else {
      resolved.missing.push_back(quoted_name(wanted.schema, wanted.table));
    }
  }
  for (auto& [name, table] : found) resolved.tables.push_back(std::move(table));
  return resolved;
}

Findings diff_findings(const Config& config, pqxx::connection& sql, bool running) {
  Findings found{folder_finding(config)};
  const TableSelection selection(config);
  const TableSelection::Resolved resolved = resolve_diff(config, sql);
  for (const std::string& name : resolved.missing) {
    found.push_back({running ? Verdict::warn : Verdict::fail, "table " + readable_name(name),
                     fmt::format("table {} does not exist", readable_name(name)),
                     "create it, or correct the name"});
  }
  for (const pg::TableInfo& table : resolved.unfit) {
    const std::string name = readable_name(quoted_name(table.schema, table.name));
    found.push_back({Verdict::warn, "table " + name,
                     unlogged_on_standby(name) + ": its pattern passes it over", unlogged_hint});
  }
  const bool standby = pg::server_info(sql).in_recovery;
  Unseen unseen;
  for (const pg::TableInfo& table : resolved.tables) {
    look_at_table(sql, *selection.find(table.schema, table.name), table, standby, unseen, found);
  }
  for (const auto& [pattern, columns] : unseen) {
    for (const std::string& column : columns) {
      found.push_back(
          {Verdict::fail, fmt::format("tables {}.*", pattern->schema),
           fmt::format("no table of {}.* has a column \"{}\", which its [[table]] names",
                       pattern->schema, column),
           "correct columns, exclude or mask"});
    }
  }
  return found;
}

}  // namespace connector
