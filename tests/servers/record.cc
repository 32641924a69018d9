// Taking a record apart, strictly.
#include "tests/servers/record.h"

#include <array>
#include <cctype>
#include <cstdio>
#include <regex>
#include <stdexcept>

#include "tests/servers/pg_session.h"

namespace servers {
namespace {

using nlohmann::ordered_json;

void require(bool holds, const std::string& problem) {
  if (!holds) {
    throw std::runtime_error(problem);
  }
}

// No white space between tokens, no line break anywhere.
bool compact(const std::string& payload) {
  bool in_string = false;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    const char c = payload[i];
    if (c == '\n' || c == '\r') {
      return false;
    }
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && std::isspace(static_cast<unsigned char>(c)) != 0) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> names_of(const ordered_json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) {
    names.push_back(name);
  }
  return names;
}

void require_fields(const ordered_json& json) {
  std::vector<std::string> expected = {"op", "schema", "table", "key", "before", "after"};
  if (json.contains("unchanged")) {
    expected.emplace_back("unchanged");
  }
  expected.insert(expected.end(), {"lsn", "commit_lsn", "seq"});
  if (json.contains("tx_last")) {
    expected.emplace_back("tx_last");
  }
  expected.insert(expected.end(), {"xid", "commit_ts"});
  require(names_of(json) == expected, "other fields, or in another order");
  if (json.contains("unchanged")) {
    require(json["unchanged"].is_array() && !json["unchanged"].empty(), "an empty \"unchanged\"");
  }
  if (json.contains("tx_last")) {
    require(json["tx_last"] == true, "\"tx_last\" that is not true");
  }
}

void require_images(const Record& record) {
  const bool has_after = record.op == "insert" || record.op == "update";
  require(record.after.is_object() == has_after, "\"after\" does not fit the op");
  require(has_after || record.after.is_null(), "\"after\" is neither object nor null");
  require(record.before.is_object() || record.before.is_null(), "\"before\" of another type");
  require(record.key.is_object() || record.key.is_null(), "\"key\" of another type");
  if (record.op == "truncate") {
    require(record.key.is_null() && record.before.is_null(), "truncate with key or before");
  }
  if (record.op == "insert") {
    require(record.before.is_null(), "insert with before");
  }
}

void require_envelope(const Stored& stored, const Record& record, const Naming& naming) {
  const std::string subject = naming.prefix + "." + subject_token(record.schema, true) + "." +
                              subject_token(record.table) + "." + record.op;
  require(stored.subject == subject, "subject is not " + subject);
  const std::string id =
      naming.slot + ":" + hex16(record.commit_lsn) + ":" + std::to_string(record.ordinal);
  const auto found = stored.headers.find("Nats-Msg-Id");
  require(found != stored.headers.end() && found->second == id, "Nats-Msg-Id is not " + id);
}

Record take_apart(const Stored& stored, const Naming& naming) {
  require(compact(stored.payload), "white space between tokens or a line break");
  const ordered_json json = ordered_json::parse(stored.payload);
  require_fields(json);
  Record record;
  record.sequence = stored.sequence;
  record.op = json["op"].get<std::string>();
  record.schema = json["schema"].get<std::string>();
  record.table = json["table"].get<std::string>();
  record.key = json["key"];
  record.before = json["before"];
  record.after = json["after"];
  if (json.contains("unchanged")) {
    record.unchanged = json["unchanged"].get<std::vector<std::string>>();
  }
  parse_lsn(json["lsn"].get<std::string>());
  record.commit_lsn = parse_lsn(json["commit_lsn"].get<std::string>());
  require(lsn_text(record.commit_lsn) == json["commit_lsn"].get<std::string>(),
          "commit_lsn not as Postgres prints it");
  record.ordinal = json["seq"].get<std::uint64_t>();
  record.tx_last = json.contains("tx_last");
  record.xid = json["xid"].get<std::uint32_t>();
  record.commit_ts = json["commit_ts"].get<std::string>();
  static const std::regex iso(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z)");
  require(std::regex_match(record.commit_ts, iso), "commit_ts is not ISO 8601 in UTC");
  record.payload = stored.payload;
  require_images(record);
  require_envelope(stored, record, naming);
  return record;
}

}  // namespace

std::string hex16(std::uint64_t lsn) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016llX", static_cast<unsigned long long>(lsn));
  return text.data();
}

std::string subject_token(std::string_view name, bool is_schema) {
  std::string token;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
    if (plain && !(is_schema && i == 0 && c == '_')) {
      token += static_cast<char>(c);
    } else {
      std::array<char, 4> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "%%%02X", static_cast<unsigned>(c));
      token += escaped.data();
    }
  }
  return token.empty() ? "%" : token;
}

Record parse_record(const Stored& stored, const Naming& naming) {
  try {
    return take_apart(stored, naming);
  } catch (const std::exception& error) {
    throw std::runtime_error("sequence " + std::to_string(stored.sequence) + ", " + stored.subject +
                             ": " + error.what() + ": " + stored.payload.substr(0, 400));
  }
}

bool is_schema_record(const Stored& stored, const Naming& naming) {
  return stored.subject.starts_with(naming.prefix + "._schema.");
}

SchemaRecord parse_schema_record(const Stored& stored) {
  SchemaRecord record{.subject = stored.subject, .id = "", .json = {}};
  const auto id = stored.headers.find("Nats-Msg-Id");
  record.id = id == stored.headers.end() ? "" : id->second;
  record.json = ordered_json::parse(stored.payload);
  require(compact(stored.payload), "white space between tokens or a line break");
  require(names_of(record.json) == std::vector<std::string>{"columns", "identity", "lsn"},
          "other fields, or in another order");
  for (const auto& column : record.json["columns"]) {
    require(names_of(column) == std::vector<std::string>{"name", "type", "type_oid", "key"},
            "other fields of a column");
  }
  parse_lsn(record.json["lsn"].get<std::string>());
  return record;
}

std::vector<Record> parse_records(const std::vector<Stored>& stored, const Naming& naming) {
  std::vector<Record> records;
  records.reserve(stored.size());
  for (const auto& message : stored) {
    if (message.subject.starts_with(naming.prefix + ".") &&
        !message.subject.starts_with(naming.prefix + "._")) {
      records.push_back(parse_record(message, naming));
    }
  }
  return records;
}

}  // namespace servers
