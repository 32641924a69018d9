// The COMMENT by which walferry knows a publication of its own, and remembers the row filters:
// "managed by walferry; filters 0123456789abcdef …". No I/O.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace pg {

// Tells one filter of a table from another, and from none. Table: {schema, table}.
std::string filter_mark(const std::pair<std::string, std::string>& table, const std::string& where);

std::string comment_of(const std::set<std::string>& marks);
// Nothing when the comment is not of walferry's making.
std::optional<std::set<std::string>> marks_in(std::string_view comment);

}  // namespace pg
