// The rows of a table, or of some ranges of it, as snapshot-diff compares them: in the keys' order,
// each with its key and its hash.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "connector/work_progress.h"
#include "outbox/diff_table.h"
#include "outbox/table_merge.h"
#include "pg/sql_session.h"

namespace connector {

class DiffReading {
 public:
  // `tick` is called often, and may throw.
  DiffReading(pg::SqlSession& sql, const outbox::DiffTable& table, std::uint64_t seed,
              const std::function<void()>& tick);

  // `query`: one of the table's; what the one before brings must have been read to its end. Throws
  // pg::Error.
  void begin(const std::string& query) { sql_.begin_copy(query); }
  // Valid until the next call; nullptr at the end. Throws pg::Error.
  const outbox::NewRow* next();

 private:
  pg::SqlSession& sql_;
  const outbox::DiffTable& table_;
  std::uint64_t seed_;
  const std::function<void()>& tick_;
  WorkProgress progress_;
  std::uint64_t rows_ = 0;
  std::string key_;
  std::string unescaped_;
  std::vector<pg::Value> row_;
  outbox::NewRow read_;
};

}  // namespace connector
