#include "connector/filter_words.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace connector {
namespace {

constexpr std::size_t longest_name = 63;  // Postgres cuts what is longer

bool is_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || c == '_' || c == '$' || byte >= 0x80;
}

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

struct Word {
  std::string name;
  bool qualifies = false;  // a name with a dot stands behind it: table.column, not table or table.*
};

// What stands at `at` behind white space.
char next_sign(std::string_view text, std::size_t& at) {
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  return at < text.size() ? text[at] : '\0';
}

bool has_column_behind(std::string_view text, std::size_t at) {
  if (next_sign(text, at) != '.') return false;
  const char next = next_sign(text, ++at);
  return is_word(next) || next == '"';
}

// A double-quoted name, a doubled quote within standing for one; `at` is moved behind it.
std::string quoted(std::string_view text, std::size_t& at) {
  std::string name;
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') {
      if (at + 1 >= text.size() || text[at + 1] != '"') break;
      ++at;
    }
    name += text[at];
  }
  if (at < text.size()) ++at;
  return name;
}

bool is_quote_at(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] == '"';
}

// Whether a double quote opens a name, closes one or stands within a literal is not looked at:
// every word counts but one between two of them, which is a quoted name, and so every quote is
// tried.
void add_bare(std::string_view text, std::vector<Word>& words) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    while (at < text.size() && is_word(text[at])) ++at;
    if (at > begin && begin > 0 && is_quote_at(text, begin - 1) && is_quote_at(text, at)) continue;
    if (at > begin) {
      words.push_back({folded(text.substr(begin, at - begin)), has_column_behind(text, at)});
    } else {
      ++at;
    }
  }
}

void add_quoted(std::string_view text, std::vector<Word>& words) {
  for (std::size_t start = text.find('"'); start != std::string_view::npos;
       start = text.find('"', start + 1)) {
    std::size_t at = start;
    std::string name = quoted(text, at);
    words.push_back({std::move(name), has_column_behind(text, at)});
  }
}

}  // namespace

std::vector<std::size_t> columns_used(std::string_view where,
                                      const std::vector<std::string>& columns,
                                      std::string_view table) {
  std::vector<Word> words;
  add_bare(where, words);
  add_quoted(where, words);
  // U&"…" spells a name by its characters' numbers.
  bool whole_row = folded(where).find("u&\"") != std::string::npos;
  std::set<std::string> names;
  for (const Word& word : words) {
    const std::string name = word.name.substr(0, longest_name);
    names.insert(name);
    whole_row |= name == table && !word.qualifies;
  }
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string& column = columns[i];
    // A name that was cut may have been cut earlier, before a character of several bytes.
    const bool cut = column.size() > longest_name - 4 &&
                     std::any_of(names.begin(), names.end(), [&](const std::string& name) {
                       return name.compare(0, column.size(), column) == 0;
                     });
    if (whole_row || cut || names.count(column) > 0) used.push_back(i);
  }
  return used;
}

}  // namespace connector
