// Values as Debezium's PostgreSQL connector 3.x publishes them with its default settings and the
// JSON converter without schemas: docs/debezium.md has the table. What Debezium drops (types that
// it does not know), and what its encodings cannot say, is said there, too. Facts:
// https://debezium.io/documentation/reference/stable/connectors/postgresql.html ("Data type
// mappings"), and its source: PostgresValueConverter, UnchangedToastedReplicationMessageColumn,
// UnchangedToastedPlaceholder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pg/type_catalog.h"

namespace connector {

// What a type and its modifier mean to Debezium.
struct DebeziumType {
  enum class Kind {
    text,
    boolean,
    number,
    floating,
    bytes,
    decimal,           // with `digits` after the point
    variable_decimal,  // with as many as each value has
    money,
    date,
    time_millis,
    time_micros,
    timestamp_millis,
    timestamp_micros,
    timestamptz,  // with `digits` of the second
    timetz,
    interval,
    bit,
    bits,
    point,
    hstore,
    array,  // of `element`
  };
  Kind kind = Kind::text;
  int digits = 0;
  Kind element = Kind::text;
  char delimiter = ',';
};

// `modifier` is the column's, -1 for none; a domain brings its own.
DebeziumType debezium_type(const pg::TypeShape& shape, std::int32_t modifier);

// One thread; buffers are reused.
class DebeziumValues {
 public:
  // Throws BadValue for a text that is not what its type says.
  void append(std::string& out, const DebeziumType& type, std::string_view text);
  // Of a value that Postgres did not send: a TOAST value that the update left alone.
  void append_unavailable(std::string& out, const DebeziumType& type);

 private:
  void append_scalar(std::string& out, const DebeziumType& type, std::string_view text);
  void append_array(std::string& out, const DebeziumType& type, std::string_view text);
  void append_hstore(std::string& out, std::string_view text);

  std::string element_;
  std::string key_;
  std::string value_;
  std::string json_;
};

}  // namespace connector
