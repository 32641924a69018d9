#include "connector/table_selection.h"

#include <algorithm>
#include <map>
#include <utility>

#include "connector/config_values.h"

namespace connector {
namespace {

bool names(const TableConfig& config, std::string_view schema, std::string_view table) {
  return !config.pattern && config.schema == schema && config.table == table;
}

bool covers(const TableConfig& config, std::string_view schema, std::string_view table) {
  return config.schema == schema && (config.pattern || config.table == table);
}

}  // namespace

TableSelection::TableSelection(const Config& config)
    : tables_(config.tables), messages_(config.source.messages) {
  for (const std::string& name : config.source.exclude_tables) {
    excluded_.push_back(parse_table_name(name));
  }
  for (const OutboxConfig& outbox : config.outboxes) {
    if (!outbox.message_prefix.empty()) outboxes_.push_back(outbox);
  }
}

bool TableSelection::matches(std::string_view schema, std::string_view table) const {
  return find(schema, table) != nullptr;
}

const TableConfig* TableSelection::find(std::string_view schema, std::string_view table) const {
  const auto first = [&](const std::vector<TableConfig>& list, auto test) -> const TableConfig* {
    const auto found = std::find_if(list.begin(), list.end(), [&](const TableConfig& config) {
      return test(config, schema, table);
    });
    return found == list.end() ? nullptr : &*found;
  };
  if (const TableConfig* exact = first(tables_, names)) return exact;
  return first(excluded_, covers) != nullptr ? nullptr : first(tables_, covers);
}

bool TableSelection::takes_messages_of(std::string_view prefix) const {
  if (prefix == snapshot_mark_prefix || prefix == snapshot_order_prefix ||
      prefix == publication_prefix) {
    return false;
  }
  if (outbox_of_messages(prefix) != nullptr) return false;
  return std::any_of(messages_.begin(), messages_.end(),
                     [&](const std::string& wanted) { return wanted == "*" || wanted == prefix; });
}

const OutboxConfig* TableSelection::outbox_of_messages(std::string_view prefix) const {
  const auto found =
      std::find_if(outboxes_.begin(), outboxes_.end(),
                   [&](const OutboxConfig& outbox) { return outbox.message_prefix == prefix; });
  return found == outboxes_.end() ? nullptr : &*found;
}

TableSelection::Resolved TableSelection::resolve(pqxx::connection& sql) const {
  Resolved resolved;
  std::map<std::pair<std::string, std::string>, pg::TableInfo> found;
  for (const TableConfig& config : tables_) {
    if (config.pattern) {
      for (const pg::TableInfo& table : pg::tables_in_schema(sql, config.schema)) {
        if (table.persistence != 'p' || !matches(table.schema, table.name)) continue;
        found.emplace(std::pair(table.schema, table.name), table);
      }
      continue;
    }
    const auto table = pg::table(sql, config.schema, config.table);
    if (!table) {
      resolved.missing.push_back(quoted_name(config.schema, config.table));
    } else if (table->persistence != 'p') {
      resolved.unfit.push_back(*table);
    } else {
      found.emplace(std::pair(table->schema, table->name), *table);
    }
  }
  for (auto& [name, table] : found) resolved.tables.push_back(std::move(table));
  return resolved;
}

std::string quoted_name(const std::string& schema, const std::string& table) {
  const auto quoted = [](const std::string& part) {
    std::string out = "\"";
    for (const char c : part) {
      if (c == '"') out += '"';
      out += c;
    }
    return out + '"';
  };
  return quoted(schema) + "." + quoted(table);
}

std::pair<std::string, std::string> unquoted_name(std::string_view name) {
  std::pair<std::string, std::string> parts;
  std::string* part = &parts.first;
  bool inside = false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '"') {
      if (inside) {
        *part += name[i];
      } else {
        part = &parts.second;  // the dot between them
      }
    } else if (inside && i + 1 < name.size() && name[i + 1] == '"') {
      *part += name[i++];
    } else {
      inside = !inside;
    }
  }
  return parts;
}

}  // namespace connector
