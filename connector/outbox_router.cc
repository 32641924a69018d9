#include "connector/outbox_router.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "connector/hstore_text.h"
#include "connector/json_members.h"
#include "connector/json_value.h"
#include "connector/subject.h"
#include "connector/table_selection.h"

namespace connector {
namespace {

// What Debezium's event router calls the columns that walferry's defaults name.
constexpr std::pair<const char*, const char*> names_of_debezium[] = {
    {"aggregate_type", "aggregatetype"}, {"aggregate_id", "aggregateid"}, {"event_type", "type"}};

std::optional<std::string_view> text_of(const pg::Value& value) {
  const auto* text = std::get_if<std::string_view>(&value);
  return text == nullptr ? std::nullopt : std::optional(*text);
}

// A name of walferry's own is escaped from its first letter on; NATS's are wherever they stand.
std::string header_name(std::string_view name) {
  constexpr std::string_view ours = "walferry-";
  const bool is_ours = name.size() >= ours.size() &&
                       std::equal(ours.begin(), ours.end(), name.begin(), [](char a, char b) {
                         return a == std::tolower(static_cast<unsigned char>(b));
                       });
  if (!is_ours) return guard_header(escape_token(name));
  return fmt::format("%{:02X}{}", static_cast<unsigned char>(name.front()),
                     guard_header(escape_token(name.substr(1))));
}

std::string header_value(std::optional<std::string_view> value) {
  return guard_header(escape_token(value.value_or("")));
}

void add_header(OutboxEvent& event, std::string_view name, std::optional<std::string_view> value) {
  event.headers.emplace_back(header_name(name), header_value(value));
}

// What stands in a string, which may be no text: a lone surrogate.
std::string unescaped(std::string_view string) {
  std::string text = json_text(string);
  if (text.empty() && string != R"("")") throw BadValue("it has a JSON string that is no text");
  return text;
}

void add_json_headers(OutboxEvent& event, std::string_view text) {
  if (!is_json(text)) throw BadValue("its headers are no JSON object");
  JsonMembers members(text);
  while (members.next()) {
    const std::string_view value = members.value();
    if (value == "null") {
      add_header(event, members.name(), std::nullopt);
    } else if (value.front() == '"') {
      add_header(event, members.name(), unescaped(value));
    } else {
      add_header(event, members.name(), value);
    }
  }
}

void add_hstore_headers(OutboxEvent& event, std::string_view text) {
  std::string key_scratch;
  std::string value_scratch;
  HstoreText hstore(text, key_scratch, value_scratch);
  try {
    while (const auto pair = hstore.next()) add_header(event, pair->key, pair->value);
  } catch (const BadValue&) {
    throw BadValue("its headers are neither a JSON object nor an hstore");
  }
}

std::string_view without_space(std::string_view text) {
  constexpr const char* space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(space) + 1 - first);
}

// An object's text begins with a brace, an hstore's never does. JSON's null says what NULL does.
void add_headers(OutboxEvent& event, std::string_view text) {
  if (without_space(text) == "null") return;
  if (without_space(text).starts_with('{')) {
    add_json_headers(event, text);
  } else {
    add_hstore_headers(event, text);
  }
}

unsigned nibble(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  throw BadValue("its payload is a bytea that is not in hex format");
}

void append_bytes(std::string& out, std::string_view hex) {
  if (!hex.starts_with("\\x") || hex.size() % 2 != 0) {
    throw BadValue("its payload is a bytea that is not in hex format");
  }
  out.reserve(out.size() + hex.size() / 2);
  for (std::size_t i = 2; i < hex.size(); i += 2) {
    out += static_cast<char>((nibble(hex[i]) << 4) | nibble(hex[i + 1]));
  }
}

void require_small(const OutboxEvent& event, std::size_t prefix) {
  const std::size_t subject = event.subject.size() - prefix;
  if (subject > OutboxRouter::longest_subject) {
    throw BadValue(fmt::format("its subject has {} bytes, and at most {} are taken", subject,
                               OutboxRouter::longest_subject));
  }
  constexpr std::size_t around = 4;  // ": " and the line's end
  std::size_t bytes = event.event_id.size();
  for (const auto& [name, value] : event.headers) bytes += name.size() + value.size() + around;
  if (bytes > OutboxRouter::most_header_bytes) {
    throw BadValue(fmt::format("its id and headers have {} bytes, and at most {} are taken", bytes,
                               OutboxRouter::most_header_bytes));
  }
}

// The column that plays this part, where {aggregate_type} names a part rather than a column.
std::string_view column_for(const OutboxConfig& config, std::string_view name) {
  if (name == "id") return config.id;
  if (name == "aggregate_type") return config.aggregate_type;
  if (name == "aggregate_id") return config.aggregate_id;
  if (name == "event_type") return config.event_type;
  return name;
}

}  // namespace

OutboxRouter::OutboxRouter(const OutboxConfig& config, std::span<const Column> columns)
    : prefix_(config.replay_prefix), subject_(config.subject) {
  for (const std::string& name : subject_.columns()) {
    subject_columns_.push_back(need(columns, column_for(config, name)));
  }
  id_ = need(columns, config.id);
  payload_ = need(columns, config.payload);
  payload_is_bytea_ = missing_.empty() && columns[payload_].is_bytea;
  if (config.headers.empty()) return;
  headers_ = find(columns, config.headers);
  if (!headers_ && config.headers != OutboxConfig().headers) missing_.push_back(config.headers);
}

std::optional<std::size_t> OutboxRouter::find(std::span<const Column> columns,
                                              std::string_view name) const {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const Column& column) { return column.name == name; });
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

std::size_t OutboxRouter::need(std::span<const Column> columns, std::string_view name) {
  auto found = find(columns, name);
  for (const auto& [ours, debeziums] : names_of_debezium) {
    if (!found && name == ours) found = find(columns, debeziums);
  }
  if (!found && std::find(missing_.begin(), missing_.end(), name) == missing_.end()) {
    missing_.emplace_back(name);
  }
  return found.value_or(0);
}

std::vector<std::size_t> OutboxRouter::used() const {
  std::vector<std::size_t> columns = subject_columns_;
  columns.insert(columns.end(), {id_, payload_});
  if (headers_) columns.push_back(*headers_);
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  return columns;
}

void OutboxRouter::route(pg::Row row, OutboxEvent& event) const {
  event.subject = prefix_;
  event.body.clear();
  event.headers.clear();
  subject_.append(event.subject, [&](std::size_t i) { return text_of(row[subject_columns_[i]]); });
  event.event_id = header_value(text_of(row[id_]));
  if (const auto payload = text_of(row[payload_])) {
    if (payload_is_bytea_) {
      append_bytes(event.body, *payload);
    } else {
      event.body = *payload;
    }
  }
  if (headers_) {
    if (const auto headers = text_of(row[*headers_])) add_headers(event, *headers);
  }
  require_small(event, prefix_.size());
}

void route_message(const OutboxConfig& config, std::string_view content, OutboxEvent& event) {
  if (!without_space(content).starts_with('{') || !is_json(content)) {
    throw BadValue("its content is no JSON object");
  }
  std::vector<OutboxRouter::Column> columns;
  std::vector<std::optional<std::string>> texts;
  JsonMembers members(content);
  while (members.next()) {
    columns.push_back({std::string(members.name())});
    const std::string_view value = members.value();
    if (value == "null") {
      texts.emplace_back();
    } else {
      texts.emplace_back(value.front() == '"' ? unescaped(value) : std::string(value));
    }
  }
  std::vector<pg::Value> row;
  for (const auto& text : texts) {
    if (text) {
      row.emplace_back(std::string_view(*text));
    } else {
      row.emplace_back(pg::Null{});
    }
  }
  const OutboxRouter router(config, columns);
  if (!router.missing().empty()) {
    throw BadValue(fmt::format("its content has no member {}", fmt::join(router.missing(), ", ")));
  }
  router.route(row, event);
}

std::string outbox_name(const OutboxConfig& config) {
  return config.message_prefix.empty()
             ? fmt::format("outbox {}.{}", config.schema, config.table)
             : fmt::format("outbox of messages {}", escape_token(config.message_prefix));
}

nlohmann::json outbox_settings(const OutboxConfig& config) {
  return {{"table", config.table.empty() ? "" : quoted_name(config.schema, config.table)},
          {"messages", config.message_prefix},
          {"subject", config.subject},
          {"columns",
           {config.id, config.aggregate_type, config.aggregate_id, config.event_type,
            config.payload, config.headers}}};
}

}  // namespace connector
