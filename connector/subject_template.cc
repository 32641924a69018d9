#include "connector/subject_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connector/config_values.h"
#include "connector/subject.h"

namespace connector {
namespace {

struct Parts {
  std::vector<std::string> fixed{""};
  std::vector<std::string> columns;
  std::string problem;
};

Parts take_apart(std::string_view text) {
  Parts parts;
  while (!text.empty()) {
    const auto brace = text.find_first_of("{}");
    parts.fixed.back() += text.substr(0, brace);
    if (brace == std::string_view::npos) break;
    text.remove_prefix(brace);
    const auto end = text.find('}');
    if (text.front() == '}' || end == std::string_view::npos) {
      parts.problem = "has a brace without its other; write columns as {column}";
      break;
    }
    if (end == 1) {
      parts.problem = "has {} without a column's name in it";
      break;
    }
    parts.columns.emplace_back(text.substr(1, end - 1));
    parts.fixed.emplace_back();
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::string filter_of(const Parts& parts) {
  std::string filter;
  std::string token;
  bool varies = false;
  const auto end_token = [&] { filter += varies ? "*" : token; };
  for (std::size_t i = 0; i < parts.fixed.size(); ++i) {
    if (i > 0) varies = true;
    for (const char c : parts.fixed[i]) {
      if (c != '.') {
        token += c;
        continue;
      }
      end_token();
      filter += '.';
      token.clear();
      varies = false;
    }
  }
  end_token();
  return filter;
}

}  // namespace

SubjectTemplate::SubjectTemplate(std::string_view text) {
  Parts parts = take_apart(text);
  filter_ = filter_of(parts);
  fixed_ = std::move(parts.fixed);
  columns_ = std::move(parts.columns);
}

void SubjectTemplate::append(std::string& out, const ValueOf& value) const {
  out += fixed_.front();
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    out += escape_token(value(i).value_or(""));
    out += fixed_[i + 1];
  }
}

std::string outbox_filter(const OutboxConfig& config) {
  return config.replay_prefix + SubjectTemplate(config.subject).filter();
}

std::string check_subject_template(std::string_view text) {
  const Parts parts = take_apart(text);
  if (!parts.problem.empty()) return parts.problem;
  for (const std::string& fixed : parts.fixed) {
    if (fixed.find_first_of("*>") != std::string::npos) {
      return "has a wildcard; use plain words, and columns as {column}";
    }
  }
  const std::string filter = filter_of(parts);
  if (filter.starts_with('*')) {
    return "begins with a column; put a word of its own and a dot before, as in events.{column}";
  }
  if (std::string problem = check_subject(filter); !problem.empty()) return problem;
  // Beside a column, in the same token, the filter does not show what is fixed.
  return check_subject(fmt::format("{}", fmt::join(parts.fixed, "x")));
}

}  // namespace connector
