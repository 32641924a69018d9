#include "pg/types.h"

#include <fmt/format.h>

#include <charconv>

namespace pg {
namespace {

std::optional<std::uint64_t> parse_hex(std::string_view text, std::size_t max_digits) {
  if (text.empty() || text.size() > max_digits) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string to_string(Lsn lsn) {
  return fmt::format("{:X}/{:X}", lsn.value >> 32, lsn.value & 0xFFFFFFFF);
}

std::string to_hex16(Lsn lsn) { return fmt::format("{:016X}", lsn.value); }

std::optional<Lsn> parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = parse_hex(text.substr(0, slash), 8);
  const auto low = parse_hex(text.substr(slash + 1), 8);
  if (!high || !low) return std::nullopt;
  return Lsn((*high << 32) | *low);
}

std::optional<Lsn> parse_hex16(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  const auto value = parse_hex(text, 16);
  if (!value) return std::nullopt;
  return Lsn(*value);
}

}  // namespace pg
