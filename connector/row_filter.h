// A table's `where`, applied by walferry where the server cannot: one query a row, so that a row
// matches exactly when Postgres says so. NULL is no match.
//
// What becomes of a change is what a publication's filter makes of it (PostgreSQL's documentation,
// "Row Filters"): a row that comes to match is an insert, one that no longer does a delete. Where
// the old row's columns are not known that cannot be told, and the rule is: a new row that matches
// is an update, one that does not is a delete, and a delete is a delete. Folded by key, the records
// are then exactly the rows that match.
#pragma once

#include <pqxx/pqxx>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "pg/change.h"

namespace connector {

// The filter cannot be applied to a row. Says no value.
class BadFilter : public std::runtime_error {
 public:
  BadFilter(const std::string& what, std::string hint)
      : std::runtime_error(what), hint_(std::move(hint)) {}
  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

class RowFilter {
 public:
  // For one shape of the table. Prepares a statement on `sql`, which must outlive this; throws
  // BadFilter when Postgres does not take it.
  RowFilter(pqxx::connection& sql, const std::string& where, const pg::Relation& relation);
  ~RowFilter();
  RowFilter(const RowFilter&) = delete;
  RowFilter& operator=(const RowFilter&) = delete;

  // What is left of a change; it borrows from the change and from this, until the next call. Throws
  // BadFilter.
  struct Nothing {};
  using Left = std::variant<Nothing, pg::Insert, pg::Update, pg::Delete>;
  Left pass(const pg::Insert& change);
  Left pass(const pg::Update& change);
  Left pass(const pg::Delete& change);

 private:
  struct Used {
    std::size_t place;
    std::string name;
    bool identity;
  };
  bool matches(pg::Row row);
  bool known(pg::OldRow kind) const;
  bool is_of_session(const pqxx::sql_error& error) const;

  pqxx::connection& sql_;
  std::string statement_;
  std::vector<Used> used_;
  std::vector<bool> identity_;  // of all columns
  std::vector<pg::Value> row_;  // the new row with what it lacks from the old
  std::vector<pg::Value> key_;
};

}  // namespace connector
