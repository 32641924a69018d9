// A row's text, as Postgres's record_out prints it, taken apart:
//
//   row   = "(" [ field { "," field } ] ")"
//   field = ""  (NULL)  | plain | '"' { char | '""' | "\\" } '"'
//
// Plain has no white space, quotes, backslashes, parentheses or commas in it. Strict: what
// record_out would not print is an error, never a guess. "()" is a row of no field, or of one that
// is NULL: only who knows the type can tell, and so says how many there are.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "connector/json_value.h"

namespace connector {

class CompositeText {
 public:
  // Borrows both; `scratch` holds fields that had to be unescaped. Throws BadValue.
  CompositeText(std::string_view text, std::string& scratch);

  // The next field; nothing for NULL. Valid until the next call. Throws BadValue, also when there
  // is none.
  std::optional<std::string_view> next();
  // All `fields` have been read, and nothing follows. Throws BadValue if not so.
  void finish(std::size_t fields) const;

 private:
  std::string_view quoted();
  [[noreturn]] void fail() const;

  std::string_view text_;
  std::string& scratch_;
  std::size_t at_ = 0;
  bool closed_ = false;
};

}  // namespace connector
