// Places: toml++ keeps each key's and value's line; a key that is missing is reported at the line
// of its table's header, or at line 1 where there is none.
#include "connector/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "connector/config_values.h"

namespace connector {
namespace {

constexpr std::string_view a_string = "a string in double quotes";

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a float";
    case toml::node_type::boolean: return "a boolean";
    case toml::node_type::array: return "an array";
    case toml::node_type::table: return "a table";
    default: return "a date or time";
  }
}

// For messages: quoted, without control characters, and short.
std::string shown(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string result = "\"";
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + (text.size() > longest ? "...\"" : "\"");
}

// Equal for values that mean the same: the order of an array's elements is left out.
std::string canonical(const toml::node& node) {
  if (const auto* text = node.as_string()) return shown(text->get());
  if (const auto* table = node.as_table(); table != nullptr && table->empty()) return "{}";
  const auto* array = node.as_array();
  if (array == nullptr) return "";
  std::vector<std::string> elements;
  for (const toml::node& element : *array) elements.push_back(canonical(element));
  std::sort(elements.begin(), elements.end());
  return fmt::format("[{}]", fmt::join(elements, ","));
}

std::string last_part(const std::string& full_name) {
  return full_name.substr(full_name.rfind('.') + 1);
}

std::string joined(const std::string& section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::string range_text(std::string_view min, std::string_view max, std::string_view zero_means) {
  std::string text = max.empty() ? fmt::format("use at least \"{}\"", min)
                                 : fmt::format("use \"{}\" to \"{}\"", min, max);
  if (!zero_means.empty()) text += fmt::format(", or \"0\" ({})", zero_means);
  return text;
}

}  // namespace

std::string Reader::at(std::uint32_t line, std::string_view key, std::string_view text) const {
  return fmt::format("{}:{}: {}: {}", file_, line, key, text);
}

void Reader::problem(std::uint32_t line, std::string_view key, std::string_view text) {
  problems_.push_back({line, at(line, key, text)});
}

// First a slip of the finger in the same table, then a known key in the wrong table.
std::string Reader::suggestion(const Unknown& unknown) const {
  const std::vector<std::string>& names = unknown.is_table ? tables_ : keys_;
  const std::string name = joined(unknown.section, unknown.key);
  std::vector<std::string> siblings;
  for (const std::string& candidate : names) {
    if (joined(unknown.section, last_part(candidate)) == candidate) {
      siblings.push_back(last_part(candidate));
    }
  }
  std::string best = nearest(unknown.key, siblings);
  if (!best.empty()) return joined(unknown.section, best);
  for (const std::string& candidate : names) {
    if (last_part(candidate) == unknown.key) return candidate;
  }
  return nearest(name, names);
}

std::vector<std::string> Reader::problems() const {
  std::vector<Problem> all = problems_;
  for (const Unknown& unknown : unknown_) {
    const std::string best = suggestion(unknown);
    const std::string text =
        fmt::format("unknown {}{}", unknown.is_table ? "table" : "key",
                    best.empty() ? "; config/reference.toml has all that are known"
                                 : fmt::format("; did you mean {}?", best));
    all.push_back({unknown.line, at(unknown.line, joined(unknown.section, unknown.key), text)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::vector<std::string> texts;
  texts.reserve(all.size());
  for (Problem& problem : all) texts.push_back(std::move(problem.text));
  return texts;
}

Section::~Section() {
  for (auto&& [key, node] : table_) {
    if (asked_.find(key.str()) != asked_.end()) continue;
    const bool is_table = node.is_table() || node.is_array_of_tables();
    reader_.unknown_.push_back({line(key.str()), path_, std::string(key.str()), is_table});
  }
}

std::string Section::full_name(std::string_view key) const { return joined(path_, key); }

std::uint32_t Section::line(std::string_view key) const {
  const auto found = table_.find(key);
  if (found == table_.cend()) return line_;
  const std::uint32_t at = found->first.source().begin.line;
  return at == 0 ? line_ : at;
}

void Section::problem(std::string_view key, std::string_view text) {
  reader_.problem(line(key), full_name(key), text);
}

void Section::wrong_type(std::string_view key, std::string_view expected, const toml::node& node) {
  problem(key, fmt::format("must be {}, not {}", expected, type_name(node)));
}

// Remembers the key as known; gives its value, or nullptr where there is none.
const toml::node* Section::take(std::string_view key) {
  asked_.emplace(key);
  const std::string name = full_name(key);
  std::vector<std::string>& keys = reader_.keys_;
  if (std::find(keys.begin(), keys.end(), name) == keys.end()) keys.push_back(name);
  return table_.get(key);
}

Section Section::table(std::string_view key) {
  static const toml::table none;
  asked_.emplace(key);
  reader_.tables_.push_back(full_name(key));
  const toml::node* node = table_.get(key);
  const toml::table* found = node == nullptr ? nullptr : node->as_table();
  if (node != nullptr && found == nullptr) {
    wrong_type(key, fmt::format("one table, written [{}]", full_name(key)), *node);
  }
  return {reader_, found == nullptr ? none : *found, full_name(key), line(key)};
}

std::size_t Section::each(std::string_view key, const std::function<void(Section&)>& read) {
  asked_.emplace(key);
  reader_.tables_.push_back(full_name(key));
  const toml::node* node = table_.get(key);
  const toml::array* array = node == nullptr ? nullptr : node->as_array();
  if (node != nullptr && (array == nullptr || (!array->empty() && !array->is_array_of_tables()))) {
    problem(key, fmt::format("must be an array of tables, each written [[{}]]", full_name(key)));
    return 1;
  }
  if (array == nullptr) return 0;
  for (const toml::node& element : *array) {
    const std::uint32_t at = element.source().begin.line;
    Section section(reader_, *element.as_table(), full_name(key), at == 0 ? line(key) : at);
    read(section);
  }
  return array->size();
}

bool Section::read_element(std::string_view key, const toml::node& node, std::string_view expected,
                           const Check& check, bool may_show, std::string& out) {
  const auto* text = node.as_string();
  if (text == nullptr) {
    wrong_type(key, expected, node);
    return false;
  }
  std::string wrong;
  const std::optional<std::string> value = substitute(text->get(), wrong);
  if (value && value->find('\0') != std::string::npos) wrong = "has a NUL character in it";
  if (value && wrong.empty() && check) wrong = check(*value);
  if (wrong.empty()) {
    out = *value;
    return true;
  }
  // As written, before substitution: what came from the environment may be a secret.
  problem(key, may_show ? fmt::format("{} {}", shown(text->get()), wrong) : wrong);
  return false;
}

bool Section::read_text(std::string_view key, std::string& out, const Check& check, bool may_show) {
  const toml::node* node = take(key);
  return node == nullptr || read_element(key, *node, a_string, check, may_show, out);
}

bool Section::text(std::string_view key, std::string& out, const Check& check) {
  return read_text(key, out, check, true);
}

bool Section::secret(std::string_view key, std::string& out, const Check& check) {
  return read_text(key, out, check, false);
}

bool Section::one_of(std::string_view key, std::string& out,
                     std::initializer_list<const char*> allowed) {
  return text(key, out, [&](std::string_view value) -> std::string {
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return "";
    return fmt::format("is not known; use \"{}\"", fmt::join(allowed, "\" or \""));
  });
}

bool Section::texts(std::string_view key, std::vector<std::string>& out, const Check& check) {
  const toml::node* node = take(key);
  if (node == nullptr) return true;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    wrong_type(key, "an array of strings", *node);
    return false;
  }
  bool good = true;
  out.clear();
  for (const toml::node& element : *array) {
    std::string value;
    if (read_element(key, element, "an array of strings only", check, true, value)) {
      out.push_back(std::move(value));
    } else {
      good = false;
    }
  }
  return good;
}

bool Section::words(std::string_view key, std::map<std::string, std::string>& out,
                    std::initializer_list<const char*> allowed) {
  const toml::node* node = take(key);
  if (node == nullptr) return true;
  const std::string values = fmt::format("\"{}\"", fmt::join(allowed, "\" or \""));
  const toml::table* table = node->as_table();
  if (table == nullptr) {
    wrong_type(key, fmt::format("a table such as {{ name = {} }}", values), *node);
    return false;
  }
  bool good = true;
  for (auto&& [word, value] : *table) {
    const std::string name(word.str());
    const auto* text = value.as_string();
    const bool known =
        text != nullptr && std::find(allowed.begin(), allowed.end(), text->get()) != allowed.end();
    if (known && !name.empty()) {
      out[name] = text->get();
      continue;
    }
    problem(key, name.empty() ? "names nothing by \"\"; write a name"
                              : fmt::format("{} has a value that is not known; use {}", shown(name),
                                            values));
    good = false;
  }
  return good;
}

bool Section::boolean(std::string_view key, bool& out) {
  const toml::node* node = take(key);
  if (node == nullptr) return true;
  const auto* value = node->as_boolean();
  if (value == nullptr) {
    wrong_type(key, "true or false", *node);
    return false;
  }
  out = value->get();
  return true;
}

bool Section::is_integer(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return node != nullptr && node->is_integer();
}

bool Section::integer(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max) {
  const toml::node* node = take(key);
  if (node == nullptr) return true;
  const bool is_open = max == std::numeric_limits<std::int64_t>::max();
  const std::string allowed =
      is_open ? fmt::format("{} or more", min) : fmt::format("{} to {}", min, max);
  const auto* value = node->as_integer();
  if (value == nullptr) {
    wrong_type(key, fmt::format("an integer, {}", allowed), *node);
    return false;
  }
  if (value->get() < min || value->get() > max) {
    problem(key, fmt::format("{} is out of range; use {}", value->get(), allowed));
    return false;
  }
  out = value->get();
  return true;
}

bool Section::duration(std::string_view key, std::chrono::milliseconds& out,
                       std::chrono::milliseconds min, std::string_view zero_means) {
  const toml::node* node = take(key);
  if (node == nullptr) return true;
  std::string text;
  const Check check = [&](std::string_view value) -> std::string {
    const auto parsed = parse_duration(value);
    if (!parsed) {
      return R"(is no duration; write a whole number and ms, s, m, h or d, such as "30s")";
    }
    if (parsed->count() == 0 && !zero_means.empty()) return "";
    if (*parsed >= min) return "";
    return fmt::format("is too short; {}", range_text(duration_text(min), "", zero_means));
  };
  if (!read_element(key, *node, R"(a duration in double quotes, such as "30s")", check, true,
                    text)) {
    return false;
  }
  out = *parse_duration(text);
  return true;
}

bool Section::size(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max,
                   std::string_view zero_means) {
  const toml::node* node = take(key);
  if (node == nullptr) return true;
  std::string text;
  const Check check = [&](std::string_view value) -> std::string {
    const auto parsed = parse_size(value);
    if (!parsed) {
      return R"(is no size; write a whole number and B, KiB, MiB, GiB or TiB, such as "64MiB")";
    }
    if (*parsed == 0 && !zero_means.empty()) return "";
    if (*parsed >= min && *parsed <= max) return "";
    return fmt::format("is out of range; {}",
                       range_text(size_text(min), size_text(max), zero_means));
  };
  if (!read_element(key, *node, R"(a size in double quotes, such as "64MiB")", check, true, text)) {
    return false;
  }
  out = *parse_size(text);
  return true;
}

void Section::unbuilt(std::string_view key, std::string_view only_value) {
  const toml::node* node = take(key);
  if (node == nullptr) return;
  const toml::table expected = toml::parse(fmt::format("value = {}", only_value));
  if (canonical(*node) == canonical(*expected.get("value"))) return;
  problem(key, fmt::format("not built yet in this version; leave it out or write {} = {}", key,
                           only_value));
}

void Section::unbuilt_table(std::string_view key) {
  asked_.emplace(key);
  reader_.tables_.push_back(full_name(key));
  if (given(key)) problem(key, "not built yet in this version; leave this table out");
}

}  // namespace connector
