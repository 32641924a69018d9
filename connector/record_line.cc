#include "connector/record_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "connector/record.h"
#include "pg/types.h"

namespace connector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t longest_value = 64;  // bytes
constexpr std::size_t longest_in_diff = 400;
constexpr std::size_t longest_payload = 120;
constexpr std::size_t time_width = 23;  // 2026-11-23 10:00:00.123

std::string cut(std::string text, std::size_t longest) {
  if (text.size() <= longest) return text;
  std::size_t end = longest - 4;
  // Never in the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("{}…({})", text.substr(0, end), human_bytes(text.size()));
}

std::string time_of(std::string time) {
  std::replace(time.begin(), time.end(), 'T', ' ');
  return printable(time.substr(0, time_width));
}

// Of bytes that are no text, how many.
std::string payload_text(std::string_view payload) {
  try {
    Json(payload).dump();
  } catch (const Json::exception&) {
    return human_bytes(payload.size());
  }
  return cut(printable(payload), longest_payload);
}

// A string that cannot be taken for anything else stands without quotes.
bool is_plain(const std::string& text) {
  const auto is_word = [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) != 0 ||
           std::string_view("_-.:/@+%#").find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !text.empty() && text != "null" && text != "true" && text != "false" &&
         std::all_of(text.begin(), text.end(), is_word);
}

std::string value_text(const Json& value, std::size_t longest = longest_value) {
  if (value.is_string() && is_plain(value.get_ref<const std::string&>())) {
    return cut(printable(value.get_ref<const std::string&>()), longest);
  }
  return cut(printable(value.dump(-1, ' ', false, Json::error_handler_t::replace)), longest);
}

// An envelope of Debezium's, but for a logical message.
bool is_envelope(const Json& record) {
  return record.is_object() && record.contains("source") && record.contains("transaction") &&
         record.value("op", std::string()).size() == 1 && record.at("op") != "m";
}

// What the envelope says, as the JSON format has it.
Json record_of(const Json& envelope) {
  const std::map<std::string, const char*> names = {
      {"c", "insert"}, {"u", "update"}, {"d", "delete"}, {"t", "truncate"}, {"r", "snapshot"}};
  const Json& source = envelope.at("source");
  Json record;
  record["op"] = names.at(envelope.at("op").get<std::string>());
  record["schema"] = source.at("schema");
  record["table"] = source.at("table");
  record["before"] = envelope.at("before");
  record["after"] = envelope.at("after");
  if (record["before"].is_object()) {
    // Where Postgres sent the key alone, all other columns are null.
    Json known = Json::object();
    for (const auto& [name, value] : record["before"].items()) {
      if (!value.is_null()) known[name] = value;
    }
    record["before"] = std::move(known);
  }
  const std::string id = envelope.at("transaction").at("id").get<std::string>();
  const pg::Lsn commit(std::stoull(id.substr(id.find(':') + 1)));
  record["commit_lsn"] = pg::to_string(commit);
  record["seq"] = envelope.at("transaction").at("total_order");
  constexpr std::int64_t epoch_of_postgres = 946'684'800'000'000;
  record["commit_ts"] = iso_time({source.at("ts_us").get<std::int64_t>() - epoch_of_postgres});
  return record;
}

class Line {
 public:
  Line(const Json& record, const Palette& palette, bool diff)
      : record_(record), palette_(palette), diff_(diff && record.at("op") == "update") {}

  std::string text() {
    const std::string op = record_.at("op").get<std::string>();
    out_ = fmt::format("{}{:<{}}{}  {}{:<8}{}  {}", palette_.dim, time(), time_width,
                       palette_.plain, colour(op), printable(op), palette_.plain,
                       printable(record_.at("schema").get<std::string>() + "." +
                                 record_.at("table").get<std::string>()));
    add_key();
    if (diff_) {
      // Below.
    } else if (op == "delete") {
      add_columns(part("before"));
    } else if (op == "update" && is_full_row(part("before"))) {
      add_changes();
    } else {
      add_columns(part("after"));
    }
    if (!diff_) {
      for (const Json& column : part("unchanged")) add(column.get<std::string>(), "(unchanged)");
    }
    out_ += fmt::format("  {}{}:{}{}{}", palette_.dim,
                        printable(record_.at("commit_lsn").get<std::string>()),
                        record_.at("seq").get<std::uint64_t>(),
                        record_.value("tx_last", false) ? " commit" : "", palette_.plain);
    if (diff_) add_diff();
    return std::move(out_);
  }

 private:
  const Json& part(const char* name) const {
    static const Json nothing;
    const auto found = record_.find(name);
    return found == record_.end() ? nothing : *found;
  }

  std::string time() const { return time_of(record_.value("commit_ts", std::string())); }

  const char* colour(const std::string& op) const {
    if (op == "insert") return palette_.green;
    if (op == "update") return palette_.yellow;
    if (op == "delete") return palette_.red;
    return op == "truncate" ? palette_.magenta : palette_.cyan;
  }

  // An old key alone has no more columns than the key.
  bool is_full_row(const Json& before) const {
    return before.is_object() && (!part("key").is_object() || before.size() > part("key").size());
  }

  void add(const std::string& name, const std::string& value) {
    out_ += fmt::format("{}{}={}", first_ ? "  " : " ", printable(name), value);
    first_ = false;
  }

  void add_key() {
    const Json& key = part("key");
    if (!key.is_object()) return;
    out_ += palette_.bold;
    const Json& before = part("before");
    for (const auto& [name, value] : key.items()) {
      const bool changed = record_.at("op") == "update" && before.is_object() &&
                           before.contains(name) && before[name] != value;
      add(name, changed ? value_text(before[name]) + "→" + value_text(value) : value_text(value));
    }
    out_ += palette_.plain;
    first_ = true;
  }

  void add_columns(const Json& row) {
    if (!row.is_object()) return;
    for (const auto& [name, value] : row.items()) {
      if (!part("key").is_object() || !part("key").contains(name)) add(name, value_text(value));
    }
  }

  void add_changes() {
    const Json& before = part("before");
    for (const auto& [name, value] : part("after").items()) {
      if (part("key").is_object() && part("key").contains(name)) continue;
      if (!before.contains(name)) {
        add(name, value_text(value));
      } else if (before[name] != value) {
        add(name, value_text(before[name]) + "→" + value_text(value));
      }
    }
  }

  void add_diff() {
    const Json& before = part("before");
    const bool known = is_full_row(before);
    const auto is_key = [&](const std::string& name) {
      return part("key").is_object() && part("key").contains(name);
    };
    std::vector<std::pair<std::string, std::string>> lines;
    for (const auto& [name, value] : part("after").items()) {
      const bool had = before.is_object() && before.contains(name);
      if (is_key(name) || (known && had && before[name] == value)) continue;
      const std::string old =
          had ? fmt::format("{}{}{} ", palette_.red, value_text(before[name], longest_in_diff),
                            palette_.plain)
              : "";
      lines.emplace_back(printable(name),
                         fmt::format("{}→ {}{}{}", old, palette_.green,
                                     value_text(value, longest_in_diff), palette_.plain));
    }
    for (const Json& column : part("unchanged")) {
      lines.emplace_back(printable(column.get<std::string>()),
                         fmt::format("{}(unchanged){}", palette_.dim, palette_.plain));
    }
    if (lines.empty()) {
      lines.emplace_back(known ? "(no value changed)" : "(the key alone)", "");
    }
    std::size_t width = 0;
    for (const auto& line : lines) width = std::max(width, line.first.size());
    for (const auto& [name, text] : lines) {
      out_ += fmt::format("\n    {:<{}}", name, text.empty() ? 0 : width + 2) + text;
    }
  }

  const Json& record_;
  const Palette& palette_;
  const bool diff_;
  std::string out_;
  bool first_ = true;
};

// The announcement of a shape: its columns, the key's in bold.
std::string schema_line(std::string_view subject, const Json& schema, const Palette& palette) {
  std::string columns;
  for (const Json& column : schema.at("columns")) {
    const bool key = column.at("key").get<bool>();
    columns += fmt::format(
        "{}{}{}{} {}", columns.empty() ? "" : ", ", key ? palette.bold : "",
        printable(column.at("name").get<std::string>()), key ? palette.plain : "",
        column.at("type").is_string() ? printable(column.at("type").get<std::string>()) : "?");
  }
  return fmt::format("{}{:<{}}  {:<8}{}  {}  {}", palette.dim, "", time_width, "schema",
                     palette.plain, printable(subject), columns);
}

std::string shown(std::string_view subject, std::string_view payload, const Palette& palette,
                  bool diff) {
  Json record = Json::parse(payload, nullptr, false);
  try {
    if (is_envelope(record)) record = record_of(record);
    if (record.is_object() && record.contains("op")) return Line(record, palette, diff).text();
    if (record.is_object() && record.contains("columns")) {
      return schema_line(subject, record, palette);
    }
  } catch (const std::exception&) {
    // Not what a record looks like: shown as what it is.
  }
  return fmt::format("{}{:<{}}  {:<8}{}  {}  {}", palette.dim, "", time_width, "message",
                     palette.plain, printable(subject), human_bytes(payload.size()));
}

}  // namespace

std::string record_line(std::string_view subject, std::string_view payload,
                        const Palette& palette) {
  return shown(subject, payload, palette, false);
}

std::string event_line(std::string_view subject, std::string_view event_id,
                       std::string_view commit_ts, std::string_view payload,
                       const Palette& palette) {
  return fmt::format("{}{:<{}}{}  {}{:<8}{}  {}  id={}  {}", palette.dim,
                     time_of(std::string(commit_ts)), time_width, palette.plain, palette.cyan,
                     "event", palette.plain, printable(subject), printable(event_id),
                     payload_text(payload));
}

std::string record_diff(std::string_view subject, std::string_view payload,
                        const Palette& palette) {
  return shown(subject, payload, palette, true);
}

}  // namespace connector
