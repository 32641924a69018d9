// Which columns a row filter may use, read off its text alone: the answer decides whether the
// server may filter, and must never leave one out, since a filter on a column that the replica
// identity lacks makes the application's UPDATE and DELETE fail. Too many is harmless: walferry
// then filters rows that the server could have. So every word of the text that could name a column
// is taken for one, within string literals too; the table's own name standing alone is the whole
// row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace connector {

// The places of the columns in `columns` that `where` may use, in order.
std::vector<std::size_t> columns_used(std::string_view where,
                                      const std::vector<std::string>& columns,
                                      std::string_view table);

}  // namespace connector
