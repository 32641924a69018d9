#include "connector/diff_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/session.h"
#include "connector/stop.h"
#include "outbox/row_hash.h"

namespace connector {
namespace {

using outbox::DiffTable;

bool hides(const TableConfig& config, const std::string& column) {
  return config.mask.contains(column) ||
         std::find(config.exclude.begin(), config.exclude.end(), column) != config.exclude.end();
}

bool in_clear(const DiffTable& table, const TableConfig& config, const std::string& column) {
  const auto& columns = table.relation.columns;
  const bool read = std::any_of(columns.begin(), columns.end(),
                                [&](const pg::Column& one) { return one.name == column; });
  return read && !config.mask.contains(column);
}

[[noreturn]] void refuse_missing(const DiffTable& table, const std::string& column) {
  throw Stop(
      Exit::precondition,
      fmt::format("table {} has no column \"{}\", which its [[table]] names", table.name(), column),
      "correct columns, exclude, mask or key");
}

}  // namespace

outbox::DiffChoice choice_of(const TableConfig& config) {
  return {.columns = config.columns,
          .exclude = config.exclude,
          .key = config.key,
          .where = config.where};
}

DiffManifest::Hidden hidden_columns(const DiffTable& table, const TableConfig& config) {
  DiffManifest::Hidden hidden{.oid = table.relation.id.value, .columns = {}};
  for (const outbox::NumberedColumn& column : table.all) {
    if (hides(config, column.name)) hidden.columns[column.name] = column.number;
  }
  if (hidden.columns.empty()) hidden.oid = 0;
  return hidden;
}

void require_choice(const DiffTable& table, const TableConfig& config,
                    const DiffManifest::Hidden& then) {
  for (const std::string& column : config.key) {
    if (table.find(column) == nullptr) refuse_missing(table, column);
  }
  if (!config.pattern) {
    for (const auto* names : {&config.columns, &config.exclude}) {
      for (const std::string& column : *names) {
        if (table.find(column) == nullptr) refuse_missing(table, column);
      }
    }
    for (const auto& [column, mask] : config.mask) {
      if (table.find(column) == nullptr) refuse_missing(table, column);
    }
  }
  if (!table.generated.empty()) {
    throw Stop(Exit::precondition,
               fmt::format("table {}: column \"{}\" is generated, and generated columns are not "
                           "read: it can be no part of the key, nor one of columns",
                           table.name(), table.generated.front()),
               "name other columns in key and columns of its [[table]]");
  }
  if (then.oid != table.relation.id.value) return;
  for (const auto& [former, number] : then.columns) {
    if (!hides(config, former)) continue;
    const auto now =
        std::find_if(table.all.begin(), table.all.end(),
                     [number = number](const auto& one) { return one.number == number; });
    if (now == table.all.end() || now->name == former || !in_clear(table, config, now->name)) {
      continue;
    }
    throw Stop(Exit::precondition,
               fmt::format("table {}: column \"{}\", which mask or exclude names, was renamed to "
                           "\"{}\", and would be published as it is",
                           table.name(), former, now->name),
               fmt::format("name \"{}\" there in the place of \"{}\", or beside it under a pattern",
                           now->name, former));
  }
}

std::string unlogged_on_standby(const std::string& table) {
  return fmt::format("table {} is unlogged, and cannot be read on a standby", table);
}

std::string choice_fingerprint(const Config& config, const TableConfig& table) {
  Config one;
  one.stream.subject_prefix = config.stream.subject_prefix;
  one.publish.format = config.publish.format;
  one.tables = {table};
  one.tables[0].schema.clear();
  one.tables[0].table.clear();
  one.tables[0].pattern = false;
  const bool before = table.diff && table.diff->before;
  return fmt::format("{:016x}",
                     outbox::hash_bytes(record_settings(one, {}) + (before ? " before" : ""), 0));
}

}  // namespace connector
