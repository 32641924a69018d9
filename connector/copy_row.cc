#include "connector/copy_row.h"

#include "pg/copy_text.h"

namespace connector {

pg::Row CopyRow::parse(std::string_view line, std::size_t columns) {
  pg::split_copy_line(line, columns, unescaped_, row_);
  return row_;
}

}  // namespace connector
