// Whether a text is a condition on a table's rows, and no more than that: it is put between
// parentheses into a longer statement, which it must not be able to leave.
#pragma once

#include <string>

#include "pg/snapshot_table.h"
#include "pg/sql_session.h"

namespace pg {

// What is wrong with `where`, in Postgres's words, or why this role may not read all the table's
// rows; "" when nothing is. An empty text is no condition. Changes nothing. Throws pg::Error where
// the server could not be asked.
std::string where_problem(SqlSession& sql, const SnapshotTable& table, const std::string& where);

}  // namespace pg
