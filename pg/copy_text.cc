#include "pg/copy_text.h"

#include <fmt/format.h>

#include "pg/error.h"

namespace pg {
namespace {

// What COPY TO writes; any other character stands for itself.
char unescaped(char c) {
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

void split_copy_line(std::string_view line, std::size_t columns, std::string& buffer,
                     std::vector<Value>& row) {
  row.clear();
  buffer.clear();
  buffer.reserve(line.size());  // unescaped text is never longer: the views stay valid
  // A row without columns is an empty line.
  if (columns == 0 && line.empty()) return;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(line.find('\t', at), line.size());
    const std::string_view field = line.substr(at, end - at);
    if (field == "\\N") {
      row.emplace_back(Null{});
    } else {
      const std::size_t begin = buffer.size();
      std::size_t plain = 0;  // up to here it is taken
      for (std::size_t i = field.find('\\'); i != std::string_view::npos;
           i = field.find('\\', plain)) {
        if (i + 1 == field.size()) throw ProtocolError("a row of COPY ends within an escape");
        buffer.append(field, plain, i - plain);
        buffer += unescaped(field[i + 1]);
        plain = i + 2;
      }
      buffer.append(field, plain);
      row.emplace_back(std::string_view(buffer).substr(begin));
    }
    if (end == line.size()) break;
    at = end + 1;
  }
  if (row.size() != columns) {
    throw ProtocolError(
        fmt::format("a row of COPY has {} columns instead of {}", row.size(), columns));
  }
}

}  // namespace pg
