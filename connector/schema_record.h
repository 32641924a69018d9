// The record that announces a table's shape, before the first row of it: CONTRACT.md, "The record".
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "pg/change.h"
#include "pg/types.h"

namespace connector {

// {prefix}._schema.{schema}.{table}
std::string schema_subject(const std::string& prefix, const pg::Relation& relation);

// `key`: the places of the record key's columns. `types`: the columns' types as Postgres prints
// them, one a column, empty where it knows them no longer (written as null). `lsn`: of the row that
// follows.
std::string schema_record(const pg::Relation& relation, std::span<const std::size_t> key,
                          const std::vector<std::string>& types, pg::Lsn lsn);

}  // namespace connector
