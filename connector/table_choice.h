// What of a table's rows is published, and how: the [[table]]'s columns, exclude, mask, ops and key
// applied to one shape of the table, as a Relation message has it. Any format's encoder asks it.
//
// Hidden columns are left out of `before`, `after` and `unchanged`. The key is what identifies the
// row: its columns stay in `key` though they are hidden, and are masked there as everywhere.
//
// A function of the configuration and of WAL alone. Where the server was given a column list too,
// columns are missing from the shape, which is the same as hidden here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connector/config.h"
#include "connector/op.h"
#include "pg/change.h"

namespace connector {

class TableChoice {
 public:
  TableChoice() = default;  // everything, as it is
  TableChoice(const TableConfig& config, const pg::Relation& relation);

  bool publishes(Op op) const;
  bool shown(std::size_t column) const { return columns_.empty() || columns_[column].shown; }
  Mask mask(std::size_t column) const {
    return columns_.empty() ? Mask::none : columns_[column].mask;
  }

  // The configured key's columns, in its order; nothing: the replica identity's.
  const std::optional<std::vector<std::size_t>>& key() const { return key_; }

  // Columns that are configured to be the key, and are not in this shape.
  const std::vector<std::string>& missing_key() const { return missing_key_; }
  // Columns of the key whose value of an old row Postgres does not send: no update and no delete
  // can name its row. Empty for a table without updates.
  const std::vector<std::string>& uncovered_key() const { return uncovered_key_; }
  // Columns to be masked or left out that this shape lacks: it is of another time, or they have
  // been renamed, and then would be shown.
  const std::vector<std::string>& unseen() const { return unseen_; }

 private:
  struct ColumnChoice {
    bool shown = true;
    Mask mask = Mask::none;
  };
  Operations ops_;
  std::vector<ColumnChoice> columns_;  // empty: nothing is hidden or masked
  std::optional<std::vector<std::size_t>> key_;
  std::vector<std::string> missing_key_;
  std::vector<std::string> uncovered_key_;
  std::vector<std::string> unseen_;
};

// Appends what stands in the value's place, as JSON: a string, "***" for redact; for hash the
// SHA-256 of the value's text (UTF-8, as Postgres prints it), in lower-case hex. Not for
// Mask::none.
void append_masked(std::string& out, Mask mask, std::string_view text);

}  // namespace connector
