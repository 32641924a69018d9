// Changes as Debezium's envelope, for publish.format = "debezium": docs/debezium.md.
//
// {"before":…,"after":…,"source":{…},"transaction":{…},"op":"c","ts_ms":…,"ts_us":…,"ts_ns":…}
//
// A function of WAL and the configuration alone, as every record: the times are the commit's, where
// Debezium's outer ones are its own clock's; nothing says whether it is the transaction's last.
// Facts: https://debezium.io/documentation/reference/stable/connectors/postgresql.html ("Data
// change events"), io.debezium.data.Envelope, PostgresSourceInfoStructMaker and SourceInfo (the
// order of the fields is that of their schemas).
//
// One thread. Buffers are reused; the steady state does not allocate for a row.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "connector/debezium_value.h"
#include "connector/record.h"
#include "connector/table_choice.h"
#include "pg/change.h"
#include "pg/type_catalog.h"
#include "pg/types.h"

namespace connector {

// A table in one shape.
class DebeziumEncoder {
 public:
  // Copies what it needs of `relation`; `types` and `values` must live longer. `choice` is for this
  // shape; `shown`: the columns whose values stand in records, the key's among them, since the
  // envelope has no other place for it.
  DebeziumEncoder(const pg::Relation& relation, pg::TypeCatalog& types, DebeziumValues& values,
                  const std::vector<bool>& shown, TableChoice choice = {});

  // Each appends {"before":…,"after":…. Throws BadValue with the column's name.
  void insert(std::string& out, const pg::Insert& change) const;
  void update(std::string& out, const pg::Update& change) const;
  void remove(std::string& out, const pg::Delete& change) const;
  void truncate(std::string& out) const;
  void snapshot(std::string& out, pg::Row row) const;
  // An update under another key is Debezium's remove() of the old row and this.
  void create_anew(std::string& out, const pg::Update& change) const;

 private:
  friend class DebeziumTransaction;

  struct Column {
    std::string name;
    std::string label;  // "name": as JSON
    DebeziumType type;
    bool identity = false;  // its old value comes with an old key
    bool shown = true;
  };

  void append_row(std::string& out, pg::Row row, pg::Row old, pg::OldRow old_kind) const;
  void append_value(std::string& out, std::size_t column, const pg::Value& value) const;

  DebeziumValues* values_;
  pg::RelationId id_;
  std::string source_json_;  // ,"schema":"…","table":"…"
  std::vector<Column> columns_;
  TableChoice choice_;
};

// The transaction that a record belongs to, as the envelope says it.
class DebeziumTransaction {
 public:
  // `name` is Debezium's topic.prefix, here the prefix of the subjects; `database` the one that is
  // read.
  DebeziumTransaction(const std::string& name, const std::string& database);

  void begin(const pg::Begin& begin);
  // Every change of the transaction to a table, published or not, in order: which one of its
  // table's a change is must not depend on where reading started.
  void count(pg::RelationId table) { ++counts_[table.value]; }
  void count_message() { ++messages_; }

  // ,"source":…, to the end of the envelope: of the change that was counted last.
  void append_end(std::string& out, const DebeziumEncoder& table, Op op, pg::Lsn lsn,
                  std::uint64_t ordinal) const;
  // The same of what a snapshot has, or snapshot-diff has found, at its mark, with the time at
  // which it was read; no transaction is open.
  void append_found_end(std::string& out, const DebeziumEncoder& table, Op op, pg::Lsn mark,
                        pg::Timestamp time) const;
  // The whole envelope of a logical message. Outside a transaction WAL has no time for it: 0.
  void message(std::string& out, const pg::Message& message, std::uint64_t ordinal) const;

 private:
  // As a record says it.
  struct Times {
    std::string millis;  // "ts_ms":…
    std::string finer;   // ,"ts_us":…,"ts_ns":…
  };

  static Times times_of(pg::Timestamp time);
  void append_source(std::string& out, const Times& times, const std::string& sequence, pg::Lsn lsn,
                     std::string_view table, std::string_view xid, bool snapshot = false) const;

  std::string head_;      // ,"source":{"version":…,"name":…,
  std::string database_;  // ,"db":…,"sequence":
  Times times_;
  std::string sequence_;  // "[\"commit LSN\",\"
  std::string xid_;
  std::string transaction_;  // ,"transaction":{"id":…,"total_order":
  std::unordered_map<std::uint32_t, std::uint64_t> counts_;  // by the table's id
  std::uint64_t messages_ = 0;
};

}  // namespace connector
