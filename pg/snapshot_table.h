// A table as a snapshot reads it: its shape as WAL describes it, and the key that it is cut by.
//
//   boundary:  the key of the n-th row behind `lower`       (an index scan)
//   chunk:     COPY of the rows in (lower, upper], in order of the key
//
// The key is the replica identity's index (under FULL the primary key), because a change in WAL
// names its row by that. Order and comparison are the index's own, operators and collation by name,
// so that any type works, those of extensions too, whose operators are on no search path. Values
// are text, cast to the column's type.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pg/change.h"
#include "pg/sql_session.h"
#include "pg/types.h"

namespace pg {

using Key = std::vector<std::string>;  // a key's values, as Postgres prints them

struct SnapshotTable {
  struct KeyColumn {
    std::size_t place = 0;  // among the shape's columns
    std::string expression;
    std::string type;
    // Quoted, of the index's operator class.
    std::string less, less_or_equal, equal, greater_or_equal, greater;
    friend bool operator==(const KeyColumn&, const KeyColumn&) = default;
  };

  Relation relation;
  bool partitioned = false;
  bool published = false;      // by one of the publications
  std::vector<KeyColumn> key;  // empty: no key that changes name their row by

  // "ONLY public.orders": without the tables that inherit; those of a partitioned table belong to
  // it.
  std::string from() const;

  // The key of the last of the next `rows` rows behind `lower`; no row: there are fewer.
  std::string boundary_query(const std::optional<Key>& lower, std::uint64_t rows) const;
  // COPY … TO STDOUT. Nothing: no bound. `where`: an SQL expression, or empty.
  std::string copy(const std::optional<Key>& lower, const std::optional<Key>& upper,
                   const std::string& where) const;

  // The rows that have one of these keys, as an SQL expression.
  std::string among(const std::vector<Key>& keys) const;

  // Whether a change in WAL of that shape can be taken for one of this table.
  bool same_shape(const Relation& other) const;
  bool same_as(const SnapshotTable& other) const;
};

// As the catalog has it now, cut to the columns that `publications` send. Nothing when there is no
// such table.
std::optional<SnapshotTable> snapshot_table(SqlSession& sql, const std::string& schema,
                                            const std::string& name,
                                            std::span<const std::string> publications);

// Who could have written into the table and not be over: each as it stays the same until then.
// Locks that a prepared transaction holds count too.
std::vector<std::string> writers_of(SqlSession& sql, const SnapshotTable& table);

std::string quote_name(std::string_view name);  // "name"
std::string quote_text(std::string_view text);  // 'text'

}  // namespace pg
