#include "outbox/sort_key.h"

#include <charconv>

#include "outbox/checked_file.h"

namespace outbox {
namespace {

constexpr char null_tag = 0, integer_tag = 1, text_tag = 2;
constexpr std::uint64_t sign = 1ULL << 63U;

std::int64_t take_integer(std::string_view& key) {
  if (key.size() < 8) throw FileError("a key is cut short");
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value = value << 8U | static_cast<unsigned char>(key[static_cast<std::size_t>(i)]);
  }
  key.remove_prefix(8);
  return static_cast<std::int64_t>(value ^ sign);
}

}  // namespace

void append_null(std::string& key) { key += null_tag; }

void append_integer(std::string& key, std::int64_t value) {
  key += integer_tag;
  const std::uint64_t bits = static_cast<std::uint64_t>(value) ^ sign;
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(bits >> unsigned(shift));
}

void append_text(std::string& key, std::string_view text) {
  key += text_tag;
  key += text;
  key += '\0';
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::optional<std::string>> parts_of(std::string_view key) {
  std::vector<std::optional<std::string>> parts;
  while (!key.empty()) {
    const char tag = key.front();
    key.remove_prefix(1);
    if (tag == null_tag) {
      parts.emplace_back();
    } else if (tag == integer_tag) {
      parts.emplace_back(std::to_string(take_integer(key)));
    } else if (tag == text_tag && key.find('\0') != std::string_view::npos) {
      const std::size_t end = key.find('\0');
      parts.emplace_back(std::string(key.substr(0, end)));
      key.remove_prefix(end + 1);
    } else {
      throw FileError("a key is none");
    }
  }
  return parts;
}

std::int64_t integer_of(std::string_view key) {
  if (key.size() != 9 || key.front() != integer_tag) throw FileError("a key is no integer");
  key.remove_prefix(1);
  return take_integer(key);
}

}  // namespace outbox
