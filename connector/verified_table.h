// A table that is verified: how a row of it reads in a record of each format, and which of its
// columns name it. The records' own encoders write the rows that are read from the table, so that
// equal means equal to the byte.
//
// A row's name is the text of its key's columns as records have it. Postgres's equality may be
// wider (1.0 and 1.00, citext), but it tells of every change of that text as of a change of key. A
// table without a key is a multiset: there all columns are the name, and rows are counted.
//
// One thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connector/config.h"
#include "connector/debezium_record.h"
#include "connector/record.h"
#include "connector/stored_change.h"
#include "connector/structured_value.h"
#include "pg/change.h"
#include "pg/table_reader.h"

namespace connector {

class VerifiedTable {
 public:
  // `values` and `debezium` must live longer. Throws Stop(precondition) where the configured key
  // does not fit the shape.
  VerifiedTable(const Config& config, const TableConfig& choice, pg::ReadTable table,
                const pg::Relation& shape, const std::vector<std::string>& primary_key,
                StructuredValues& values, DebeziumValues& debezium);

  const std::string& name() const { return name_; }  // schema.table
  const pg::ReadTable& table() const { return table_; }
  const pg::Relation& shape() const { return shape_; }
  const std::string& where() const { return where_; }
  bool keyless() const { return keyless_; }
  // Whether the stream has the table's updates and deletes at all.
  bool insert_only() const { return insert_only_; }
  const std::vector<std::string>& key() const { return key_; }

  // A row of the table as records of this format have it: appends its name, and the record's
  // `after`. Throws Stop(precondition) for a value that is not what its type says.
  void read(ChangeFormat format, pg::Row row, std::string& row_name, std::string& after) const;

  // The name of a row, from a record: of the row that it leaves, or of the one that was before.
  // False when the record does not have the key's columns: of a table without a key, all of them.
  bool name_of(std::string& out, const StoredChange& change) const;
  bool old_name_of(std::string& out, const StoredChange& change) const;
  // {"id":42}, from a name.
  std::string shown(std::string_view row_name) const;

  // Whether a value in a record of Debezium's is the placeholder for one that was not sent.
  bool is_placeholder(std::string_view column, std::string_view value) const;
  bool has_placeholder(std::string_view row) const;

  // Throws Stop(precondition) where rows cannot be named alike in both formats, or cannot be named
  // in Debezium's.
  void require_names(bool json, bool debezium) const;

 private:
  struct Column {
    std::string name;
    std::string placeholder;
    bool alike = false;  // the same text in both formats
    bool shown = false;
  };
  bool append_name(std::string& out, std::string_view first, std::string_view second) const;
  std::string encode(ChangeFormat format, pg::Row row) const;
  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const;

  std::string name_;
  pg::ReadTable table_;
  pg::Relation shape_;
  std::string where_;
  TableChoice choice_;
  TableEncoder json_;
  DebeziumEncoder debezium_;
  std::vector<Column> columns_;
  std::vector<std::string> key_;
  bool keyless_ = false;
  bool insert_only_ = false;
};

}  // namespace connector
