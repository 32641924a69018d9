// The members of a JSON object, one after the other, each value as the text that it is written in:
// what is compared is what a consumer reads, to the byte, and nothing is parsed that is not looked
// at. Takes any JSON with white space where it may be; checks no more than it needs to find the
// ends.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace connector {

class JsonMembers {
 public:
  // `text`: an object. Borrowed.
  explicit JsonMembers(std::string_view text);

  // False at the end, and when the text is no object: see good().
  bool next();
  std::string_view name() const { return name_; }    // without escapes; valid until next()
  std::string_view value() const { return value_; }  // "…" with its quotes, 1, null, {…}, […]
  bool good() const { return good_; }                // what was read so far is JSON

 private:
  bool fail();
  void skip_space();
  bool skip_string();
  bool skip_value();

  std::string_view text_;
  std::size_t at_ = 0;
  bool first_ = true;
  bool good_ = true;
  std::string_view name_;
  std::string_view value_;
  std::string unescaped_;
};

// Whether it is JSON, of any depth, with numbers of any size.
bool is_json(std::string_view text);

// The value of one member; empty when there is none.
std::string_view member(std::string_view object, std::string_view name);

// A string's text without quotes and escapes; nothing else is expected. Empty when it is none.
std::string json_text(std::string_view value);

// The same of an array of strings.
std::vector<std::string> json_texts(std::string_view array);

}  // namespace connector
