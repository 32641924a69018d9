#include "connector/subject_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "connector/config_values.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/subject.h"
#include "connector/subject_template.h"

namespace connector {
namespace {

bool may_match(const Config& config, const std::string& filter) {
  if (!check_subject(filter).empty()) return false;
  const std::vector<std::string> subjects = stream_subjects(config);
  return std::any_of(subjects.begin(), subjects.end(),
                     [&](const std::string& subject) { return subjects_overlap(filter, subject); });
}

// Of an outbox's table, which has no records.
std::optional<std::string> filter_of_outbox(const Config& config, const TableConfig& asked) {
  for (const OutboxConfig& outbox : config.outboxes) {
    if (!asked.pattern && outbox.schema == asked.schema && outbox.table == asked.table) {
      return connector::outbox_filter(outbox);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string subject_filter(const Config& config, const std::string& asked) {
  if (asked.empty() || may_match(config, asked)) return asked;
  try {
    const TableConfig table = parse_table_name(asked);
    const bool quoted = asked.find('"') != std::string::npos;
    const bool wild = !quoted && asked.find_first_of("*>") != std::string::npos;
    if (const auto events = filter_of_outbox(config, table)) return *events;
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
