#include "connector/subject_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "connector/config_values.h"
#include "connector/stop.h"
#include "connector/subject.h"

namespace connector {
namespace {

// Whether some subject matches both filters.
bool overlap(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const std::string_view one = a.substr(0, a.find('.'));
    const std::string_view other = b.substr(0, b.find('.'));
    if (one == ">" || other == ">") return true;
    if (one != other && one != "*" && other != "*") return false;
    a.remove_prefix(std::min(a.size(), one.size() + 1));
    b.remove_prefix(std::min(b.size(), other.size() + 1));
  }
  return a.empty() && b.empty();
}

bool may_match(const StreamConfig& stream, const std::string& filter) {
  if (!check_subject(filter).empty()) return false;
  if (overlap(filter, stream.subject_prefix + ".>")) return true;
  for (const std::string& subject : stream.subjects) {
    if (overlap(filter, subject)) return true;
  }
  return false;
}

}  // namespace

std::string subject_filter(const Config& config, const std::string& asked) {
  if (asked.empty() || may_match(config.stream, asked)) return asked;
  try {
    const TableConfig table = parse_table_name(asked);
    const bool quoted = asked.find('"') != std::string::npos;
    const bool wild = !quoted && asked.find_first_of("*>") != std::string::npos;
    if (table.pattern || !wild) {
      return fmt::format("{}.{}.{}.*", config.stream.subject_prefix, escape_schema(table.schema),
                         table.pattern ? "*" : escape_token(table.table));
    }
  } catch (const std::invalid_argument&) {
    // Said below.
  }
  throw Stop(Exit::usage,
             fmt::format("\"{}\" matches no subject of stream {}, and is no table's name", asked,
                         config.stream.name),
             fmt::format("write a filter such as {}.public.orders.>, or schema.table",
                         config.stream.subject_prefix));
}

}  // namespace connector
