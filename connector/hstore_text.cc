#include "connector/hstore_text.h"

namespace connector {

void HstoreText::fail() const {
  throw BadValue("not an hstore as PostgreSQL prints it (byte " + std::to_string(at_) +
                 " of the value)");
}

std::optional<HstoreText::Pair> HstoreText::next() {
  if (at_ == text_.size()) return std::nullopt;
  if (at_ > 0) expect(", ");
  Pair pair;
  pair.key = quoted(key_scratch_);
  expect("=>");
  if (text_.substr(at_, 4) == "NULL") {
    at_ += 4;
  } else {
    pair.value = quoted(value_scratch_);
  }
  return pair;
}

void HstoreText::expect(std::string_view token) {
  if (text_.substr(at_, token.size()) != token) fail();
  at_ += token.size();
}

std::string_view HstoreText::quoted(std::string& scratch) {
  expect("\"");
  const std::size_t begin = at_;
  std::size_t copied = begin;
  bool escaped = false;
  while (true) {
    const std::size_t stop = text_.find_first_of("\"\\", at_);
    if (stop == std::string_view::npos) fail();
    at_ = stop + 1;
    if (text_[stop] == '"') {
      if (!escaped) return text_.substr(begin, stop - begin);
      return scratch.append(text_, copied, stop - copied);
    }
    if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\\')) fail();
    if (!escaped) scratch.clear();
    escaped = true;
    scratch.append(text_, copied, stop - copied);
    copied = at_++;  // the escaped character goes with what follows it
  }
}

}  // namespace connector
