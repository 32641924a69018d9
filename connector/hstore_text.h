// An hstore's text, as hstore_out prints it, taken apart:
//
//   hstore = "" | pair { ", " pair }
//   pair   = quoted "=>" ( quoted | "NULL" )
//   quoted = '"' { char | '\"' | "\\" } '"'
//
// Strict: what hstore_out would not print is an error, never a guess.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "connector/json_value.h"

namespace connector {

class HstoreText {
 public:
  // Borrows all; the scratches hold keys and values that had to be unescaped.
  HstoreText(std::string_view text, std::string& key_scratch, std::string& value_scratch)
      : text_(text), key_scratch_(key_scratch), value_scratch_(value_scratch) {}

  struct Pair {
    std::string_view key;
    std::optional<std::string_view> value;
  };
  // Nothing at the end. Valid until the next call. Throws BadValue.
  std::optional<Pair> next();

 private:
  void expect(std::string_view token);
  std::string_view quoted(std::string& scratch);
  [[noreturn]] void fail() const;

  std::string_view text_;
  std::string& key_scratch_;
  std::string& value_scratch_;
  std::size_t at_ = 0;
};

}  // namespace connector
