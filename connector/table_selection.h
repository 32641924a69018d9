// Which tables are captured: by name where changes are filtered (a function of the configuration
// and of the name that WAL has), by catalog where publications are made.
#pragma once

#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connector/config.h"
#include "pg/catalog.h"

namespace connector {

class TableSelection {
 public:
  explicit TableSelection(const Config& config);

  // An exact name beats source.exclude_tables, which beats a pattern.
  bool matches(std::string_view schema, std::string_view table) const;

  // Whether logical messages of this prefix are published as they are. Walferry's own never
  // are, nor what an outbox takes.
  bool takes_messages_of(std::string_view prefix) const;
  // Whether any are published, as they are or as events.
  bool takes_messages() const { return !messages_.empty() || !outboxes_.empty(); }
  // The outbox whose events logical messages of this prefix are; nullptr: none.
  const OutboxConfig* outbox_of_messages(std::string_view prefix) const;
  // The [[table]] that applies: the exact name's, else the pattern's; nullptr: not captured.
  const TableConfig* find(std::string_view schema, std::string_view table) const;

  struct Resolved {
    std::vector<pg::TableInfo> tables;  // what publications must cover, each once
    std::vector<std::string> missing;   // configured by name, and not there
    std::vector<pg::TableInfo> unfit;   // there, but unlogged or temporary: no WAL to read
  };
  Resolved resolve(pqxx::connection& sql) const;

 private:
  std::vector<TableConfig> tables_;
  std::vector<TableConfig> excluded_;
  std::vector<std::string> messages_;
  std::vector<OutboxConfig> outboxes_;  // of messages
};

std::string quoted_name(const std::string& schema, const std::string& table);
// The way back.
std::pair<std::string, std::string> unquoted_name(std::string_view name);

}  // namespace connector
