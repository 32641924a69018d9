#include "connector/verify_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/json_value.h"

namespace connector {
namespace {

using Kind = RowDifference::Kind;

constexpr std::size_t longest_value = 200;  // bytes, as text

std::string cut(std::string_view value) {
  if (value.size() <= longest_value) return printable(value);
  std::size_t end = longest_value;
  // Never in the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;
  return fmt::format("{}…({})", printable(value.substr(0, end)), human_bytes(value.size()));
}

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::altered: return "altered";
    case Kind::missing: return "missing";
    case Kind::extra: return "extra";
  }
  return "";
}

// What is not equal to the eye, in words.
std::string verdict(const TableResult& result, const Palette& palette) {
  if (!result.unverified.empty()) {
    return fmt::format("{}not verified{}: {}", palette.yellow, palette.plain, result.unverified);
  }
  if (result.different() == 0 && result.late == 0) {
    return fmt::format("{}equal{}", palette.green, palette.plain);
  }
  if (result.different() == 0) {
    return fmt::format("{}not settled{}: {} rows", palette.yellow, palette.plain,
                       human_number(result.late));
  }
  std::string parts;
  const auto say = [&](std::uint64_t count, const char* what) {
    if (count == 0) return;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", human_number(count), what);
  };
  say(result.altered, "altered");
  say(result.missing, "missing in the stream");
  say(result.extra, "in the stream only");
  say(result.late, "not settled");
  return fmt::format("{}different{}: {}", palette.red, palette.plain, parts);
}

std::vector<std::string> notes_of(const TableResult& result) {
  std::vector<std::string> notes;
  if (result.omitted > 0) {
    notes.push_back(fmt::format("{} values not compared: left out of their records for their size",
                                human_number(result.omitted)));
  }
  if (result.unchanged > 0) {
    notes.push_back(fmt::format(
        "{} values not compared: stored out of line, left alone by the row's updates, and so never "
        "sent under this key",
        human_number(result.unchanged)));
  }
  for (const auto& [column, rows] : result.absent) {
    notes.push_back(fmt::format(
        "column {} not compared in {} rows: their newest record has no such column (it was added "
        "later)",
        printable(column), human_number(rows)));
  }
  if (result.late > 0) {
    notes.push_back(fmt::format(
        "{} rows not settled: transactions whose commit was written, but not visible yet (a "
        "synchronous standby lags), touched them: verify again",
        human_number(result.late)));
  }
  notes.insert(notes.end(), result.notes.begin(), result.notes.end());
  return notes;
}

}  // namespace

void VerifyReport::difference(const std::string& table, const RowDifference& row) {
  if (json_) return json_difference(table, row);
  if (++shown_ <= shown_rows) rows_ += text_of(row);
}

std::string VerifyReport::text_of(const RowDifference& row) const {
  const std::string where = row.sequence == 0 ? ""
                                              : fmt::format("  {}(message {}){}", palette_.dim,
                                                            row.sequence, palette_.plain);
  const std::string key = fmt::format("    {}{}{}", palette_.bold, cut(row.key), palette_.plain);
  if (row.in_table && row.in_stream) {
    return fmt::format("{}  {} times in the table, {} in the stream{}\n", key, *row.in_table,
                       *row.in_stream, where);
  }
  if (row.kind == Kind::missing) {
    return fmt::format("{}  missing in the stream{}\n      table   {}\n", key, where, cut(row.row));
  }
  if (row.kind == Kind::extra) {
    return fmt::format("{}  not in the table{}\n      stream  {}\n", key, where, cut(row.row));
  }
  std::string out = key + where + '\n';
  for (const RowDifference::Column& column : row.columns) {
    out += fmt::format("      {}  table {}{}{}  stream {}{}{}\n", printable(column.name),
                       palette_.green, cut(column.table), palette_.plain, palette_.red,
                       cut(column.stream), palette_.plain);
  }
  return out;
}

void VerifyReport::json_difference(const std::string& table, const RowDifference& row) {
  std::string line = fmt::format(R"({{"table":{},"difference":"{}","key":{})", quoted(table),
                                 kind_name(row.kind), row.key);
  if (!row.columns.empty()) {
    line += ",\"columns\":{";
    for (std::size_t i = 0; i < row.columns.size(); ++i) {
      const RowDifference::Column& column = row.columns[i];
      line += fmt::format(R"({}{}:{{"table":{},"stream":{}}})", i == 0 ? "" : ",",
                          quoted(column.name), column.table, column.stream);
    }
    line += '}';
  }
  if (!row.row.empty()) line += ",\"row\":" + row.row;
  if (row.in_table && row.in_stream) {
    line +=
        fmt::format(R"(,"times_in_table":{},"times_in_stream":{})", *row.in_table, *row.in_stream);
  }
  if (row.sequence != 0) line += fmt::format(R"(,"sequence":{})", row.sequence);
  fmt::print(out_, "{}}}\n", line);
}

void VerifyReport::table(const std::string& name, const TableResult& result) {
  if (result.different() > 0) {
    code_ = Exit::failed;
  } else if ((!result.unverified.empty() || result.late > 0) && code_ == Exit::done) {
    code_ = Exit::precondition;
  }
  if (json_) {
    json_table(name, result);
  } else {
    fmt::print(out_, "{:<{}}  {:>13} rows  {}\n", printable(name), name_width_,
               human_number(result.rows), verdict(result, palette_));
    fmt::print(out_, "{}", rows_);
    if (shown_ > shown_rows) {
      fmt::print(out_, "    … and {} more (--json has all)\n", human_number(shown_ - shown_rows));
    }
    for (const std::string& note : notes_of(result)) fmt::print(out_, "    {}\n", note);
  }
  std::fflush(out_);
  rows_.clear();
  shown_ = 0;
}

void VerifyReport::json_table(const std::string& name, const TableResult& result) {
  const bool settled = result.late == 0;
  const char* verdict = !result.unverified.empty() ? "not verified"
                        : result.different() > 0   ? "different"
                        : settled                  ? "equal"
                                                   : "not settled";
  std::uint64_t absent = 0;
  for (const auto& [column, rows] : result.absent) absent += rows;
  std::string line = fmt::format(
      R"({{"table":{},"rows":{},"compared":{},"result":"{}","altered":{},"missing":{},"extra":{},)"
      R"("not_settled":{},"not_compared":{{"omitted":{},"unchanged":{},"absent":{}}})",
      quoted(name), result.rows, result.compared, verdict, result.altered, result.missing,
      result.extra, result.late, result.omitted, result.unchanged, absent);
  std::vector<std::string> notes = notes_of(result);
  if (!result.unverified.empty()) notes.insert(notes.begin(), result.unverified);
  if (!notes.empty()) {
    line += ",\"notes\":[";
    for (std::size_t i = 0; i < notes.size(); ++i) line += (i == 0 ? "" : ",") + quoted(notes[i]);
    line += ']';
  }
  fmt::print(out_, "{}}}\n", line);
}

}  // namespace connector
