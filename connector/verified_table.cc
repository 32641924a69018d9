#include "connector/verified_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "connector/json_members.h"
#include "connector/stop.h"

namespace connector {
namespace {

// Between the columns of a name, and behind the last; JSON has no such byte.
constexpr char separator = '\0';

// Whether both formats write a value of this type alike.
bool is_alike(const pg::TypeShape& shape, const DebeziumType& type) {
  if (shape.kind != pg::TypeShape::Kind::scalar) return false;
  switch (kind_of(shape.base)) {
    case JsonKind::string: return type.kind == DebeziumType::Kind::text;
    case JsonKind::boolean: return type.kind == DebeziumType::Kind::boolean;
    case JsonKind::number: return type.kind == DebeziumType::Kind::number;
    case JsonKind::floating: return type.kind == DebeziumType::Kind::floating;
    case JsonKind::bytes: return type.kind == DebeziumType::Kind::bytes;
    default: return false;
  }
}

}  // namespace

VerifiedTable::VerifiedTable(const Config& config, const TableConfig& choice, pg::ReadTable table,
                             const pg::Relation& shape, const std::vector<std::string>& primary_key,
                             StructuredValues& values, DebeziumValues& debezium)
    : name_(table.schema + "." + table.name),
      table_(std::move(table)),
      shape_(shape),
      where_(choice.where),
      choice_(choice, shape),
      json_(shape, primary_key, config.stream.subject_prefix, values, choice_),
      debezium_(shape, values.types(), debezium, json_.shown(), choice_) {
  if (!choice_.missing_key().empty()) {
    refuse(fmt::format("there is no column {}, which its key names",
                       fmt::join(choice_.missing_key(), ", ")),
           "correct its [[table]] in the configuration");
  }
  for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
    const pg::Column& column = shape_.columns[i];
    const pg::TypeShape& type = *values.types().shape(column.type);
    const DebeziumType debezium_kind = debezium_type(type, column.modifier);
    Column made{.name = column.name,
                .placeholder = {},
                .alike = is_alike(type, debezium_kind) || choice_.mask(i) != Mask::none,
                .shown = choice_.shown(i)};
    debezium.append_unavailable(made.placeholder, debezium_kind);
    columns_.push_back(std::move(made));
    if (json_.is_key(i)) key_.push_back(column.name);
  }
  keyless_ = key_.empty();
  if (keyless_) {
    for (const Column& column : columns_) {
      if (column.shown) key_.push_back(column.name);
    }
  }
  const bool no_identity = keyless_ && shape_.identity != pg::ReplicaIdentity::full;
  insert_only_ = no_identity || !choice.ops.update || !choice.ops.remove;
}

void VerifiedTable::refuse(const std::string& what, const std::string& hint) const {
  throw Stop(Exit::precondition, fmt::format("table {}: {}", name_, what), hint);
}

// As an insert's record, which begins with what follows.
std::string VerifiedTable::encode(ChangeFormat format, pg::Row row) const {
  std::string record;
  try {
    if (format == ChangeFormat::json) {
      json_.insert(record, {&shape_, row});
    } else {
      debezium_.insert(record, {&shape_, row});
    }
  } catch (const BadValue& bad) {
    refuse(bad.what(), "correct the value (a database with encoding SQL_ASCII stores any bytes)");
  }
  record += '}';
  return record;
}

void VerifiedTable::read(ChangeFormat format, pg::Row row, std::string& row_name,
                         std::string& after) const {
  const std::string record = encode(format, row);
  const std::string_view written = member(record, "after");
  append_name(row_name, keyless_ ? std::string_view() : member(record, "key"), written);
  after += written;
}

bool VerifiedTable::append_name(std::string& out, std::string_view first,
                                std::string_view second) const {
  const std::size_t begin = out.size();
  for (const std::string& column : key_) {
    std::string_view value = member(first, column);
    if (value.empty()) value = member(second, column);
    if (value.empty()) {
      out.resize(begin);
      return false;
    }
    out += value;
    out += separator;
  }
  return true;
}

bool VerifiedTable::name_of(std::string& out, const StoredChange& change) const {
  const bool removed = change.kind == StoredChange::Kind::remove;
  const std::string_view row = removed ? change.before : change.after;
  if (row.empty() && change.key.empty()) return false;
  return keyless_ ? append_name(out, row, {}) : append_name(out, change.key, row);
}

bool VerifiedTable::old_name_of(std::string& out, const StoredChange& change) const {
  return !change.before.empty() && append_name(out, change.before, {});
}

std::string VerifiedTable::shown(std::string_view row_name) const {
  std::string out = "{";
  for (const std::string& column : key_) {
    const std::size_t end = row_name.find(separator);
    if (end > 0) {
      if (out.size() > 1) out += ',';
      append_json_string(out, column);
      out += ':';
      out += row_name.substr(0, end);
    }
    row_name.remove_prefix(std::min(row_name.size(), end + 1));
  }
  return out + "}";
}

bool VerifiedTable::is_placeholder(std::string_view column, std::string_view value) const {
  const auto found = std::find_if(columns_.begin(), columns_.end(),
                                  [&](const Column& one) { return one.name == column; });
  return found != columns_.end() && value == found->placeholder;
}

bool VerifiedTable::has_placeholder(std::string_view row) const {
  JsonMembers members(row);
  while (members.next()) {
    if (is_placeholder(members.name(), members.value())) return true;
  }
  return false;
}

void VerifiedTable::require_names(bool json, bool debezium) const {
  for (const std::string& name : key_) {
    const auto column = std::find_if(columns_.begin(), columns_.end(),
                                     [&](const Column& one) { return one.name == name; });
    if (debezium && !column->shown) {
      refuse(fmt::format("its key has column {}, which records in Debezium's format leave out: "
                         "which row they are of cannot be told",
                         name),
             "take the column into columns, or choose another key, or another format");
    }
    if (json && debezium && !column->alike) {
      refuse(fmt::format("the stream has records of it in two formats, which write {} {} "
                         "differently: rows of the one cannot be found in the other",
                         keyless_ ? "column" : "the key's column", name),
             "begin a new stream, or leave this table out");
    }
  }
}

}  // namespace connector
