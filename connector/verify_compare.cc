#include "connector/verify_compare.h"

#include <cstring>

#include "connector/json_members.h"

namespace connector {
namespace {

using Kind = RowDifference::Kind;

// Visits the formats that a row was written in, until one is taken.
template <class Take>
std::string_view find_in(std::string_view bytes, Take take) {
  while (!bytes.empty()) {
    const auto format = static_cast<ChangeFormat>(bytes[0]);
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data() + 1, sizeof size);
    const std::string_view after = bytes.substr(1 + sizeof size, size);
    if (take(format)) return after;
    bytes.remove_prefix(1 + sizeof size + size);
  }
  return {};
}

}  // namespace

void TableRow::append(std::string& out, ChangeFormat format, std::string_view after) {
  const std::uint64_t size = after.size();
  out += static_cast<char>(format);
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += after;
}

std::string_view TableRow::in(std::string_view bytes, ChangeFormat format) {
  return find_in(bytes, [&](ChangeFormat one) { return one == format; });
}

std::string_view TableRow::any(std::string_view bytes) {
  return find_in(bytes, [](ChangeFormat) { return true; });
}

Comparison::Comparison(const std::vector<VerifiedTable>& tables,
                       const std::vector<TableHistory>& histories, const FoldView& view,
                       Rules rules, ExternalSort& stream_rows, ExternalSort* taken_along,
                       ExternalSort& table_rows)
    : tables_(tables),
      histories_(histories),
      view_(view),
      rules_(std::move(rules)),
      stream_rows_(stream_rows, taken_along),
      table_rows_(table_rows),
      in_table_(table_rows.next()),
      fold_(view, rules.hides_unknown) {}

void Comparison::compare(std::size_t table, TableResult& result, VerifyReport& report) {
  const std::string prefix = table_prefix(table);
  floor_ = histories_[table].floor(view_);
  while (true) {
    const bool stream = stream_rows_.any() && stream_rows_.name().starts_with(prefix);
    const bool rows = in_table_ && table_rows_.item().key.starts_with(prefix);
    if (!stream && !rows) return;
    rules_.go_on();
    name_ = !rows || (stream && stream_rows_.name() < table_rows_.item().key)
                ? stream_rows_.name()
                : table_rows_.item().key;
    fold_.begin(tables_[table], floor_.lsn);
    stream_rows_.fold(name_, floor_.order, fold_);
    std::uint64_t times = 0;
    row_.clear();
    for (; in_table_ && table_rows_.item().key == name_; in_table_ = table_rows_.next()) {
      if (times++ == 0) row_ = table_rows_.item().value;
    }
    result.rows += times;
    const std::string_view row_name = std::string_view(name_).substr(prefix.size());
    if (times > 1 && !tables_[table].keyless()) {
      result.unverified = "its key does not tell its rows apart";
    }
    if (!result.unverified.empty()) continue;
    if (tables_[table].keyless()) {
      judge_count(tables_[table], row_name, times, result, report);
    } else {
      judge(tables_[table], row_name, times, row_, result, report);
    }
  }
}

// A row that differs because of a transaction in between is neither equal nor different.
bool Comparison::is_late(TableResult& result) const {
  if (!fold_.late() && !floor_.late) return false;
  ++result.late;
  return true;
}

void Comparison::judge(const VerifiedTable& table, std::string_view row_name, std::uint64_t times,
                       std::string_view row, TableResult& result, VerifyReport& report) {
  if (rules_.partial && !fold_.occurs()) return;
  if (!fold_.present() && times == 0) return;
  ++result.compared;
  RowDifference difference;
  if (fold_.present() && times > 0) {
    if (!altered(row, result, difference) || is_late(result)) return;
    ++result.altered;
  } else if (is_late(result)) {
    return;
  } else if (times > 0) {
    difference.kind = Kind::missing;
    difference.row = TableRow::any(row);
    ++result.missing;
  } else {
    difference.kind = Kind::extra;
    difference.row = fold_.after();
    ++result.extra;
  }
  difference.key = table.shown(row_name);
  difference.sequence = fold_.sequence();
  report.difference(table.name(), difference);
}

bool Comparison::altered(std::string_view row, TableResult& result,
                         RowDifference& difference) const {
  for (const ChangeFormat format : {ChangeFormat::json, ChangeFormat::debezium}) {
    const std::string_view whole = fold_.whole(format);
    if (!whole.empty() && whole == TableRow::in(row, format)) return false;
  }
  JsonMembers columns(TableRow::any(row));
  while (columns.next()) {
    const RowFold::Value value = fold_.column(columns.name());
    switch (value.state) {
      case RowFold::Value::omitted: ++result.omitted; break;
      case RowFold::Value::unchanged: ++result.unchanged; break;
      case RowFold::Value::absent: ++result.absent[std::string(columns.name())]; break;
      case RowFold::Value::known: {
        const std::string_view ours = member(TableRow::in(row, value.format), columns.name());
        if (ours == value.text) break;
        difference.columns.push_back(
            {std::string(columns.name()), std::string(ours), std::string(value.text)});
      }
    }
  }
  return !difference.columns.empty();
}

void Comparison::judge_count(const VerifiedTable& table, std::string_view row_name,
                             std::uint64_t times, TableResult& result, VerifyReport& report) {
  const std::int64_t folded = fold_.count();
  if (folded == 0 && times == 0) return;
  ++result.compared;
  if (folded == static_cast<std::int64_t>(times) || is_late(result)) return;
  const bool missing = folded < static_cast<std::int64_t>(times);
  ++(missing ? result.missing : result.extra);
  report.difference(table.name(),
                    {.kind = missing ? Kind::missing : Kind::extra,
                     .key = table.shown(row_name),
                     .columns = {},
                     .row = {},
                     .in_table = times,
                     .in_stream = static_cast<std::uint64_t>(std::max<std::int64_t>(folded, 0)),
                     .sequence = fold_.sequence()});
}

}  // namespace connector
