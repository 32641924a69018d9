// The types that every server has under the same numbers, so that they need no query. From
// pg_type.dat of PostgreSQL 15, whose numbers below 10000 never change; a type of a later version
// that is not here is looked up like any other.
#pragma once

#include <cstdint>
#include <span>

#include "pg/types.h"

namespace pg {

struct BuiltinType {
  std::uint32_t type;
  std::uint32_t array;   // the type of arrays of it; 0: there is none
  char kind;             // typtype: b, r(ange), m(ultirange)
  char delimiter;        // in arrays
  const char* sql_name;  // format_type()
};

const BuiltinType* builtin_type(TypeId type);
const BuiltinType* element_of_builtin_array(TypeId type);
std::span<const BuiltinType> builtin_types();

}  // namespace pg
