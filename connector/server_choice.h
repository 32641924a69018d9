// Which part of a table's choice of rows and columns the server can make, so that what is unwanted
// never leaves it, and which part walferry makes itself. The server narrows only where no UPDATE
// and no DELETE of the application can fail by it:
//
//   columns   a column list, with the columns of identity, key and filter added; never under
//   REPLICA
//             IDENTITY FULL, where any list makes updates fail
//   where     a row filter, if the identity covers the columns that it uses
//   exclude   never: a list would have to name all other columns, and one that is added later
//             would be missing from the records until the list is made anew
//
// In {publication}_insert, which has no updates, both are harmless. What walferry makes itself it
// makes in any case; the server's part only saves it from receiving the rest.
#pragma once

#include <string>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/table_selection.h"
#include "pg/catalog.h"
#include "pg/publication.h"
#include "pg/table_columns.h"

namespace connector {

struct ServerChoice {
  pg::Narrowing narrowing;
  // Why walferry makes it, and what would let the server; empty where there is nothing to make.
  std::string rows_reason, rows_fix;
  std::string columns_reason;
};

struct Server {
  int version = 0;
  bool own_publication = true;  // walferry's: another one is never altered
};

// `config` applies to `table`, whose columns are `columns`.
ServerChoice server_choice(const TableConfig& config, const pg::TableInfo& table,
                           const pg::TableColumns& columns, const Server& server);

// What is wrong with the table's choice: columns that it lacks, a key that cannot be told. For the
// table of a pattern a column to be left out or masked may be missing.
Findings choice_problems(const TableConfig& config, const pg::TableInfo& table,
                         const pg::TableColumns& columns, const Server& server);
// How it is made, as warnings where it costs something, else as ok.
Findings choice_notes(const TableConfig& config, const pg::TableInfo& table,
                      const pg::TableColumns& columns, const ServerChoice& choice);
// Generated columns are not in WAL before PostgreSQL 18.
Findings generated_findings(const pg::TableInfo& table, const pg::TableColumns& columns,
                            const Server& server);

// All of the above for every table that a choice is configured for.
struct Chosen {
  pg::Narrowings narrowings;
  Findings problems;
  Findings notes;
};
Chosen choose(const Config& config, pqxx::connection& sql,
              const TableSelection::Resolved& resolved);

// What Postgres says to the filters themselves. Costs a temporary table each: for a start and for
// `check`, not for every minute.
Findings filter_findings(const Config& config, pqxx::connection& sql,
                         const TableSelection::Resolved& resolved);

}  // namespace connector
