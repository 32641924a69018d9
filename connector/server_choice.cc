#include "connector/server_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "connector/filter_words.h"
#include "connector/outbox_findings.h"
#include "pg/filter_check.h"

namespace connector {
namespace {

constexpr int narrowing_since = 150000;
constexpr int generated_since = 180000;
constexpr std::uint32_t first_not_built_in = 16384;

std::string shown_name(const pg::TableInfo& table) {
  return readable_name(quoted_name(table.schema, table.name));
}

bool chooses(const TableConfig& config) {
  return !config.columns.empty() || !config.exclude.empty() || !config.mask.empty() ||
         !config.where.empty() || !config.key.empty();
}

// Why a publication of this server cannot narrow the table at all.
std::string obstacle(const pg::TableInfo& table, const Server& server) {
  if (server.version < narrowing_since) return "the server is older than PostgreSQL 15";
  if (!server.own_publication) return "walferry did not make the publication";
  if (!table.owned) return "only the table's owner may narrow it, which walferry's role is not";
  return "";
}

std::vector<const pg::TableColumn*> used_by(const TableConfig& config, const pg::TableInfo& table,
                                            const pg::TableColumns& columns) {
  std::vector<std::string> names;
  for (const pg::TableColumn& column : columns.columns) names.push_back(column.name);
  std::vector<const pg::TableColumn*> used;
  for (const std::size_t place : columns_used(config.where, names, table.name)) {
    used.push_back(&columns.columns[place]);
  }
  return used;
}

void choose_rows(const TableConfig& config, const pg::TableInfo& table,
                 const pg::TableColumns& columns, const Server& server, ServerChoice& choice) {
  if (config.where.empty()) return;
  choice.rows_reason = obstacle(table, server);
  choice.rows_fix = "see to that, or leave it so where the table is written seldom";
  for (const pg::TableColumn* column : used_by(config, table, columns)) {
    if (!choice.rows_reason.empty()) return;
    if (column->type >= first_not_built_in) {
      choice.rows_reason = fmt::format("column {} is of a type that is not built in", column->name);
    } else if (column->generated) {
      choice.rows_reason = fmt::format("column {} is generated", column->name);
    } else if (table.has_identity && !column->covered) {
      choice.rows_reason = fmt::format(
          "the replica identity does not have column {}, and the "
          "application's UPDATE and DELETE would fail",
          column->name);
      choice.rows_fix = fmt::format(
          "ALTER TABLE {} REPLICA IDENTITY FULL;  or USING INDEX …, one "
          "with that column",
          quoted_name(table.schema, table.name));
    }
  }
  if (choice.rows_reason.empty()) choice.narrowing.where = config.where;
}

void choose_columns(const TableConfig& config, const pg::TableInfo& table,
                    const pg::TableColumns& columns, const Server& server, ServerChoice& choice) {
  if (config.columns.empty()) return;
  choice.columns_reason = obstacle(table, server);
  if (choice.columns_reason.empty() && table.has_identity && columns.full) {
    choice.columns_reason =
        "under REPLICA IDENTITY FULL the application's UPDATE and DELETE would fail";
  }
  if (!choice.columns_reason.empty()) return;
  std::set<std::string> needed(config.columns.begin(), config.columns.end());
  needed.insert(config.key.begin(), config.key.end());
  // Where the server filters too: what was written before is filtered by walferry.
  if (!config.where.empty()) {
    for (const pg::TableColumn* column : used_by(config, table, columns)) {
      needed.insert(column->name);
    }
  }
  for (const pg::TableColumn& column : columns.columns) {
    const bool sent = !column.generated || server.version >= generated_since;
    const bool identifies = table.has_identity && column.identity;
    if (sent && (identifies || needed.count(column.name) > 0)) {
      choice.narrowing.columns.push_back(column.name);
    }
  }
}

// Of our own publication, or of one that is not there yet.
Server server_of(const Config& config, pqxx::connection& sql) {
  const auto publication = pg::publication_info(sql, config.source.publication);
  return {.version = sql.server_version(), .own_publication = !publication || publication->ours};
}

}  // namespace

ServerChoice server_choice(const TableConfig& config, const pg::TableInfo& table,
                           const pg::TableColumns& columns, const Server& server) {
  ServerChoice choice;
  choose_rows(config, table, columns, server, choice);
  choose_columns(config, table, columns, server, choice);
  return choice;
}

Findings choice_problems(const TableConfig& config, const pg::TableInfo& table,
                         const pg::TableColumns& columns, const Server& server) {
  Findings found;
  const std::string name = shown_name(table);
  const auto refuse = [&](const std::string& what, const std::string& fix) {
    found.push_back({Verdict::fail, "table " + name, fmt::format("table {} {}", name, what), fix});
  };
  const auto need = [&](const char* key, const std::string& column) {
    const pg::TableColumn* there = columns.find(column);
    if (there == nullptr) {
      refuse(fmt::format("has no column \"{}\", which its {} names", column, key),
             fmt::format("correct {} of its [[table]]", key));
    }
    return there;
  };
  for (const std::string& column : config.columns) need("columns", column);
  if (!config.pattern) {
    for (const std::string& column : config.exclude) need("exclude", column);
    for (const auto& [column, mask] : config.mask) need("mask", column);
  }
  const bool old_rows = table.has_identity && (config.ops.update || config.ops.remove);
  for (const std::string& column : config.key) {
    const pg::TableColumn* there = need("key", column);
    if (there == nullptr) continue;
    if (there->generated && server.version < generated_since) {
      refuse(fmt::format("has the generated column \"{}\" in its key, and generated columns are "
                         "not in WAL before PostgreSQL 18",
                         column),
             "choose another key");
    } else if (old_rows && !there->covered) {
      refuse(fmt::format("has the column \"{}\" in its key, and its replica identity has not: an "
                         "update or delete could not name its row",
                         column),
             fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL;  or USING INDEX …, one with that "
                         "column; or ops = [\"insert\", \"truncate\"]",
                         quoted_name(table.schema, table.name)));
    }
  }
  return found;
}

Findings choice_notes(const TableConfig& config, const pg::TableInfo& table,
                      const pg::TableColumns& columns, const ServerChoice& choice) {
  Findings found;
  const std::string name = shown_name(table);
  const auto note = [&](Verdict verdict, const std::string& what, const std::string& fix = "") {
    found.push_back({verdict, "choice " + name, fmt::format("table {}: {}", name, what), fix});
  };
  if (!choice.rows_reason.empty()) {
    note(Verdict::warn,
         fmt::format("walferry applies where itself, by one query a row, which is slow: {}",
                     choice.rows_reason),
         choice.rows_fix);
  } else if (!config.where.empty()) {
    note(Verdict::ok, "the server filters the rows");
  }
  if (!choice.columns_reason.empty()) {
    note(Verdict::ok, fmt::format("walferry leaves out all columns but {}, since {}",
                                  fmt::join(config.columns, ", "), choice.columns_reason));
  } else if (!config.columns.empty()) {
    note(Verdict::ok,
         fmt::format("the server sends only {}", fmt::join(choice.narrowing.columns, ", ")));
  }
  if (!config.exclude.empty()) {
    note(Verdict::ok, fmt::format("walferry leaves out {}", fmt::join(config.exclude, ", ")));
  }
  for (const auto& [column, mask] : config.mask) {
    const pg::TableColumn* there = columns.find(column);
    if (there == nullptr) continue;
    const bool in_key = config.key.empty()
                            ? there->identity
                            : std::count(config.key.begin(), config.key.end(), column) > 0;
    if (mask == Mask::redact && in_key) {
      note(Verdict::warn,
           fmt::format("column {} is redacted, and part of the key: keys no longer tell rows apart",
                       column),
           "mask it by \"hash\", or choose another key");
    } else {
      note(Verdict::ok, fmt::format("column {} is masked by \"{}\"", column,
                                    mask == Mask::hash ? "hash" : "redact"));
    }
  }
  return found;
}

Findings generated_findings(const pg::TableInfo& table, const pg::TableColumns& columns,
                            const Server& server) {
  if (server.version >= generated_since) return {};
  std::vector<std::string> names;
  for (const pg::TableColumn& column : columns.columns) {
    if (column.generated) names.push_back(column.name);
  }
  if (names.empty()) return {};
  return {{Verdict::warn, "generated " + shown_name(table),
           fmt::format("table {}: the generated columns {} are in no record: before PostgreSQL 18 "
                       "they are not in WAL",
                       shown_name(table), fmt::join(names, ", ")),
           "compute them where the records are read, or let a trigger fill a plain column"}};
}

Chosen choose(const Config& config, pqxx::connection& sql,
              const TableSelection::Resolved& resolved) {
  Chosen chosen;
  const TableSelection selection(config);
  std::optional<Server> server;
  std::set<std::pair<const TableConfig*, std::string>> wanted;  // what some table must have
  std::set<std::pair<const TableConfig*, std::string>> there;
  for (const pg::TableInfo& table : resolved.tables) {
    const TableConfig* chooser = selection.find(table.schema, table.name);
    if (chooser == nullptr) continue;
    if (chooser->outbox) {
      for (Finding& finding : outbox_findings(
               *chooser->outbox, table, pg::table_columns(sql, table.oid), sql.server_version())) {
        Findings& to = finding.verdict == Verdict::fail ? chosen.problems : chosen.notes;
        to.push_back(std::move(finding));
      }
    }
    if (!chooses(*chooser)) continue;
    if (!server) server = server_of(config, sql);
    const pg::TableColumns columns = pg::table_columns(sql, table.oid);
    append(chosen.problems, choice_problems(*chooser, table, columns, *server));
    if (chooser->pattern) {
      for (const std::string& name : chooser->exclude) wanted.emplace(chooser, name);
      for (const auto& [name, mask] : chooser->mask) wanted.emplace(chooser, name);
      for (const pg::TableColumn& column : columns.columns) there.emplace(chooser, column.name);
    }
    ServerChoice choice = server_choice(*chooser, table, columns, *server);
    append(chosen.notes, choice_notes(*chooser, table, columns, choice));
    if (choice.narrowing.columns.empty() && choice.narrowing.where.empty()) continue;
    chosen.narrowings[{table.schema, table.name}] = std::move(choice.narrowing);
  }
  for (const auto& name : wanted) {
    if (there.count(name) > 0) continue;
    // It may be a slip of the finger, and the column that was meant would be shown.
    chosen.problems.push_back(
        {Verdict::fail, fmt::format("tables {}.*", name.first->schema),
         fmt::format("no table of {}.* has a column \"{}\", which exclude or mask names",
                     name.first->schema, name.second),
         "correct exclude or mask of its [[table]]"});
  }
  return chosen;
}

Findings filter_findings(const Config& config, pqxx::connection& sql,
                         const TableSelection::Resolved& resolved) {
  Findings found;
  const TableSelection selection(config);
  std::optional<Server> server;
  for (const pg::TableInfo& table : resolved.tables) {
    const TableConfig* chooser = selection.find(table.schema, table.name);
    if (chooser == nullptr || chooser->where.empty()) continue;
    if (!server) server = server_of(config, sql);
    const pg::TableColumns columns = pg::table_columns(sql, table.oid);
    const bool by_server =
        !server_choice(*chooser, table, columns, *server).narrowing.where.empty();
    const std::string problem = pg::filter_problem(sql, table, columns, chooser->where, by_server);
    if (problem.empty()) continue;
    found.push_back({Verdict::fail, "where " + shown_name(table),
                     fmt::format("table {}: PostgreSQL does not take its where: {}",
                                 shown_name(table), problem),
                     "correct where of its [[table]]: what a publication's WHERE may be, and no "
                     "generated columns"});
  }
  return found;
}

}  // namespace connector
