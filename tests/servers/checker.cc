// The comparison, change by change. Values are compared as text for the types that JSON carries as
// Postgres prints them; the others have tests of their own.
#include "tests/servers/checker.h"

#include <algorithm>
#include <array>

namespace servers {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t shown_problems = 8;

bool comparable(const std::string& type) {
  static const std::array<std::string_view, 8> prefixes = {
      "integer", "bigint", "smallint", "text", "character varying", "numeric", "boolean", "uuid"};
  return !type.ends_with("[]") &&
         std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return type.starts_with(prefix); });
}

std::string text_of(const ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

const TrueColumn* find(const std::vector<TrueColumn>& row, const std::string& name) {
  const auto found =
      std::find_if(row.begin(), row.end(), [&](const auto& column) { return column.name == name; });
  return found == row.end() ? nullptr : &*found;
}

// "" when `object` has the column as the server prints it.
std::string column_problem(const ordered_json& object, const TrueColumn& column) {
  if (!object.contains(column.name)) {
    return "column " + column.name + " is missing";
  }
  const auto& value = object.at(column.name);
  const bool is_null = column.kind == TrueColumn::Kind::null;
  if (value.is_null() != is_null) {
    return "column " + column.name + (is_null ? " should be null" : " should not be null");
  }
  if (!is_null && comparable(column.type) && text_of(value) != column.text) {
    return "column " + column.name + " should be " + column.text.substr(0, 100);
  }
  return "";
}

std::string new_row_problem(const Record& record, const TrueChange& change) {
  std::size_t expected = 0;
  for (TrueColumn column : change.new_row) {
    if (column.kind == TrueColumn::Kind::unchanged) {
      const TrueColumn* old = find(change.old_row, column.name);
      if (old == nullptr) {
        const auto& listed = record.unchanged;
        if (std::find(listed.begin(), listed.end(), column.name) == listed.end() ||
            record.after.contains(column.name)) {
          return "column " + column.name + " should be unchanged and absent";
        }
        continue;
      }
      column = *old;
    }
    ++expected;
    if (auto problem = column_problem(record.after, column); !problem.empty()) {
      return "after: " + problem;
    }
  }
  return record.after.is_object() && record.after.size() != expected
             ? "after has other columns than the table"
             : "";
}

// The server leaves NULLs out of old rows.
std::string old_row_problem(const Record& record, const TrueChange& change) {
  if (change.old_row.empty()) {
    return record.before.is_null() ? "" : "before should be null";
  }
  for (const auto& column : change.old_row) {
    if (auto problem = column_problem(record.before, column); !problem.empty()) {
      return "before: " + problem;
    }
  }
  for (const auto& [name, value] : record.before.items()) {
    if (find(change.old_row, name) == nullptr && !value.is_null()) {
      return "before has column " + name + ", which the old row has not";
    }
  }
  return "";
}

// No key is an empty list here, and null in the record.
std::string key_columns_problem(const Record& record, const std::vector<std::string>& expected) {
  std::vector<std::string> names;
  for (const auto& [name, value] : record.key.items()) {
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  if (expected.empty()) {
    return record.key.is_null() ? "" : "key should be null";
  }
  return names == expected ? "" : "key has other columns than the table's";
}

// The key's values are those of the row that the record leaves behind, or of the row that went.
std::string key_problem(const Record& record, const TrueChange& change) {
  const auto& row = change.op == "delete" ? change.old_row : change.new_row;
  for (const auto& [name, value] : record.key.items()) {
    const TrueColumn* column = find(row, name);
    if (column == nullptr) {
      return "key has column " + name + ", which the row has not";
    }
    if (column->kind == TrueColumn::Kind::unchanged) {
      continue;  // a key kept in TOAST
    }
    if (auto problem = column_problem(record.key, *column); !problem.empty()) {
      return "key: " + problem;
    }
  }
  return "";
}

}  // namespace

Checker::Checker(const std::vector<TrueTransaction>& truth, Expected expected)
    : truth_(truth), expected_(std::move(expected)), last_sequence_(expected_.first_sequence - 1) {
  for (std::size_t index = 0; index < truth.size(); ++index) {
    std::uint64_t ordinal = 0;
    for (const auto& change : truth[index].changes) {
      const std::string name = published_name(change);
      if (!expected_.published || expected_.published(name, change.op)) {
        due_.push_back({&change, index, ++ordinal, false});
      }
    }
    if (ordinal > 0) {
      due_.back().last = true;
    }
  }
}

std::string Checker::published_name(const TrueChange& change) const {
  std::string name = change.schema + "." + change.table;
  const auto root = expected_.root_of.find(name);
  return root == expected_.root_of.end() ? name : root->second;
}

void Checker::complain(const std::string& problem) {
  if (++problem_count_ <= shown_problems) {
    problems_ += "\n  " + problem;
  }
}

void Checker::check_sequence(const Stored& stored) {
  if (expected_.has_gaps ? stored.sequence <= last_sequence_
                         : stored.sequence != last_sequence_ + 1) {
    complain("sequence " + std::to_string(stored.sequence) + " after " +
             std::to_string(last_sequence_));
  }
  last_sequence_ = stored.sequence;
  const auto header = stored.headers.find("Nats-Expected-Last-Sequence");
  const bool present = header != stored.headers.end();
  if (present != expected_.chained) {
    complain("sequence " + std::to_string(stored.sequence) + (present ? ": unexpected" : ": no") +
             " Nats-Expected-Last-Sequence");
  } else if (present && header->second != std::to_string(stored.sequence - 1)) {
    complain("sequence " + std::to_string(stored.sequence) + " expected " + header->second);
  }
}

void Checker::check_position(const Record& record, const Due& due) {
  const TrueTransaction& transaction = truth_[due.transaction];
  const std::uint64_t previous_end = due.transaction == 0 ? 0 : truth_[due.transaction - 1].end_lsn;
  if (record.commit_lsn < previous_end || record.commit_lsn >= transaction.end_lsn) {
    complain("sequence " + std::to_string(record.sequence) + ": commit LSN " +
             lsn_text(record.commit_lsn) + " is not of the transaction that ends at " +
             lsn_text(transaction.end_lsn));
  }
  if (due.ordinal > 1 && record.commit_lsn != last_commit_lsn_) {
    complain("sequence " + std::to_string(record.sequence) + ": another commit LSN within one tx");
  }
  last_commit_lsn_ = record.commit_lsn;
  if (record.ordinal != due.ordinal || record.xid != transaction.xid) {
    complain("sequence " + std::to_string(record.sequence) + ": xid " + std::to_string(record.xid) +
             " seq " + std::to_string(record.ordinal) + " where xid " +
             std::to_string(transaction.xid) + " seq " + std::to_string(due.ordinal) + " was due");
  }
  if (record.tx_last != due.last) {
    complain("sequence " + std::to_string(record.sequence) + ": tx_last is wrong");
  }
}

void Checker::check_change(const Record& record, const Due& due) {
  const TrueChange& change = *due.change;
  const std::string name = published_name(change);
  if (record.schema + "." + record.table != name || record.op != change.op) {
    complain("sequence " + std::to_string(record.sequence) + ": " + record.op + " on " +
             record.schema + "." + record.table + " where " + change.op + " on " + name +
             " was due");
    return;
  }
  const auto key = expected_.keys.find(name);
  const bool key_known = key != expected_.keys.end() && change.op != "truncate";
  for (const auto& problem :
       {new_row_problem(record, change), old_row_problem(record, change),
        key_problem(record, change), key_known ? key_columns_problem(record, key->second) : ""}) {
    if (!problem.empty()) {
      complain("sequence " + std::to_string(record.sequence) + ": " + problem + ": " +
               record.payload.substr(0, 300));
    }
  }
}

// A schema record stands directly in front of the row whose id it bears, and says something new.
void Checker::check_schema(const Stored& stored) {
  try {
    SchemaRecord schema = parse_schema_record(stored);
    const auto known = shapes_.find(schema.subject);
    if (known != shapes_.end() && known->second.json["columns"] == schema.json["columns"] &&
        known->second.json["identity"] == schema.json["identity"]) {
      complain("sequence " + std::to_string(stored.sequence) + " announces what was announced");
    }
    announced_ = schema.subject;
    shapes_[schema.subject] = std::move(schema);
  } catch (const std::exception& error) {
    complain("sequence " + std::to_string(stored.sequence) + ": " + error.what());
  }
}

void Checker::check_announced(const Record& record) {
  const Naming& naming = expected_.naming;
  const std::string subject = naming.prefix + "._schema." + subject_token(record.schema, true) +
                              "." + subject_token(record.table);
  const std::string id =
      naming.slot + ":" + hex16(record.commit_lsn) + ":" + std::to_string(record.ordinal);
  if (!announced_.empty() && (announced_ != subject || shapes_[subject].id != id + ":schema")) {
    complain("sequence " + std::to_string(record.sequence) + ": the schema record before it is " +
             shapes_[announced_].id + " on " + announced_);
  }
  announced_.clear();
  if (record.op == "truncate" || expected_.has_gaps || !expected_.announced) {
    return;
  }
  const auto shape = shapes_.find(subject);
  if (shape == shapes_.end()) {
    complain("sequence " + std::to_string(record.sequence) + ": its shape was not announced");
    return;
  }
  std::vector<std::string> names;
  for (const auto& column : shape->second.json["columns"]) {
    names.push_back(column["name"].get<std::string>());
  }
  for (const auto& [name, value] : record.after.items()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      complain("sequence " + std::to_string(record.sequence) + ": column " + name +
               " was not announced");
    }
  }
}

void Checker::add(const Stored& stored) {
  check_sequence(stored);
  if (is_schema_record(stored, expected_.naming)) {
    check_schema(stored);
    return;
  }
  try {
    const Record record = parse_record(stored, expected_.naming);
    check_announced(record);
    if (next_ >= due_.size()) {
      complain("sequence " + std::to_string(stored.sequence) +
               " is one too many: " + stored.payload.substr(0, 300));
      return;
    }
    check_position(record, due_[next_]);
    check_change(record, due_[next_]);
    ++next_;
  } catch (const std::exception& error) {
    ++next_;
    complain(error.what());
  }
}

testing::AssertionResult Checker::result() {
  if (next_ < due_.size()) {
    const TrueTransaction& transaction = truth_[due_[next_].transaction];
    complain("the last " + std::to_string(due_.size() - next_) + " of " +
             std::to_string(due_.size()) + " changes are missing, from xid " +
             std::to_string(transaction.xid) + ", end " + lsn_text(transaction.end_lsn));
  }
  if (problem_count_ == 0) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << problem_count_ << " problems in the stream, the first:" << problems_;
}

testing::AssertionResult each_change_once(const std::vector<Stored>& stored, Oracle& oracle,
                                          const Expected& expected) {
  const auto& truth = oracle.read();
  Expected with_keys = expected;
  with_keys.keys.merge(oracle.keys());
  Checker checker(truth, with_keys);
  for (const auto& message : stored) {
    checker.add(message);
  }
  return checker.result();
}

Folded fold(const std::vector<Record>& records, const std::string& schema,
            const std::string& table) {
  Folded rows;
  for (const auto& record : records) {
    if (record.schema != schema || record.table != table) {
      continue;
    }
    const std::string key = nlohmann::json(record.key).dump();
    if (record.op == "truncate") {
      rows.clear();
    } else if (record.op == "delete") {
      rows.erase(key);
    } else {
      nlohmann::json row = record.after;
      std::string old_key = key;
      if (record.before.is_object()) {
        nlohmann::json old = nlohmann::json::object();
        for (const auto& [name, value] : record.key.items()) {
          old[name] = record.before.value(name, nlohmann::ordered_json());
        }
        old_key = old.dump();
      }
      for (const auto& name : record.unchanged) {
        row[name] = rows[old_key].value(name, nlohmann::json());
      }
      rows.erase(old_key);
      rows[key] = row;
    }
  }
  return rows;
}

Folded rows_of(PostgresCluster& postgres, const std::string& sql) {
  Folded rows;
  for (const auto& row : postgres.query(sql)) {
    rows[nlohmann::json::parse(row.at(0).value()).dump()] =
        nlohmann::json::parse(row.at(1).value());
  }
  return rows;
}

}  // namespace servers
