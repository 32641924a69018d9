#include "connector/json_value.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace connector {
namespace {

// What a byte asks for within a JSON string: 0 nothing, 1 an escape, 2 the UTF-8 check.
constexpr std::array<std::uint8_t, 256> byte_classes = [] {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned i = 0; i < 0x20; ++i) classes[i] = 1;
  for (unsigned i = 0x80; i < 0x100; ++i) classes[i] = 2;
  classes['"'] = 1;
  classes['\\'] = 1;
  return classes;
}();

std::uint8_t class_of(char c) { return byte_classes[static_cast<unsigned char>(c)]; }

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    default: {
      constexpr std::string_view hex = "0123456789abcdef";
      out += "\\u00";
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    }
  }
}

// The length of the UTF-8 sequence at `at`. A database in SQL_ASCII sends whatever was stored.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(at);
  const unsigned second = byte(at + 1);
  if (first >= 0xC2 && first <= 0xDF && tail(at + 1)) return 2;
  if (first >= 0xE0 && first <= 0xEF && tail(at + 1) && tail(at + 2)) {
    const bool overlong = first == 0xE0 && second < 0xA0;
    const bool surrogate = first == 0xED && second > 0x9F;
    if (!overlong && !surrogate) return 3;
  }
  if (first >= 0xF0 && first <= 0xF4 && tail(at + 1) && tail(at + 2) && tail(at + 3)) {
    const bool overlong = first == 0xF0 && second < 0x90;
    const bool beyond = first == 0xF4 && second > 0x8F;
    if (!overlong && !beyond) return 4;
  }
  throw BadValue("bytes that are not UTF-8 (byte " + std::to_string(at) + " of the value)");
}

constexpr std::uint64_t eight_times(unsigned char byte) { return 0x0101010101010101U * byte; }

// Whether all of eight bytes stand for themselves within a JSON string. In the top bit of each: a
// byte below 0x20 borrows it, a byte that equals another is 0 after ^, and beyond ASCII it is set.
bool stand_for_themselves(const char* eight) {
  std::uint64_t word = 0;
  std::memcpy(&word, eight, sizeof word);
  const auto has_zero = [](std::uint64_t bytes) { return (bytes - eight_times(1)) & ~bytes; };
  const std::uint64_t low = (word - eight_times(0x20)) & ~word;
  const std::uint64_t special =
      has_zero(word ^ eight_times('"')) | has_zero(word ^ eight_times('\\'));
  return ((low | special | word) & eight_times(0x80)) == 0;
}

void append_string_body(std::string& out, std::string_view text) {
  std::size_t copied = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t block = std::min(at + 8, text.size());
    if (block == at + 8 && stand_for_themselves(text.data() + at)) at = block;
    while (at < block) {
      const auto kind = class_of(text[at]);
      if (kind == 0) {
        ++at;
      } else if (kind == 2) {
        at += utf8_length(text, at);
      } else {
        out.append(text, copied, at - copied);
        append_escape(out, text[at]);
        copied = ++at;
      }
    }
  }
  out.append(text, copied, text.size() - copied);
}

void append_compact_json(std::string& out, std::string_view text) {
  bool in_string = false;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (class_of(c) == 2) {
      const std::size_t length = utf8_length(text, at);
      out.append(text, at, length);
      at += length;
      continue;
    }
    ++at;
    if (in_string) {
      out += c;
      if (c == '\\' && at < text.size()) out += text[at++];
      if (c == '"') in_string = false;
    } else if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
      out += c;
      if (c == '"') in_string = true;
    }
  }
}

unsigned hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  throw BadValue("a bytea that is not in hex format");
}

// Blockwise, so that a large value needs no second buffer of its size.
void append_base64(std::string& out, std::string_view text) {
  if (text.substr(0, 2) != "\\x" || text.size() % 2 != 0) {
    throw BadValue("a bytea that is not in hex format");
  }
  constexpr std::size_t block = 3 * 256;
  std::array<unsigned char, block> raw{};
  std::array<unsigned char, block / 3 * 4 + 1> encoded{};
  std::size_t held = 0;
  const auto flush = [&] {
    const int length = EVP_EncodeBlock(encoded.data(), raw.data(), static_cast<int>(held));
    out.append(reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length));
    held = 0;
  };
  for (std::size_t i = 2; i < text.size(); i += 2) {
    raw[held++] = static_cast<unsigned char>((hex_value(text[i]) << 4) | hex_value(text[i + 1]));
    if (held == block) flush();
  }
  if (held > 0) flush();
}

bool is_integer(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_number_start(char c) { return (c >= '0' && c <= '9') || c == '-'; }

// Infinity and dates before Christ stay as Postgres prints them.
bool plain_time(std::string_view text) {
  return !text.empty() && text.front() >= '0' && text.front() <= '9' && text.back() != 'C';
}

void append_timestamp(std::string& out, std::string_view text, bool with_zone) {
  const auto blank = text.find(' ');
  if (!plain_time(text) || blank == std::string_view::npos) {
    append_json_string(out, text);
    return;
  }
  const bool utc = with_zone && text.size() > 3 && text.substr(text.size() - 3) == "+00";
  out += '"';
  append_string_body(out, text.substr(0, blank));
  out += 'T';
  append_string_body(out, text.substr(blank + 1, text.size() - blank - 1 - (utc ? 3 : 0)));
  if (utc) out += 'Z';
  out += '"';
}

}  // namespace

JsonKind kind_of(pg::TypeId type) {
  switch (type.value) {  // pg_type.dat: these numbers never change
    case 16: return JsonKind::boolean;
    case 20:
    case 21:
    case 23:
    case 26: return JsonKind::number;
    case 700:
    case 701: return JsonKind::floating;
    case 114:
    case 3802: return JsonKind::json;
    case 17: return JsonKind::bytes;
    case 1114: return JsonKind::timestamp;
    case 1184: return JsonKind::timestamptz;
    default: return JsonKind::string;
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_string_body(out, text);
  out += '"';
}

void append_json_value(std::string& out, JsonKind kind, std::string_view text) {
  switch (kind) {
    case JsonKind::boolean:
      if (text != "t" && text != "f") throw BadValue("a bool that is neither t nor f");
      out += text == "t" ? "true" : "false";
      return;
    case JsonKind::number:
      if (!is_integer(text)) throw BadValue("an integer with something else than digits");
      out += text;
      return;
    case JsonKind::floating:
      if (text.empty()) throw BadValue("an empty number");
      if (is_number_start(text.front()) && text != "-Infinity") {
        if (text.find_first_not_of("0123456789+-.e") != std::string_view::npos) {
          throw BadValue("a number with something else than digits");
        }
        out += text;
      } else {
        append_json_string(out, text);
      }
      return;
    case JsonKind::json: append_compact_json(out, text); return;
    case JsonKind::bytes:
      out += '"';
      append_base64(out, text);
      out += '"';
      return;
    case JsonKind::timestamp: append_timestamp(out, text, false); return;
    case JsonKind::timestamptz: append_timestamp(out, text, true); return;
    case JsonKind::string: append_json_string(out, text); return;
  }
}

}  // namespace connector
