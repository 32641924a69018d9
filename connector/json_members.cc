#include "connector/json_members.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace connector {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || c == ':' || is_space(c); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As valid as `text`, with numbers that a double can hold.
std::string with_small_numbers(std::string_view text) {
  constexpr std::size_t most = 9;  // digits that stand together
  std::string small;
  small.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    small += text[i];
    if (in_string && text[i] == '\\' && i + 1 < text.size()) {
      small += text[++i];
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && is_digit(text[i])) {
      const std::size_t begin = i;
      while (i + 1 < text.size() && is_digit(text[i + 1])) ++i;
      const std::size_t before = text.substr(0, begin).find_last_not_of("+-");
      const bool exponent =
          before != std::string_view::npos && (text[before] == 'e' || text[before] == 'E');
      if (exponent) {
        small.back() = '1';
      } else {
        small += text.substr(begin + 1, std::min(most, i - begin));
      }
    }
  }
  return small;
}

}  // namespace

JsonMembers::JsonMembers(std::string_view text) : text_(text) {
  skip_space();
  if (at_ < text_.size() && text_[at_] == '{') {
    ++at_;
  } else {
    fail();
  }
}

bool JsonMembers::fail() {
  good_ = false;
  at_ = text_.size();
  return false;
}

void JsonMembers::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

// From the opening quote to behind the closing one.
bool JsonMembers::skip_string() {
  if (at_ >= text_.size() || text_[at_] != '"') return false;
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '\\') {
      ++at_;  // whatever is escaped
    } else if (text_[at_] == '"') {
      ++at_;
      return true;
    }
  }
  return false;
}

bool JsonMembers::skip_value() {
  if (at_ >= text_.size()) return false;
  if (text_[at_] == '"') return skip_string();
  if (text_[at_] != '{' && text_[at_] != '[') {
    const std::size_t begin = at_;
    while (at_ < text_.size() && !ends_scalar(text_[at_])) ++at_;
    return at_ > begin;
  }
  int depth = 0;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (!skip_string()) return false;
      continue;
    }
    ++at_;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return true;
  }
  return false;
}

bool JsonMembers::next() {
  if (!good_ || at_ >= text_.size()) return good_ ? fail() : false;
  skip_space();
  if (at_ < text_.size() && text_[at_] == '}') return false;
  if (!first_) {
    if (at_ >= text_.size() || text_[at_] != ',') return fail();
    ++at_;
    skip_space();
  }
  first_ = false;
  const std::size_t name_at = at_;
  if (!skip_string()) return fail();
  name_ = text_.substr(name_at + 1, at_ - name_at - 2);
  if (name_.find('\\') != std::string_view::npos) {
    unescaped_ = json_text(text_.substr(name_at, at_ - name_at));
    name_ = unescaped_;
  }
  skip_space();
  if (at_ >= text_.size() || text_[at_] != ':') return fail();
  ++at_;
  skip_space();
  const std::size_t value_at = at_;
  if (!skip_value()) return fail();
  value_ = text_.substr(value_at, at_ - value_at);
  skip_space();
  return true;
}

bool is_json(std::string_view text) {
  return nlohmann::json::accept(text) || nlohmann::json::accept(with_small_numbers(text));
}

std::string_view member(std::string_view object, std::string_view name) {
  JsonMembers members(object);
  while (members.next()) {
    if (members.name() == name) return members.value();
  }
  return {};
}

std::string json_text(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return "";
  if (value.find('\\') == std::string_view::npos) {
    return std::string(value.substr(1, value.size() - 2));
  }
  const auto parsed = nlohmann::json::parse(value, nullptr, false);
  return parsed.is_string() ? parsed.get<std::string>() : "";
}

std::vector<std::string> json_texts(std::string_view array) {
  std::vector<std::string> texts;
  if (array.empty()) return texts;
  const auto parsed = nlohmann::json::parse(array, nullptr, false);
  if (!parsed.is_array()) return texts;
  for (const auto& item : parsed) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

}  // namespace connector
