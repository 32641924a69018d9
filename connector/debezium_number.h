// Postgres's text of numbers, bit strings and points as Debezium encodes them by default.
//
// A decimal is the unscaled integer, big-endian two's complement in as few bytes as it takes
// (java.math.BigInteger.toByteArray), in base64: 12.30 with scale 2 is 1230 is 04 CE is "BM4=".
// Where the column has no scale of its own, the value brings it: {"scale":1,"value":"ew=="}.
// Facts: io.debezium.data.VariableScaleDecimal and SpecialValueDecimal, PostgresValueConverter's
// convertDecimal, convertMoney, convertBits and convertPoint, io.debezium.data.geometry.Point.
//
// All append, and throw BadValue for a text that is not what the type's text looks like.
#pragma once

#include <string>
#include <string_view>

namespace connector {

// NaN and the infinities, for which Debezium's default encodings have no place: an object that no
// reader of a number can take for one, {"special":"NaN"}.
void append_debezium_special(std::string& out, std::string_view text);

// numeric(p,s), s not negative.
void append_debezium_decimal(std::string& out, std::string_view text, int scale);
// numeric: without trailing zeros, as Debezium has it.
void append_debezium_variable_decimal(std::string& out, std::string_view text);
// money, as printed with lc_monetary C: -$1,234.50; scale 2.
void append_debezium_money(std::string& out, std::string_view text);

// The first bit is the highest; bytes go from the lowest to the highest that is not zero.
void append_debezium_bits(std::string& out, std::string_view text);
// bit(1), varbit(1).
void append_debezium_bit(std::string& out, std::string_view text);

// {"x":1.5,"y":2,"wkb":"…","srid":null}
void append_debezium_point(std::string& out, std::string_view text);

}  // namespace connector
