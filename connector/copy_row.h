// One row of COPY's text format as a Row, with the buffers that it borrows from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/change.h"

namespace connector {

class CopyRow {
 public:
  // `line` without its line break. The row borrows from this, until the next call. Throws
  // pg::ProtocolError as pg::split_copy_line() does.
  pg::Row parse(std::string_view line, std::size_t columns);

 private:
  std::string unescaped_;
  std::vector<pg::Value> row_;
};

}  // namespace connector
