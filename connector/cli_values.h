// The values that options and arguments of the command line take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "connector/stamps.h"

namespace connector {

// Nothing for what is no number from 1 on.
std::optional<std::uint64_t> parse_count(const std::string& text);
// An LSN, or a time; "5m ago" counts from now.
std::optional<SeekTarget> parse_target(const std::string& text);

// "" for what is good, else what is wrong (CLI11 puts the option's name before).
std::string check_lsn(const std::string& text);
std::string check_count(const std::string& text);
std::string check_until(const std::string& text);
std::string check_filter(const std::string& text);  // a subject's, or a table's name
std::string check_target(const std::string& text);
std::string check_table(const std::string& text);
// The same of what the configuration has too, with the value before.
std::string check_with(std::string (*check)(std::string_view), const std::string& text);

}  // namespace connector
