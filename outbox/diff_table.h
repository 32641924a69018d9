// A table as snapshot-diff reads it: its columns, the key that its rows are told apart by, and the
// SQL that reads it.
//
//   read    COPY of the rows, in the keys' order, as text
//   sums    for each range of keys: how many rows there are, and the sum of their hashes
//
// The sums tell a range that nobody changed without a row being sent. Of each row the server hashes
// what determines its text: numbers and booleans as they are (an int8 with its upper half beside
// it, since PostgreSQL folds the two), all other types as their text under COLLATE "C". What hashes
// equal under an operator class, yet prints differently (numeric 1.0 and 1.00, -0 and 0, text under
// a nondeterministic collation), is therefore different here. The same hash is computed here of a
// line that was read, so that sums are known of whatever has been read once.
//
// Ranges are for a key of one integer; of other tables the whole is one range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outbox/row_hash.h"
#include "outbox/table_merge.h"
#include "outbox/table_state.h"
#include "pg/change.h"
#include "pg/sql_session.h"

namespace outbox {

// What of a table is wanted.
struct DiffChoice {
  std::vector<std::string> columns;  // only these, and the key's; empty: all
  std::vector<std::string> exclude;  // but these
  std::vector<std::string> key;      // empty: the replica identity's, else the primary key
  std::string where;                 // an SQL expression; empty: all rows
};

struct KeyColumn {
  std::size_t place = 0;  // among the relation's columns
  bool integer = false;
  bool nullable = false;
  bool indexed = false;  // a range of it is found without reading the table
  friend bool operator==(const KeyColumn&, const KeyColumn&) = default;
};

struct NumberedColumn {
  std::string name;
  std::int32_t number = 0;  // the attribute's: it stays when the column is renamed
};

struct RowHasher {
  enum class How { boolean, integer, wide, text };
  std::vector<How> columns;

  // Before it is used: so that the server can make one row of what is hashed.
  void fit();
  // As the server has it, of a row that was read.
  std::int64_t operator()(pg::Row row, std::uint64_t seed) const;
};

struct DiffTable {
  pg::Relation relation;           // the columns that are read; `key` flags those of the key
  std::vector<std::string> types;  // of the columns, as Postgres prints them
  bool partitioned = false;
  std::vector<KeyColumn> key;  // empty: the whole row
  std::string where;
  std::vector<NumberedColumn> all;     // whether they are read or not
  std::vector<std::string> generated;  // of the key, or of choice.columns: they are not read
  bool unlogged_on_standby = false;    // it cannot be read there
  RowHasher hasher;
  double estimated_rows = 0;

  std::string name() const;                                     // schema.table, for messages
  const NumberedColumn* find(const std::string& column) const;  // nullptr: there is none
  bool keyed() const { return !key.empty(); }
  bool ranged() const { return key.size() == 1 && key[0].integer && !key[0].nullable; }

  // Replaces `out` by the row's key.
  void key_of(pg::Row row, std::string& out) const;

  std::string lock_query() const;
  // The rows, as COPY prints them; without a key the server's hash is a column before the others.
  // Of a ranged table from `from` on and below `below`.
  std::string read_query(std::uint64_t seed, std::optional<std::int64_t> from = std::nullopt,
                         std::optional<std::int64_t> below = std::nullopt) const;
  // The same of some of the blocks.
  std::string read_query(std::uint64_t seed, const std::vector<StateBlock>& blocks,
                         BlockRange range) const;
  // Rows of (block, rows, sum), of the blocks that are asked for (none: of all); a block without
  // rows has none here either.
  std::string sums_query(const std::vector<StateBlock>& blocks, std::uint64_t seed,
                         const std::vector<BlockRange>& asked = {}) const;
  // The same of single blocks, each found by the key's index; none of them the first or the last.
  std::string sample_query(const std::vector<StateBlock>& blocks, std::uint64_t seed,
                           const std::vector<std::size_t>& sampled) const;
  // One number, which probe_hash() must give: else the server's hashes are not used.
  static std::string probe_query(std::uint64_t seed);
  static std::int64_t probe_hash(std::uint64_t seed);

  // What must be the same for a state to be of this table: its columns, their types, its key.
  std::string signature() const;

 private:
  std::string from() const;
  std::string row_hash(std::uint64_t seed) const;
  std::string and_where() const;
  // Of the key: at least `from`, and below `below`.
  std::string within(std::optional<std::int64_t> from, std::optional<std::int64_t> below) const;
};

// As the catalog has it. Nothing when there is no such table.
std::optional<DiffTable> diff_table(pg::SqlSession& sql, const std::string& schema,
                                    const std::string& name, const DiffChoice& choice);

}  // namespace outbox
