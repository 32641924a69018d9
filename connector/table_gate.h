// What a change of one table must pass on its way to a record: its [[table]]'s choice of columns
// and operations, and its `where`, for one shape of the table.
//
// The server filters rows where it can, from the moment on at which the publication was made so,
// and which of the changes behind us that were is not known. So walferry filters all that was
// written before it saw the server's filter in force: who filters twice filters to the same effect,
// and what is published stays a function of WAL and configuration.
#pragma once

#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "connector/config.h"
#include "connector/op.h"
#include "connector/row_filter.h"
#include "connector/table_choice.h"
#include "pg/change.h"
#include "pg/table_columns.h"
#include "pg/types.h"

namespace connector {

class TableGate {
 public:
  TableGate() = default;  // everything passes

  // `publication`: the configured one. `at` and `xid`: where the shape was met, and in which
  // transaction. Throws Stop(precondition) where the choice cannot be made of this shape.
  TableGate(const TableConfig& config, const pg::Relation& relation, const std::string& publication,
            pqxx::connection& sql, pg::Lsn at, pg::TransactionId xid);

  const TableChoice& choice() const { return choice_; }

  // What is left of a change behind `where`; `lsn` is the change's own. Throws Stop(precondition).
  template <class Change>
  RowFilter::Left pass(const Change& change, pg::Lsn lsn, pg::Position position) {
    if (where_.empty() || (server_since_ && lsn >= *server_since_)) return change;
    return filtered(change, position);
  }

  // Whether a record of this op is published. Throws Stop(precondition) where the configured key
  // cannot be told.
  bool publishes(Op op, pg::Position position) const {
    if (!choice_.publishes(op)) return false;
    if (!choice_.uncovered_key().empty()) require_key(op, position);
    return true;
  }

 private:
  template <class Change>
  RowFilter::Left filtered(const Change& change, pg::Position position);
  void require_key(Op op, pg::Position position) const;
  void refuse_former_names(const pg::Relation& relation, const pg::TableColumns& today,
                           pg::Lsn at) const;

  std::string name_;
  TableChoice choice_;
  std::string where_;
  std::optional<pg::Lsn> server_since_;
  pqxx::connection* sql_ = nullptr;
  std::unique_ptr<RowFilter> filter_;  // made when the first row needs it
};

}  // namespace connector
