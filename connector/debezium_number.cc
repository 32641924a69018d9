#include "connector/debezium_number.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <memory>

#include "connector/base64.h"
#include "connector/json_value.h"

namespace connector {
namespace {

// A number's text without its point.
struct Digits {
  bool negative = false;
  std::string text;  // without leading zeros; empty: 0
  int scale = 0;
};

Digits digits_of(std::string_view text) {
  Digits digits;
  digits.negative = !text.empty() && text.front() == '-';
  if (digits.negative) text.remove_prefix(1);
  bool point = false;
  bool any = false;
  for (const char c : text) {
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      any = true;
      if (point) ++digits.scale;
      if (c != '0' || !digits.text.empty()) digits.text += c;
    } else {
      any = false;
      break;
    }
  }
  if (!any) throw BadValue("a numeric with something else than digits");
  return digits;
}

bool is_special(std::string_view text) {
  return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

struct FreeBignum {
  void operator()(BIGNUM* number) const noexcept { BN_free(number); }
};
using Bignum = std::unique_ptr<BIGNUM, FreeBignum>;

// The magnitude less `less` (0 or 1), big-endian, without leading zero bytes.
std::string magnitude(const std::string& digits, bool less) {
  constexpr std::size_t digits_of_64_bits = 18;
  std::string bytes;
  if (digits.size() <= digits_of_64_bits) {
    std::uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (less) --value;
    for (; value != 0; value >>= 8) bytes += static_cast<char>(value & 0xFF);
    std::reverse(bytes.begin(), bytes.end());
    return bytes;
  }
  BIGNUM* raw = nullptr;
  const int read = BN_dec2bn(&raw, digits.c_str());
  const Bignum number(raw);
  if (read != static_cast<int>(digits.size()) || (less && BN_sub_word(raw, 1) != 1)) {
    throw std::bad_alloc();
  }
  bytes.resize(static_cast<std::size_t>(BN_num_bytes(raw)));
  BN_bn2bin(raw, reinterpret_cast<unsigned char*>(bytes.data()));
  return bytes;
}

void append_integer(std::string& out, const Digits& digits) {
  const bool negative = digits.negative && !digits.text.empty();
  // -n is the complement of n - 1.
  std::string bytes = magnitude(digits.text, negative);
  if (bytes.empty() || (static_cast<unsigned char>(bytes.front()) & 0x80) != 0) {
    bytes.insert(bytes.begin(), '\0');
  }
  if (negative) {
    for (char& byte : bytes) byte = static_cast<char>(~static_cast<unsigned char>(byte));
  }
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

double coordinate(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || (error != std::errc())) {
    throw BadValue("a point that is not (x,y)");
  }
  return value;
}

void append_little_endian(std::string& bytes, double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>((bits >> shift) & 0xFF);
}

}  // namespace

void append_debezium_special(std::string& out, std::string_view text) {
  out += "{\"special\":";
  append_json_string(out, text);
  out += '}';
}

void append_debezium_decimal(std::string& out, std::string_view text, int scale) {
  if (is_special(text)) return append_debezium_special(out, text);
  Digits digits = digits_of(text);
  if (digits.scale > scale) throw BadValue("a numeric with more digits than its type has");
  if (!digits.text.empty()) digits.text.append(static_cast<std::size_t>(scale - digits.scale), '0');
  append_integer(out, digits);
}

void append_debezium_variable_decimal(std::string& out, std::string_view text) {
  if (is_special(text)) return append_debezium_special(out, text);
  Digits digits = digits_of(text);
  if (digits.text.empty()) digits.scale = 0;
  while (digits.scale > 0 && digits.text.back() == '0') {
    digits.text.pop_back();
    --digits.scale;
  }
  fmt::format_to(std::back_inserter(out), "{{\"scale\":{},\"value\":", digits.scale);
  append_integer(out, digits);
  out += '}';
}

void append_debezium_money(std::string& out, std::string_view text) {
  std::string plain;
  for (const char c : text) {
    if (c != '$' && c != ',') plain += c;
  }
  append_debezium_decimal(out, plain, 2);
}

void append_debezium_bits(std::string& out, std::string_view text) {
  std::string bytes;
  for (std::size_t end = text.size(); end > 0;) {
    const std::size_t begin = end > 8 ? end - 8 : 0;
    unsigned byte = 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (text[i] != '0' && text[i] != '1') throw BadValue("a bit that is neither 0 nor 1");
      byte = byte << 1 | static_cast<unsigned>(text[i] - '0');
    }
    bytes += static_cast<char>(byte);
    end = begin;
  }
  while (!bytes.empty() && bytes.back() == '\0') bytes.pop_back();
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

void append_debezium_bit(std::string& out, std::string_view text) {
  if (!text.empty() && text != "0" && text != "1") throw BadValue("a bit that is neither 0 nor 1");
  out += text == "1" ? "true" : "false";
}

void append_debezium_point(std::string& out, std::string_view text) {
  const auto comma = text.find(',');
  if (text.size() < 5 || text.front() != '(' || text.back() != ')' ||
      comma == std::string_view::npos) {
    throw BadValue("a point that is not (x,y)");
  }
  const std::string_view x = text.substr(1, comma - 1);
  const std::string_view y = text.substr(comma + 1, text.size() - comma - 2);
  std::string wkb("\1\1\0\0\0", 5);  // little-endian, of type POINT
  append_little_endian(wkb, coordinate(x));
  append_little_endian(wkb, coordinate(y));
  out += "{\"x\":";
  append_json_value(out, JsonKind::floating, x);
  out += ",\"y\":";
  append_json_value(out, JsonKind::floating, y);
  out += ",\"wkb\":\"";
  append_base64(out, wkb);
  out += "\",\"srid\":null}";
}

}  // namespace connector
