#include "connector/omission.h"

#include <algorithm>

namespace connector {
namespace {

std::size_t bytes_in(const std::vector<pg::Value>& row, std::size_t column) {
  if (column >= row.size()) return 0;
  const auto* text = std::get_if<std::string_view>(&row[column]);
  return text == nullptr ? 0 : text->size();
}

}  // namespace

bool Omission::take_largest(const std::function<bool(std::size_t)>& may) {
  std::size_t largest = 0;
  std::size_t most = 0;
  for (std::size_t i = 0; i < std::max(row_.size(), old_.size()); ++i) {
    const std::size_t bytes = bytes_in(row_, i) + bytes_in(old_, i);
    if (bytes > most && may(i)) {
      largest = i;
      most = bytes;
    }
  }
  if (most == 0) return false;
  if (largest < row_.size()) row_[largest] = pg::Omitted{};
  if (largest < old_.size()) old_[largest] = pg::Omitted{};
  return true;
}

}  // namespace connector
