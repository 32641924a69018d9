// Values of any type as JSON: CONTRACT.md, "The record". Scalars by their kind, arrays as nested
// arrays, composites and hstore as objects.
//
// A composite's fields are the catalog's of today, the text is of the time of the change. Where the
// two do not fit each other, the catalog is asked once more; where they still do not (the change is
// older than the type's present form), the value is Postgres's own text as a string, and that is
// said once a type. A text is always true; a row whose fields are guessed is not.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>

#include "connector/json_value.h"
#include "pg/type_catalog.h"

namespace connector {

// One thread. Its buffers are reused: the steady state allocates nothing for a value.
class StructuredValues {
 public:
  explicit StructuredValues(pg::TypeCatalog& types) : types_(types) {}

  pg::TypeCatalog& types() { return types_; }

  // `shape` is the catalog's. Throws BadValue for what no form of the type can explain.
  void append(std::string& out, const pg::TypeShape& shape, std::string_view text);

 private:
  struct Scratch {
    std::string first;
    std::string second;
  };

  void append_fitting(std::string& out, const pg::TypeShape& shape, std::string_view text,
                      std::size_t depth);
  void append_array(std::string& out, const pg::TypeShape& shape, std::string_view text,
                    std::size_t depth);
  void append_composite(std::string& out, const pg::TypeShape& shape, std::string_view text,
                        std::size_t depth);
  void append_hstore(std::string& out, std::string_view text, std::size_t depth);
  bool fits(std::string& out, const pg::TypeShape& shape, std::string_view text);
  Scratch& scratch(std::size_t depth);

  pg::TypeCatalog& types_;
  std::deque<Scratch> scratches_;                // by depth; addresses stay
  std::unordered_set<std::uint32_t> misfits_;    // asked about already, to no avail
  std::unordered_set<std::uint32_t> warned_of_;  // types
};

}  // namespace connector
