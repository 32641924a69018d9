// The record that announces a table's shape, before the first row of it: CONTRACT.md, "The record".
#pragma once

#include <string>
#include <vector>

#include "connector/record.h"
#include "pg/change.h"
#include "pg/types.h"

namespace connector {

// {prefix}._schema.{schema}.{table}
std::string schema_subject(const std::string& prefix, const pg::Relation& relation);

// A table's shape as its records show it: without the columns that none of them has. Each column's
// `key` says whether it is part of the records' key.
pg::Relation shown_of(const pg::Relation& relation, const TableEncoder& encoder);

// `types`: the columns' types as Postgres prints them, one a column, empty where it knows them no
// longer (written as null). `lsn`: of the row that follows.
std::string schema_record(const pg::Relation& shown, const std::vector<std::string>& types,
                          pg::Lsn lsn);

}  // namespace connector
