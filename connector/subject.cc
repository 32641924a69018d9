#include "connector/subject.h"

#include <algorithm>
#include <cctype>

namespace connector {
namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";

void append_escaped(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += hex_digits[byte >> 4];
  out += hex_digits[byte & 15];
}

bool plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

// Takes the first token off.
std::string_view take_token(std::string_view& subject) {
  const std::string_view token = subject.substr(0, subject.find('.'));
  subject.remove_prefix(std::min(subject.size(), token.size() + 1));
  return token;
}

}  // namespace

std::string escape_token(std::string_view name) {
  if (name.empty()) return "%";
  std::string out;
  for (const char c : name) {
    if (plain(c)) {
      out += c;
    } else {
      append_escaped(out, c);
    }
  }
  return out;
}

std::string unescape_token(std::string_view token) {
  std::string text;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '%') {
      text += token[i];
      continue;
    }
    if (token.size() - i < 3) break;  // "%" alone: empty
    const auto high = hex_digits.find(token[i + 1]);
    const auto low = hex_digits.find(token[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) continue;
    text += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return text;
}

std::string escape_schema(std::string_view schema) {
  if (schema.empty() || schema.front() != '_') return escape_token(schema);
  std::string out;
  append_escaped(out, '_');
  return schema.size() == 1 ? out : out + escape_token(schema.substr(1));
}

std::string guard_header(std::string escaped) {
  constexpr std::string_view word = "nats-";
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  auto from = escaped.begin();
  while (true) {
    const auto found = std::search(from, escaped.end(), word.begin(), word.end(), same);
    if (found == escaped.end()) return escaped;
    std::string letter;
    append_escaped(letter, *found);
    const auto at = found - escaped.begin();
    escaped.replace(static_cast<std::size_t>(at), 1, letter);
    from = escaped.begin() + at + static_cast<std::ptrdiff_t>(letter.size());
  }
}

bool subjects_overlap(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const std::string_view one = take_token(a);
    const std::string_view other = take_token(b);
    if (one == ">" || other == ">") return true;
    if (one != other && one != "*" && other != "*") return false;
  }
  return a.empty() && b.empty();
}

bool subject_covers(std::string_view wide, std::string_view narrow) {
  while (!wide.empty() && !narrow.empty()) {
    const std::string_view one = take_token(wide);
    const std::string_view other = take_token(narrow);
    if (one == ">") return true;
    if (other == ">" || (one != "*" && one != other)) return false;
  }
  return wide.empty() && narrow.empty();
}

}  // namespace connector
