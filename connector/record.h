// Changes become records: CONTRACT.md, "The record".
//
// A record is a function of WAL and the configuration alone, so that what is published twice is the
// same twice. Its last fields wait: whether it is the transaction's last is known only when the
// next record or the commit has arrived, so the pump holds one record back and finishes it then.
//
// One thread. Buffers are reused; the steady state does not allocate for a row.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "connector/json_value.h"
#include "connector/op.h"
#include "connector/structured_value.h"
#include "connector/table_choice.h"
#include "pg/change.h"
#include "pg/types.h"

namespace connector {

const char* op_name(Op op);  // insert, update, delete, truncate

// A table in one shape: everything about its records that does not depend on the row.
class TableEncoder {
 public:
  // What the Relation message lacks is asked of the catalog: `primary_key` is used under REPLICA
  // IDENTITY FULL only, where every column is flagged; the catalog behind `values` says what the
  // types are. Copies what it needs of `relation`; `values` must live longer. `choice` is for this
  // shape.
  TableEncoder(const pg::Relation& relation, const std::vector<std::string>& primary_key,
               const std::string& subject_prefix, StructuredValues& values,
               TableChoice choice = {});

  const std::string& subject(Op op) const { return subjects_[static_cast<std::size_t>(op)]; }
  const std::string& name() const { return name_; }  // schema.table, for messages

  // Whether the column at this place is part of the key.
  bool is_key(std::size_t column) const;
  // Whether its value stands in records, in the key at least.
  bool shows(std::size_t column) const { return choice_.shown(column) || is_key(column); }
  std::vector<bool> shown() const;  // the same of each column
  // Whether the old row is known, and has another key than the new.
  bool key_changed(const pg::Update& change) const;

  // Each appends the record up to and including `unchanged` and `omitted`. Throws BadValue with the
  // column's name.
  void insert(std::string& out, const pg::Insert& change) const;
  void update(std::string& out, const pg::Update& change) const;
  void remove(std::string& out, const pg::Delete& change) const;
  void truncate(std::string& out) const;

 private:
  struct ColumnEncoder {
    std::string name;
    std::string label;  // "name": as JSON
    JsonKind kind = JsonKind::string;
    const pg::TypeShape* structure = nullptr;  // of an array, composite or hstore
    bool identity = false;                     // its old value comes with an old key
  };

  void open(std::string& out, Op op) const;
  void append_value(std::string& out, std::size_t column, std::string_view text) const;
  void append_row(std::string& out, pg::Row row, pg::Row old, pg::OldRow old_kind) const;
  void append_key(std::string& out, pg::Row row, pg::Row old, pg::OldRow old_kind) const;
  void append_old_key(std::string& out, pg::Row old) const;
  void append_unchanged(std::string& out, const pg::Update& change) const;
  void append_omitted(std::string& out, pg::Row row) const;
  const pg::Value& resolve(std::size_t column, pg::Row row, pg::Row old, pg::OldRow old_kind) const;

  StructuredValues* values_;
  std::string name_;
  std::string table_json_;  // ,"schema":"…","table":"…"
  std::array<std::string, 4> subjects_;
  std::vector<ColumnEncoder> columns_;
  TableChoice choice_;
  std::vector<std::size_t> key_;  // places of the key's columns; empty: no key
};

// The transaction that a record belongs to, as the record says it.
class TransactionEncoder {
 public:
  void begin(const pg::Begin& begin);
  pg::Lsn commit_lsn() const { return commit_lsn_; }
  pg::TransactionId xid() const { return xid_; }

  // ,"lsn":…,"commit_lsn":…,"seq":…
  void append_position(std::string& out, pg::Lsn lsn, std::uint64_t ordinal) const;
  // ,"tx_last":true if so, ,"xid":…,"commit_ts":…}
  void append_end(std::string& out, bool last) const;
  // The most bytes that append_end() appends.
  std::size_t end_size() const { return last_json.size() + end_json_.size(); }

 private:
  static constexpr std::string_view last_json = ",\"tx_last\":true";
  pg::Lsn commit_lsn_;
  pg::TransactionId xid_;
  std::string commit_json_;
  std::string end_json_;
};

// The key in a record, or in the beginning of one; empty when it is not there whole.
std::string_view key_in(std::string_view record);

std::string iso_time(pg::Timestamp time);  // 2026-11-23T10:00:00.123456Z

}  // namespace connector
