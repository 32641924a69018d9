#include "connector/row_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/filter_words.h"
#include "connector/remedy.h"

namespace connector {
namespace {

constexpr const char* write_it_otherwise =
    "correct the table's where: an expression of type boolean over the table's columns, with "
    "immutable functions only";

std::string first_line(const char* text) {
  const std::string whole = text;
  return whole.substr(0, whole.find('\n'));
}

// libpqxx 6 has a type of its own for some states, and then no state.
std::string state_of(const pqxx::sql_error& error) {
  return error.sqlstate().empty() ? "unknown" : error.sqlstate();
}

bool is_unchanged(const pg::Value& value) { return std::holds_alternative<pg::Unchanged>(value); }

}  // namespace

RowFilter::RowFilter(pqxx::connection& sql, const std::string& where, const pg::Relation& relation)
    : sql_(sql), statement_(fmt::format("walferry_filter_{}", relation.id.value)) {
  std::vector<std::string> names;
  for (const pg::Column& column : relation.columns) {
    names.push_back(column.name);
    identity_.push_back(column.key);
  }
  pqxx::nontransaction work(sql_);
  std::string types;
  std::string columns;
  for (const std::size_t place : columns_used(where, names, relation.name)) {
    const pg::Column& column = relation.columns[place];
    const pqxx::result type = work.exec(
        fmt::format("SELECT pg_catalog.format_type({}, {})", column.type.value, column.modifier));
    used_.push_back({place, column.name, column.key});
    types += fmt::format("{}{}", types.empty() ? "" : ", ", type[0][0].c_str());
    columns += fmt::format("{}${} AS {}", columns.empty() ? "" : ", ", used_.size(),
                           sql_.quote_name(column.name));
  }
  try {
    work.exec(fmt::format("PREPARE {}{}{}{} AS SELECT ({}\n) FROM (SELECT {}) AS {}", statement_,
                          types.empty() ? "" : " (", types, types.empty() ? "" : ")", where,
                          columns, sql_.quote_name(relation.name)));
  } catch (const pqxx::sql_error& error) {
    if (is_of_session(error)) throw;
    throw BadFilter(
        "its where does not fit the columns that were sent: " + first_line(error.what()),
        "where that WAL is of a time before a column or a list of columns was changed, "
        "run without where until it has been passed (--until current); else correct "
        "where");
  }
}

RowFilter::~RowFilter() {
  try {
    pqxx::nontransaction(sql_).exec("DEALLOCATE " + statement_);
  } catch (const std::exception&) {  // the connection is lost, and the statement with it
    return;
  }
}

RowFilter::Left RowFilter::pass(const pg::Insert& change) {
  if (!matches(change.row)) return Nothing{};
  return change;
}

RowFilter::Left RowFilter::pass(const pg::Update& change) {
  row_.assign(change.row.begin(), change.row.end());
  for (std::size_t i = 0; i < row_.size(); ++i) {
    const bool in_old =
        change.old_kind == pg::OldRow::full || (change.old_kind == pg::OldRow::key && identity_[i]);
    if (is_unchanged(row_[i]) && in_old) row_[i] = change.old[i];
  }
  const bool now = matches(row_);
  bool before = true;
  if (known(change.old_kind)) {
    // Without an old row the identity's columns, and so all that are used, have not changed.
    before = change.old_kind == pg::OldRow::none ? now : matches(change.old);
  }
  if (now && before) return change;
  if (now) return pg::Insert{change.relation, row_};
  if (!before) return Nothing{};
  if (change.old_kind != pg::OldRow::none) {
    return pg::Delete{change.relation, change.old_kind, change.old};
  }
  key_.assign(row_.size(), pg::Null{});
  for (std::size_t i = 0; i < row_.size(); ++i) {
    if (identity_[i]) key_[i] = row_[i];
  }
  return pg::Delete{change.relation, pg::OldRow::key, key_};
}

RowFilter::Left RowFilter::pass(const pg::Delete& change) {
  if (known(change.old_kind) && !matches(change.old)) return Nothing{};
  return change;
}

// Not the filter's fault: the connection is lost, or was, and with it the prepared statement.
bool RowFilter::is_of_session(const pqxx::sql_error& error) const {
  return !sql_.is_open() || remedy_for(error).retry;
}

// Whether the old row's columns that the filter uses are known.
bool RowFilter::known(pg::OldRow kind) const {
  return kind == pg::OldRow::full ||
         std::all_of(used_.begin(), used_.end(), [](const Used& used) { return used.identity; });
}

bool RowFilter::matches(pg::Row row) {
  std::string values;
  for (const Used& used : used_) {
    const pg::Value& value = row[used.place];
    values += values.empty() ? "(" : ", ";
    if (is_unchanged(value)) {
      throw BadFilter(
          fmt::format("its where uses column {}, whose value is stored out of line, was left alone "
                      "by the update, and so was not sent",
                      used.name),
          "ALTER TABLE … REPLICA IDENTITY FULL sends it from then on; until that place is passed, "
          "take the column out of where");
    }
    const auto* text = std::get_if<std::string_view>(&value);
    values += text == nullptr ? "NULL" : sql_.quote(std::string(*text));
  }
  if (!values.empty()) values += ')';
  try {
    const pqxx::result result = pqxx::nontransaction(sql_).exec("EXECUTE " + statement_ + values);
    return !result[0][0].is_null() && result[0][0].as<bool>();
  } catch (const pqxx::sql_error& error) {
    if (is_of_session(error)) throw;
    // Its message may quote the value.
    throw BadFilter(fmt::format("its where fails on a row, with SQLSTATE {}", state_of(error)),
                    write_it_otherwise);
  }
}

}  // namespace connector
