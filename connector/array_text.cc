#include "connector/array_text.h"

namespace connector {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// array_in would take it for NULL, and so array_out quotes it.
bool is_null_in_other_letters(std::string_view text) {
  constexpr std::string_view null = "null";
  if (text.size() != null.size()) return false;
  for (std::size_t i = 0; i < null.size(); ++i) {
    if ((text[i] | 0x20) != null[i]) return false;
  }
  return true;
}

}  // namespace

void ArrayText::fail() const {
  throw BadValue("not an array as PostgreSQL prints it (byte " + std::to_string(at_) +
                 " of the value)");
}

ArrayText::Token ArrayText::next() {
  if (state_ == State::end) {
    if (at_ != text_.size()) fail();
    return Token::end;
  }
  if (at_ >= text_.size()) fail();
  const char c = text_[at_];
  switch (state_) {
    case State::start:
      if (c != '{') fail();
      return open();
    case State::first_item:
      if (c == '}' && depth_ == 1) return close();
      return item();
    case State::item: return item();
    case State::after_item:
      if (c == '}') return close();
      if (c != delimiter_) fail();
      ++at_;
      return item();
    case State::end: break;
  }
  fail();
}

ArrayText::Token ArrayText::open() {
  if (depth_ == most_dimensions || (leaf_depth_ != 0 && depth_ >= leaf_depth_)) fail();
  ++at_;
  counts_[depth_++] = 0;
  state_ = State::first_item;
  return Token::open;
}

ArrayText::Token ArrayText::close() {
  std::size_t& length = lengths_[depth_ - 1];
  const std::size_t count = counts_[depth_ - 1];
  if (length != 0 && length != count) fail();
  length = count;
  ++at_;
  if (--depth_ == 0) {
    state_ = State::end;
  } else {
    count_item();
  }
  return Token::close;
}

void ArrayText::count_item() {
  ++counts_[depth_ - 1];
  state_ = State::after_item;
}

ArrayText::Token ArrayText::item() {
  if (at_ >= text_.size()) fail();
  const char c = text_[at_];
  if (c == '{') return open();
  if (leaf_depth_ == 0) leaf_depth_ = depth_;
  if (depth_ != leaf_depth_) fail();
  const Token token = c == '"' ? quoted() : plain();
  count_item();
  return token;
}

ArrayText::Token ArrayText::quoted() {
  const std::size_t begin = ++at_;
  std::size_t copied = begin;
  bool escaped = false;
  while (true) {
    const std::size_t stop = text_.find_first_of("\"\\", at_);
    if (stop == std::string_view::npos) fail();
    at_ = stop + 1;
    if (text_[stop] == '"') {
      if (escaped) {
        element_ = scratch_.append(text_, copied, stop - copied);
      } else {
        element_ = text_.substr(begin, stop - begin);
      }
      return Token::element;
    }
    if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\\')) fail();
    if (!escaped) scratch_.clear();
    escaped = true;
    scratch_.append(text_, copied, stop - copied);
    copied = at_++;  // the escaped character goes with what follows it
  }
}

ArrayText::Token ArrayText::plain() {
  const std::size_t begin = at_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == delimiter_ || c == '}') break;
    if (c == '{' || c == '"' || c == '\\' || is_space(c)) fail();
  }
  if (at_ == begin) fail();
  element_ = text_.substr(begin, at_ - begin);
  if (element_ == "NULL") return Token::null;
  if (is_null_in_other_letters(element_)) fail();
  return Token::element;
}

}  // namespace connector
