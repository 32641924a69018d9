#include "connector/composite_text.h"

namespace connector {
namespace {

bool needs_quotes(char c) {
  return c == '"' || c == '\\' || c == '(' || c == ')' || c == ',' || c == ' ' ||
         (c >= '\t' && c <= '\r');
}

}  // namespace

void CompositeText::fail() const {
  throw BadValue("not a row of its type as PostgreSQL prints it (byte " + std::to_string(at_) +
                 " of the value)");
}

CompositeText::CompositeText(std::string_view text, std::string& scratch)
    : text_(text), scratch_(scratch) {
  if (text_.empty() || text_.front() != '(') fail();
  at_ = 1;
}

std::optional<std::string_view> CompositeText::next() {
  if (closed_ || at_ >= text_.size()) fail();
  std::optional<std::string_view> field;
  if (text_[at_] == '"') {
    field = quoted();
  } else {
    const std::size_t begin = at_;
    while (at_ < text_.size() && !needs_quotes(text_[at_])) ++at_;
    if (at_ > begin) field = text_.substr(begin, at_ - begin);
  }
  if (at_ >= text_.size() || (text_[at_] != ',' && text_[at_] != ')')) fail();
  closed_ = text_[at_++] == ')';
  return field;
}

std::string_view CompositeText::quoted() {
  const std::size_t begin = ++at_;
  std::size_t copied = begin;
  bool escaped = false;
  while (true) {
    const std::size_t stop = text_.find_first_of("\"\\", at_);
    if (stop == std::string_view::npos) fail();
    at_ = stop + 1;
    const bool doubled = at_ < text_.size() && text_[at_] == text_[stop];
    if (!doubled && text_[stop] == '"') {
      if (!escaped) return text_.substr(begin, stop - begin);
      return scratch_.append(text_, copied, stop - copied);
    }
    if (!doubled) fail();
    if (!escaped) scratch_.clear();
    escaped = true;
    scratch_.append(text_, copied, stop - copied);
    copied = at_++;  // the second of the two goes with what follows it
  }
}

void CompositeText::finish(std::size_t fields) const {
  const bool empty = fields == 0 && text_ == "()";
  if (!empty && !(closed_ && at_ == text_.size())) fail();
}

}  // namespace connector
