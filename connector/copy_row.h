// One row of COPY's text format as a Row: fields parted by tabs, \N is NULL, and a backslash before
// what else would part them. Source: PostgreSQL's documentation, COPY, "Text Format".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/change.h"

namespace connector {

class CopyRow {
 public:
  // `line` without its line break. The row borrows from it and from this, until the next call.
  // Throws pg::ProtocolError when it has not that many columns.
  pg::Row parse(std::string_view line, std::size_t columns);

 private:
  std::string unescaped_;
  std::vector<pg::Value> row_;
};

}  // namespace connector
