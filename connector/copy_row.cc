#include "connector/copy_row.h"

#include <fmt/format.h>

#include "pg/error.h"

namespace connector {
namespace {

char unescape(char c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    default: return c;
  }
}

}  // namespace

pg::Row CopyRow::parse(std::string_view line, std::size_t columns) {
  row_.clear();
  unescaped_.clear();
  unescaped_.reserve(line.size());  // no view into it moves
  // A table without columns sends empty lines.
  for (bool more = columns > 0; more;) {
    const std::size_t end = line.find('\t');
    const std::string_view field = line.substr(0, end);
    more = end != std::string_view::npos;
    if (more) line.remove_prefix(end + 1);
    if (field == "\\N") {
      row_.emplace_back(pg::Null{});
    } else if (field.find('\\') == std::string_view::npos) {
      row_.emplace_back(field);
    } else {
      const std::size_t begin = unescaped_.size();
      for (std::size_t i = 0; i < field.size(); ++i) {
        const bool escape = field[i] == '\\' && i + 1 < field.size();
        unescaped_ += escape ? unescape(field[++i]) : field[i];
      }
      row_.emplace_back(std::string_view(unescaped_).substr(begin));
    }
  }
  if (row_.size() != columns) {
    throw pg::ProtocolError(
        fmt::format("a row of COPY has {} columns where {} were asked for", row_.size(), columns));
  }
  return row_;
}

}  // namespace connector
