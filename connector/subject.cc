#include "connector/subject.h"

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

std::string escape_schema(std::string_view schema) {
  if (schema.empty() || schema.front() != '_') return escape_token(schema);
  std::string out;
  append_escaped(out, '_');
  return schema.size() == 1 ? out : out + escape_token(schema.substr(1));
}

}  // namespace connector
