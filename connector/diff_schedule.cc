#include "connector/diff_schedule.h"

#include <algorithm>
#include <utility>

#include "connector/diff_findings.h"

namespace connector {

void DiffSchedule::look(pqxx::connection& sql) {
  captured_.clear();
  names_.clear();
  for (const pg::TableInfo& table : resolve_diff(config_, sql).tables) {
    const std::string name = quoted_name(table.schema, table.name);
    captured_.push_back({.name = name,
                         .schema = table.schema,
                         .table = table.name,
                         .config = selection_.find(table.schema, table.name)});
    names_.insert(name);
  }
  for (const TableConfig& table : config_.tables) {
    if (table.pattern) continue;
    const std::string name = quoted_name(table.schema, table.table);
    // Also one that is gone: so that each round says so.
    if (!names_.insert(name).second) continue;
    captured_.push_back({.name = name,
                         .schema = table.schema,
                         .table = table.table,
                         .config = selection_.find(table.schema, table.table)});
  }
  std::sort(captured_.begin(), captured_.end(), [](const DueTable& a, const DueTable& b) {
    return std::pair(a.schema, a.table) < std::pair(b.schema, b.table);
  });
}

std::vector<DueTable> DiffSchedule::due(pqxx::connection& sql, bool all) {
  const auto now = Clock::now();
  if (now >= next_look_) {
    next_look_ = now + std::chrono::minutes(1);
    look(sql);
  }
  std::vector<DueTable> due;
  for (const DueTable& table : captured_) {
    auto& next = next_round_[table.name];
    if (!all && now < next) continue;
    next = now + table.config->diff->interval;
    due.push_back(table);
  }
  return due;
}

DiffSchedule::Clock::time_point DiffSchedule::next() const {
  Clock::time_point next = next_look_;
  for (const DueTable& table : captured_) {
    const auto found = next_round_.find(table.name);
    if (found != next_round_.end()) next = std::min(next, found->second);
  }
  return next;
}

}  // namespace connector
