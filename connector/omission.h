// publish.oversize = "omit": a row without its largest columns, so that its record fits.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "pg/change.h"

namespace connector {

// One change's rows, with columns taken out one after the other. Borrows the rows' bytes.
class Omission {
 public:
  Omission(pg::Row row, pg::Row old) : row_(row.begin(), row.end()), old_(old.begin(), old.end()) {}

  // Takes out the column with the most bytes in both rows (the first of equals) for which `may`
  // allows it; false when there is none left with any.
  bool take_largest(const std::function<bool(std::size_t)>& may);

  pg::Row row() const { return row_; }
  pg::Row old() const { return old_; }

 private:
  std::vector<pg::Value> row_;
  std::vector<pg::Value> old_;
};

}  // namespace connector
