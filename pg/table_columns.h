// A table's columns as the catalog has them now, and what its replica identity covers: for a
// partitioned table over all of its partitions, since each has an identity of its own, and over the
// root's key, which partitions to come will have.
#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <vector>

namespace pg {

struct TableColumn {
  std::string name;
  std::uint32_t type = 0;
  bool generated = false;
  bool covered = false;   // its old value is known on UPDATE and DELETE, in every partition
  bool identity = false;  // a column of the identity's index, in some partition
};

struct TableColumns {
  std::vector<TableColumn> columns;
  bool full = false;  // REPLICA IDENTITY FULL, in some partition

  const TableColumn* find(const std::string& name) const;  // nullptr: there is none
};

// Empty when the table is gone.
TableColumns table_columns(pqxx::connection& sql, std::uint32_t table);

}  // namespace pg
