// The tables that a partitioned one is made of, as SQL.
//
// pg_partition_tree() locks each of them, and so waits for whoever rewrites one; the catalog alone
// says the same without a lock.
#pragma once

#include <fmt/format.h>

#include <string>

namespace pg {

// A subquery of one column, relid: the table of that oid (an SQL expression), its partitions, and
// theirs.
inline std::string partition_tree(const std::string& oid) {
  return fmt::format(
      "(WITH RECURSIVE tree(relid) AS (SELECT {}::pg_catalog.oid UNION ALL "
      "SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.relid "
      "JOIN pg_catalog.pg_class root ON root.oid = tree.relid AND root.relkind = 'p') "
      "SELECT relid FROM tree)",
      oid);
}

}  // namespace pg
