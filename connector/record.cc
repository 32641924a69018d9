#include "connector/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "connector/subject.h"

namespace connector {
namespace {

constexpr std::array<const char*, 4> op_names = {"insert", "update", "delete", "truncate"};

bool is_unchanged(const pg::Value& value) { return std::holds_alternative<pg::Unchanged>(value); }
// As Postgres prints the halves of an LSN; fmt takes several times as long, for every row.
void append_hex(std::string& out, std::uint32_t number) {
  std::array<char, 8> digits{};
  auto first = digits.end();
  do {
    *--first = "0123456789ABCDEF"[number & 15];
    number >>= 4;
  } while (number != 0);
  out.append(first, digits.end());
}

bool is_omitted(const pg::Value& value) { return std::holds_alternative<pg::Omitted>(value); }

}  // namespace

const char* op_name(Op op) { return op_names[static_cast<std::size_t>(op)]; }

TableEncoder::TableEncoder(const pg::Relation& relation,
                           const std::vector<std::string>& primary_key,
                           const std::string& subject_prefix, StructuredValues& values,
                           TableChoice choice)
    : values_(&values), name_(relation.schema + "." + relation.name), choice_(std::move(choice)) {
  table_json_ = ",\"schema\":";
  append_json_string(table_json_, relation.schema);
  table_json_ += ",\"table\":";
  append_json_string(table_json_, relation.name);
  for (std::size_t op = 0; op < op_names.size(); ++op) {
    subjects_[op] = fmt::format("{}.{}.{}.{}", subject_prefix, escape_schema(relation.schema),
                                escape_token(relation.name), op_names[op]);
  }
  for (const pg::Column& column : relation.columns) {
    const pg::TypeShape* const type = values.types().shape(column.type);
    const bool scalar = type->kind == pg::TypeShape::Kind::scalar;
    ColumnEncoder encoder{.name = column.name,
                          .label = {},
                          .kind = kind_of(type->base),
                          .structure = scalar ? nullptr : type,
                          .identity = column.key};
    append_json_string(encoder.label, column.name);
    encoder.label += ':';
    columns_.push_back(std::move(encoder));
  }
  if (choice_.key()) {
    key_ = *choice_.key();
  } else if (relation.identity == pg::ReplicaIdentity::full) {
    for (const std::string& name : primary_key) {
      const auto found = std::find_if(columns_.begin(), columns_.end(),
                                      [&](const auto& column) { return column.name == name; });
      if (found == columns_.end()) {
        // The catalog's key is of another time than this shape.
        key_.clear();
        break;
      }
      key_.push_back(static_cast<std::size_t>(found - columns_.begin()));
    }
  } else {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].identity) key_.push_back(i);
    }
  }
}

void TableEncoder::insert(std::string& out, const pg::Insert& change) const {
  open(out, Op::insert);
  append_key(out, change.row, {}, pg::OldRow::none);
  out += ",\"before\":null,\"after\":";
  append_row(out, change.row, {}, pg::OldRow::none);
  // An update that a row filter made an insert of may lack values too.
  append_unchanged(out, {nullptr, pg::OldRow::none, {}, change.row});
  append_omitted(out, change.row);
}

void TableEncoder::update(std::string& out, const pg::Update& change) const {
  open(out, Op::update);
  append_key(out, change.row, change.old, change.old_kind);
  out += ",\"before\":";
  if (change.old_kind == pg::OldRow::full) {
    append_row(out, change.old, {}, pg::OldRow::none);
  } else if (key_changed(change)) {
    append_old_key(out, change.old);
  } else {
    out += "null";
  }
  out += ",\"after\":";
  append_row(out, change.row, change.old, change.old_kind);
  append_unchanged(out, change);
  append_omitted(out, change.row);
}

void TableEncoder::remove(std::string& out, const pg::Delete& change) const {
  open(out, Op::remove);
  append_key(out, change.old, {}, pg::OldRow::none);
  out += ",\"before\":";
  if (change.old_kind == pg::OldRow::full) {
    append_row(out, change.old, {}, pg::OldRow::none);
  } else {
    append_old_key(out, change.old);
  }
  out += ",\"after\":null";
  append_omitted(out, change.old);
}

void TableEncoder::truncate(std::string& out) const {
  open(out, Op::truncate);
  out += "null,\"before\":null,\"after\":null";
}

void TableEncoder::open(std::string& out, Op op) const {
  out += "{\"op\":\"";
  out += op_names[static_cast<std::size_t>(op)];
  out += '"';
  out += table_json_;
  out += ",\"key\":";
}

// The new row's value, or the old row's where Postgres did not send the new and the old has it.
const pg::Value& TableEncoder::resolve(std::size_t column, pg::Row row, pg::Row old,
                                       pg::OldRow old_kind) const {
  const bool in_old =
      old_kind == pg::OldRow::full || (old_kind == pg::OldRow::key && columns_[column].identity);
  return is_unchanged(row[column]) && in_old ? old[column] : row[column];
}

void TableEncoder::append_value(std::string& out, std::size_t column, std::string_view text) const {
  if (const Mask mask = choice_.mask(column); mask != Mask::none) {
    append_masked(out, mask, text);
    return;
  }
  try {
    const ColumnEncoder& encoder = columns_[column];
    if (encoder.structure == nullptr) {
      append_json_value(out, encoder.kind, text);
    } else {
      values_->append(out, *encoder.structure, text);
    }
  } catch (const BadValue& bad) {
    throw BadValue(fmt::format("column {}: {}", columns_[column].name, bad.what()));
  }
}

void TableEncoder::append_row(std::string& out, pg::Row row, pg::Row old,
                              pg::OldRow old_kind) const {
  out += '{';
  bool first = true;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const pg::Value& value = resolve(i, row, old, old_kind);
    if (is_unchanged(value) || is_omitted(value) || !choice_.shown(i)) continue;
    if (!first) out += ',';
    first = false;
    out += columns_[i].label;
    if (const auto* text = std::get_if<std::string_view>(&value)) {
      append_value(out, i, *text);
    } else {
      out += "null";
    }
  }
  out += '}';
}

void TableEncoder::append_key(std::string& out, pg::Row row, pg::Row old,
                              pg::OldRow old_kind) const {
  if (key_.empty()) {
    out += "null";
    return;
  }
  char separator = '{';
  for (const std::size_t i : key_) {
    out += separator;
    separator = ',';
    out += columns_[i].label;
    const pg::Value& value = resolve(i, row, old, old_kind);
    if (is_unchanged(value)) {
      throw BadValue(fmt::format("column {}: part of the key, and Postgres did not send it",
                                 columns_[i].name));
    }
    if (const auto* text = std::get_if<std::string_view>(&value)) {
      append_value(out, i, *text);
    } else {
      out += "null";
    }
  }
  out += '}';
}

void TableEncoder::append_old_key(std::string& out, pg::Row old) const {
  append_key(out, old, {}, pg::OldRow::none);
}

// Postgres sends the old key also where only its storage is out of line.
bool TableEncoder::key_changed(const pg::Update& change) const {
  if (change.old_kind == pg::OldRow::none) return false;
  return std::any_of(key_.begin(), key_.end(), [&](std::size_t i) {
    const pg::Value& now = change.row[i];
    if (is_unchanged(now)) return false;
    const auto* before = std::get_if<std::string_view>(&change.old[i]);
    const auto* after = std::get_if<std::string_view>(&now);
    return before == nullptr || after == nullptr ? before != after : *before != *after;
  });
}

void TableEncoder::append_unchanged(std::string& out, const pg::Update& change) const {
  bool any = false;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!is_unchanged(resolve(i, change.row, change.old, change.old_kind))) continue;
    if (!choice_.shown(i)) continue;
    out += any ? "," : ",\"unchanged\":[";
    any = true;
    out.append(columns_[i].label, 0, columns_[i].label.size() - 1);
  }
  if (any) out += ']';
}

void TableEncoder::append_omitted(std::string& out, pg::Row row) const {
  bool any = false;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!is_omitted(row[i])) continue;
    out += any ? "," : ",\"omitted\":[";
    any = true;
    out.append(columns_[i].label, 0, columns_[i].label.size() - 1);
  }
  if (any) out += ']';
}

std::vector<bool> TableEncoder::shown() const {
  std::vector<bool> shown;
  for (std::size_t i = 0; i < columns_.size(); ++i) shown.push_back(shows(i));
  return shown;
}

bool TableEncoder::is_key(std::size_t column) const {
  return std::find(key_.begin(), key_.end(), column) != key_.end();
}

void TransactionEncoder::begin(const pg::Begin& begin) {
  commit_lsn_ = begin.commit_lsn;
  xid_ = begin.xid;
  commit_json_ = fmt::format("\",\"commit_lsn\":\"{}\",\"seq\":", to_string(begin.commit_lsn));
  end_json_ = fmt::format(",\"xid\":{},\"commit_ts\":\"{}\"}}", begin.xid.value,
                          iso_time(begin.commit_time));
}

void TransactionEncoder::append_position(std::string& out, pg::Lsn lsn,
                                         std::uint64_t ordinal) const {
  out += ",\"lsn\":\"";
  append_hex(out, static_cast<std::uint32_t>(lsn.value >> 32));
  out += '/';
  append_hex(out, static_cast<std::uint32_t>(lsn.value));
  out += commit_json_;
  const fmt::format_int digits(ordinal);
  out.append(digits.data(), digits.size());
}

void TransactionEncoder::append_end(std::string& out, bool last) const {
  if (last) out += last_json;
  out += end_json_;
}

std::string_view key_in(std::string_view record) {
  constexpr std::string_view label = ",\"key\":";  // unquoted, and so not within a string
  const auto found = record.find(label);
  if (found == std::string_view::npos) return {};
  const std::string_view rest = record.substr(found + label.size());
  bool in_string = false;
  int depth = 0;
  for (std::size_t at = 0; at < rest.size(); ++at) {
    const char c = rest[at];
    if (in_string) {
      if (c == '\\') ++at;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return rest.substr(0, at + 1);
    } else if (depth == 0) {
      return {};  // null
    }
  }
  return {};
}

std::string iso_time(pg::Timestamp time) {
  using std::chrono::days, std::chrono::hh_mm_ss, std::chrono::microseconds, std::chrono::sys_days,
      std::chrono::year_month_day;
  constexpr sys_days epoch(days(10957));  // 2000-01-01, in days since 1970
  // Days and the rest apart: no sum with the epoch, and no whole day before the earliest
  // microsecond, would fit into 64 bits of microseconds.
  constexpr std::int64_t day = microseconds(days(1)).count();
  const bool borrow = time.micros % day < 0;
  const year_month_day date(epoch + days(time.micros / day - (borrow ? 1 : 0)));
  const hh_mm_ss clock(microseconds(time.micros % day + (borrow ? day : 0)));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace connector
