// Which tables are compared, and when: each from the beginning of one round to that of its next one
// after its interval; all that are due at the same time in one round.
#pragma once

#include <chrono>
#include <map>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/table_selection.h"

namespace connector {

struct DueTable {
  std::string name;  // "schema"."table"
  std::string schema, table;
  const TableConfig* config = nullptr;  // the schedule's
};

class DiffSchedule {
 public:
  using Clock = std::chrono::steady_clock;

  explicit DiffSchedule(const Config& config) : config_(config), selection_(config) {}

  // Those whose interval has passed, or `all`, in the order of their names. Asks the catalog once a
  // minute what the patterns take.
  std::vector<DueTable> due(pqxx::connection& sql, bool all);
  // When there may be something to do.
  Clock::time_point next() const;

  // Those that are configured by name also while they are gone.
  const std::vector<DueTable>& captured() const { return captured_; }
  // Of the tables that are not forgotten: those that are configured by name too, while they are
  // gone.
  const std::set<std::string>& names() const { return names_; }

 private:
  void look(pqxx::connection& sql);

  const Config& config_;
  const TableSelection selection_;
  std::vector<DueTable> captured_;
  std::set<std::string> names_;
  std::map<std::string, Clock::time_point> next_round_;
  Clock::time_point next_look_;
};

}  // namespace connector
