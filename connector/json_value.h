// One column's text, as Postgres prints it in walferry's sessions, as JSON: CONTRACT.md, "The
// record". Exact: nothing is parsed to a binary number and printed again.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "pg/types.h"

namespace connector {

enum class JsonKind {
  string,       // as it is
  boolean,      // t, f
  number,       // integers
  floating,     // a number, or "NaN", "Infinity", "-Infinity"
  json,         // embedded, white space outside strings removed
  bytes,        // hex to base64
  timestamp,    // the blank becomes T
  timestamptz,  // and +00 becomes Z
};

JsonKind kind_of(pg::TypeId type);

// A value that is not what its type says, or not UTF-8. Says no value.
class BadValue : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void append_json_string(std::string& out, std::string_view text);
void append_json_value(std::string& out, JsonKind kind, std::string_view text);

}  // namespace connector
