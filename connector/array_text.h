// An array's text, as Postgres's array_out prints it, taken apart:
//
//   array   = [ bounds "=" ] items
//   items   = "{}" | "{" item { delimiter item } "}"      at most 6 deep, all rows equally long
//   item    = items | "NULL" | plain | '"' { char | '\"' | "\\" } '"'
//
// The delimiter is the element type's: a comma, for box a semicolon. Plain is no null in other
// letters, and has no white space, quotes, backslashes, braces or delimiters in it. Strict: what
// array_out would not print is an error, never a guess.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "connector/json_value.h"

namespace connector {

class ArrayText {
 public:
  enum class Token { open, close, element, null, end };

  // Borrows both; `scratch` holds elements that had to be unescaped.
  ArrayText(std::string_view text, char delimiter, std::string& scratch)
      : text_(text), delimiter_(delimiter), scratch_(scratch) {}

  // "[2:3]={…}": an array that does not begin at 1, which JSON's arrays cannot say.
  static bool has_bounds(std::string_view text) { return !text.empty() && text.front() == '['; }

  // Throws BadValue.
  Token next();
  // Of the last token; valid until the next one.
  std::string_view element() const { return element_; }

 private:
  enum class State { start, first_item, item, after_item, end };

  Token open();
  Token close();
  Token item();
  Token quoted();
  Token plain();
  void count_item();
  [[noreturn]] void fail() const;

  static constexpr std::size_t most_dimensions = 6;  // MAXDIM of Postgres

  std::string_view text_;
  char delimiter_;
  std::string& scratch_;
  std::string_view element_;
  State state_ = State::start;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t leaf_depth_ = 0;  // where elements are; 0: none seen yet
  std::array<std::size_t, most_dimensions> counts_{};
  std::array<std::size_t, most_dimensions> lengths_{};  // 0: not known yet
};

}  // namespace connector
