// One row of COPY's text format.
// Source: PostgreSQL's documentation, COPY, "Text Format".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/change.h"

namespace pg {

// Takes a line (without its line break) apart into `row`, whose values borrow from `buffer`; both
// are reused. Throws ProtocolError when it has not `columns` columns or ends in an escape.
void split_copy_line(std::string_view line, std::size_t columns, std::string& buffer,
                     std::vector<Value>& row);

}  // namespace pg
