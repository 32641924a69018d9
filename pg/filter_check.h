// Whether Postgres would take a text as a publication's row filter, asked without touching the
// table: an index's predicate must be as immutable as a filter, so one is made on an empty
// temporary copy of the columns, and rolled back.
#pragma once

#include <pqxx/pqxx>
#include <string>

#include "pg/catalog.h"
#include "pg/table_columns.h"

namespace pg {

// What is wrong with `where`; "" when nothing is, or when this role may not ask (it has no
// TEMPORARY on the database). `for_server`: it is to go into a publication, which takes no objects
// that are not built in.
std::string filter_problem(pqxx::connection& sql, const TableInfo& table,
                           const TableColumns& columns, const std::string& where, bool for_server);

}  // namespace pg
