#include "connector/cli_values.h"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

#include "connector/config.h"
#include "connector/config_values.h"
#include "connector/when.h"
#include "pg/types.h"

namespace connector {

std::optional<std::uint64_t> parse_count(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || number == 0) return std::nullopt;
  return number;
}

std::optional<SeekTarget> parse_target(const std::string& text) {
  if (const auto lsn = pg::parse_lsn(text)) return *lsn;
  if (const auto time = parse_when(text, current_time())) return *time;
  return std::nullopt;
}

std::string check_lsn(const std::string& text) {
  return pg::parse_lsn(text)
             ? ""
             : fmt::format("\"{}\" is no LSN; write two hexadecimal numbers, such as 0/16B3748",
                           text);
}

std::string check_count(const std::string& text) {
  return parse_count(text) ? "" : fmt::format("\"{}\" is no number from 1 on", text);
}

std::string check_until(const std::string& text) {
  return text == "current"
             ? ""
             : fmt::format("\"{}\" is not known; write --until current, or --until-lsn LSN", text);
}

// A table's name may be quoted.
std::string check_filter(const std::string& text) {
  const std::string problem = check_subject(text);
  if (problem.empty() || check_table_name(text).empty()) return "";
  return fmt::format("\"{}\" {}", text, problem);
}

std::string check_target(const std::string& text) {
  return parse_target(text)
             ? ""
             : fmt::format(
                   "\"{}\" is neither an LSN, such as 0/16B3748, nor a time, such as "
                   "2026-11-23T10:00:00Z or \"5m ago\"",
                   text);
}

std::string check_table(const std::string& text) {
  try {
    parse_table_name(text);
    return "";
  } catch (const std::invalid_argument& error) {
    return fmt::format("\"{}\": {}", text, error.what());
  }
}

std::string check_with(std::string (*check)(std::string_view), const std::string& text) {
  const std::string problem = check(text);
  return problem.empty() ? "" : fmt::format("\"{}\" {}", text, problem);
}

}  // namespace connector
