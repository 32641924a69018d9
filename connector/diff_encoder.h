// The changes that snapshot-diff has found, as records: CONTRACT.md, "The record". Their place is
// the round's LSN, their number that among the table's records of the round; they are of no
// transaction, and so have neither xid nor commit time.
#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/copy_row.h"
#include "connector/diff_messages.h"
#include "connector/record.h"
#include "connector/record_format.h"
#include "connector/structured_value.h"
#include "outbox/diff_table.h"
#include "outbox/table_merge.h"
#include "pg/type_catalog.h"

namespace connector {

class DiffEncoder {
 public:
  DiffEncoder(const Config& config, pqxx::connection& sql);

  void begin_round(pg::Lsn lsn, pg::Timestamp read_at);

  struct Counts {
    std::uint64_t inserts = 0, updates = 0, deletes = 0, snapshots = 0;
    std::uint64_t published() const { return inserts + updates + deletes + snapshots; }
  };

  // What comes next is of this table. `old_rows`: the old rows that come are whole, and are to be
  // published. `announced`: the shape that was announced last, which is kept up to date.
  void begin_table(const outbox::DiffTable& table, const TableConfig& config, bool old_rows,
                   std::string& announced, RoundWriter& out);
  // Throws Stop(precondition) for a value that cannot be published.
  void change(const outbox::RowChange& change);
  void snapshot(std::string_view line);
  // The words around a snapshot.
  void restart();
  void complete(std::uint64_t rows);
  const Counts& counts() const { return counts_; }

 private:
  template <class Encode>
  void record(Op op, pg::Row row, pg::Row old, Encode encode);
  void announce();
  void word(std::uint64_t number, const char* header, const std::string& value);
  void place(std::uint64_t number);
  pg::Row old_row(const outbox::RowChange& change);

  const Config& config_;
  pqxx::connection& sql_;
  pg::TypeCatalog types_;
  StructuredValues values_{types_};
  RecordFormat format_;
  TransactionEncoder mark_;
  pg::Lsn lsn_;

  RoundWriter* out_ = nullptr;
  pg::Relation relation_;  // as records know it
  std::optional<TableChoice> choice_;
  std::optional<TableEncoder> encoder_;
  RecordFormat::Table format_table_;
  bool old_rows_ = false;
  std::string* announced_ = nullptr;
  std::string shape_;
  pg::Relation shown_;
  std::string id_;
  Counts counts_;
  std::uint64_t number_ = 0;
  DiffMessage message_;
  CopyRow new_copy_, old_copy_;
  std::vector<std::size_t> key_places_;
  std::vector<pg::Value> old_key_;
  std::vector<std::optional<std::string>> old_key_text_;
};

}  // namespace connector
