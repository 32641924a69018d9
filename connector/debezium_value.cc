#include "connector/debezium_value.h"

#include <fmt/format.h>

#include <iterator>

#include "connector/array_text.h"
#include "connector/base64.h"
#include "connector/debezium_number.h"
#include "connector/debezium_time.h"
#include "connector/hstore_text.h"
#include "connector/json_value.h"

namespace connector {
namespace {

using Kind = DebeziumType::Kind;

// Debezium's unavailable.value.placeholder.
constexpr std::string_view unavailable = "__debezium_unavailable_value";

constexpr int most_digits = 6;  // of a second

// numeric's modifier holds precision and scale, 4 added; the scale in eleven bits with a sign.
void set_numeric(DebeziumType& type, std::int32_t modifier) {
  constexpr std::int32_t added = 4;
  type.kind = Kind::variable_decimal;
  if (modifier < added) return;
  const int scale = (((modifier - added) & 0x7FF) ^ 0x400) - 0x400;
  // One that rounds to tens or hundreds has no place in Debezium's fixed form that all agree on.
  if (scale < 0) return;
  type.kind = Kind::decimal;
  type.digits = scale;
}

Kind by_precision(std::int32_t modifier, Kind millis, Kind micros) {
  return modifier >= 0 && modifier <= 3 ? millis : micros;
}

DebeziumType scalar_type(const pg::TypeShape& shape, std::int32_t modifier) {
  DebeziumType type;
  switch (shape.base.value) {  // pg_type.dat: these numbers never change
    case 16: type.kind = Kind::boolean; break;
    case 20:
    case 21:
    case 23:
    case 26: type.kind = Kind::number; break;
    case 700:
    case 701: type.kind = Kind::floating; break;
    case 17: type.kind = Kind::bytes; break;
    case 1700: set_numeric(type, modifier); break;
    case 790: type.kind = Kind::money; break;
    case 1082: type.kind = Kind::date; break;
    case 1083: type.kind = by_precision(modifier, Kind::time_millis, Kind::time_micros); break;
    case 1114:
      type.kind = by_precision(modifier, Kind::timestamp_millis, Kind::timestamp_micros);
      break;
    case 1184:
      type.kind = Kind::timestamptz;
      type.digits = modifier >= 0 && modifier < most_digits ? modifier : most_digits;
      break;
    case 1266: type.kind = Kind::timetz; break;
    case 1186: type.kind = Kind::interval; break;
    case 1560:
    case 1562: type.kind = modifier == 1 ? Kind::bit : Kind::bits; break;
    case 600: type.kind = Kind::point; break;
    default: break;
  }
  return type;
}

}  // namespace

DebeziumType debezium_type(const pg::TypeShape& shape, std::int32_t modifier) {
  if (modifier == -1) modifier = shape.modifier;
  switch (shape.kind) {
    case pg::TypeShape::Kind::scalar: return scalar_type(shape, modifier);
    case pg::TypeShape::Kind::hstore: return {.kind = Kind::hstore};
    case pg::TypeShape::Kind::composite: return {};
    case pg::TypeShape::Kind::array: break;
  }
  DebeziumType type = debezium_type(*shape.element, modifier);
  // Arrays of domains over arrays: the inner array's text.
  type.element = type.kind == Kind::array ? Kind::text : type.kind;
  type.kind = Kind::array;
  type.delimiter = shape.delimiter;
  return type;
}

void DebeziumValues::append(std::string& out, const DebeziumType& type, std::string_view text) {
  if (type.kind == Kind::array) {
    append_array(out, type, text);
  } else {
    append_scalar(out, type, text);
  }
}

void DebeziumValues::append_scalar(std::string& out, const DebeziumType& type,
                                   std::string_view text) {
  switch (type.kind) {
    case Kind::array:
    case Kind::text: return append_json_string(out, text);
    case Kind::boolean: return append_json_value(out, JsonKind::boolean, text);
    case Kind::number: return append_json_value(out, JsonKind::number, text);
    case Kind::floating: return append_json_value(out, JsonKind::floating, text);
    case Kind::bytes: return append_json_value(out, JsonKind::bytes, text);
    case Kind::decimal: return append_debezium_decimal(out, text, type.digits);
    case Kind::variable_decimal: return append_debezium_variable_decimal(out, text);
    case Kind::money: return append_debezium_money(out, text);
    case Kind::date: return append_debezium_date(out, text);
    case Kind::time_millis: return append_debezium_time(out, text, TimeUnit::millis);
    case Kind::time_micros: return append_debezium_time(out, text, TimeUnit::micros);
    case Kind::timestamp_millis: return append_debezium_timestamp(out, text, TimeUnit::millis);
    case Kind::timestamp_micros: return append_debezium_timestamp(out, text, TimeUnit::micros);
    case Kind::timestamptz: return append_debezium_timestamptz(out, text, type.digits);
    case Kind::timetz: return append_debezium_timetz(out, text);
    case Kind::interval: return append_debezium_interval(out, text);
    case Kind::bit: return append_debezium_bit(out, text);
    case Kind::bits: return append_debezium_bits(out, text);
    case Kind::point: return append_debezium_point(out, text);
    case Kind::hstore: return append_hstore(out, text);
  }
}

// An array that does not begin at 1, which JSON's cannot say, is Postgres's text.
void DebeziumValues::append_array(std::string& out, const DebeziumType& type,
                                  std::string_view text) {
  if (ArrayText::has_bounds(text)) return append_json_string(out, text);
  using Token = ArrayText::Token;
  DebeziumType element = type;
  element.kind = type.element;
  ArrayText array(text, type.delimiter, element_);
  bool first = true;
  for (Token token = array.next(); token != Token::end; token = array.next()) {
    if (token == Token::close) {
      out += ']';
      first = false;
      continue;
    }
    if (!first) out += ',';
    first = token == Token::open;
    if (token == Token::open) {
      out += '[';
    } else if (token == Token::null) {
      out += "null";
    } else {
      append_scalar(out, element, array.element());
    }
  }
}

// A string that holds JSON.
void DebeziumValues::append_hstore(std::string& out, std::string_view text) {
  HstoreText pairs(text, key_, value_);
  json_.assign("{");
  while (const auto pair = pairs.next()) {
    if (json_.size() > 1) json_ += ',';
    append_json_string(json_, pair->key);
    json_ += ':';
    if (pair->value) {
      append_json_string(json_, *pair->value);
    } else {
      json_ += "null";
    }
  }
  json_ += '}';
  append_json_string(out, json_);
}

// Numbers and dates spell the placeholder in an array; where Debezium has no form of its own (it
// fails, or hands on what does not fit the type), it is the string, which no other reading fits.
void DebeziumValues::append_unavailable(std::string& out, const DebeziumType& type) {
  switch (type.kind) {
    case Kind::bytes:
      out += '"';
      append_base64(out, unavailable);
      out += '"';
      return;
    case Kind::hstore:
      json_ = fmt::format("{{\"{0}\":\"{0}\"}}", unavailable);
      return append_json_string(out, json_);
    case Kind::array:
      if (type.element == Kind::number || type.element == Kind::date) {
        for (std::size_t i = 0; i < unavailable.size(); ++i) {
          out += i == 0 ? '[' : ',';
          out += std::to_string(static_cast<int>(unavailable[i]));
        }
        out += ']';
      } else {
        fmt::format_to(std::back_inserter(out), "[\"{}\"]", unavailable);
      }
      return;
    default: fmt::format_to(std::back_inserter(out), "\"{}\"", unavailable);
  }
}

}  // namespace connector
