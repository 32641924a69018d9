#include "pg/where_check.h"

#include <fmt/format.h>

#include "pg/error.h"

namespace pg {
namespace {

// "PostgreSQL: ERROR:  syntax error at or near "x"\nLINE 1: …": the line is none of the operator's.
std::string first_line(std::string text) {
  text = text.substr(0, text.find('\n'));
  for (const std::string prefix : {"PostgreSQL: ", "ERROR:  "}) {
    if (text.starts_with(prefix)) text = text.substr(prefix.size());
  }
  return text;
}

bool is_lost(const std::string& sqlstate) {
  return sqlstate.empty() || sqlstate.starts_with("08") || sqlstate.starts_with("57P");
}

}  // namespace

// A text that closes the parenthesis around it would not close a bracket: what is good within both
// is whole. Parsed only, as one statement, until that is known.
std::string where_problem(SqlSession& sql, const SnapshotTable& table, const std::string& where) {
  const std::string condition = where.empty() ? "true" : where;
  const std::string statement =
      fmt::format("SELECT 1 FROM {} WHERE ({}\n) LIMIT 0", table.from(), condition);
  try {
    sql.parse(fmt::format("SELECT ARRAY[{}\n] FROM {}", condition, table.from()));
    sql.parse(statement);
    sql.exec("BEGIN READ ONLY; SET LOCAL row_security = off");
    sql.exec(statement);
    sql.exec("ROLLBACK");
    return "";
  } catch (const Error& error) {
    if (is_lost(error.sqlstate())) throw;
    sql.exec("ROLLBACK");  // a warning where nothing was begun
    return first_line(error.what());
  }
}

}  // namespace pg
