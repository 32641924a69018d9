// publish.format: what a change's message looks like.
//
//   json         the record that TableEncoder and TransactionEncoder write
//   debezium     an envelope of Debezium's in its place
//   cloudevents  the JSON record, with the headers of a CloudEvent
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>

#include "connector/cloud_event.h"
#include "connector/config.h"
#include "connector/debezium_record.h"
#include "connector/record.h"
#include "pg/type_catalog.h"
#include "publisher/types.h"

namespace connector {

class RecordFormat {
 public:
  // `types` must live longer.
  RecordFormat(const Config& config, const std::string& database, pg::TypeCatalog& types);

  // What a table of this shape has beside its TableEncoder, `json`.
  struct Table {
    std::optional<DebeziumEncoder> debezium;
    std::string event_subject;  // schema.table, escaped
  };
  Table table(const pg::Relation& relation, const TableEncoder& json,
              const TableChoice& choice = {});

  void begin(const pg::Begin& begin);
  // Rows that were read at this time, until the next begin().
  void begin_snapshot(pg::Timestamp read_at);
  // Every change of the transaction, published or not: Debezium's records count by table.
  void count(pg::RelationId table) {
    if (debezium_) debezium_->count(table);
  }
  void count_message() {
    if (debezium_) debezium_->count_message();
  }

  // Appends the record but for what only its successor tells; `encode(encoder, out)` writes the
  // rows. Throws BadValue.
  template <class Encode>
  void write(std::string& out, const Table& table, const TableEncoder& json,
             const TransactionEncoder& transaction, Op op, pg::Lsn lsn, std::uint64_t ordinal,
             Encode encode) const {
    if (table.debezium) {
      encode(*table.debezium, out);
      debezium_->append_end(out, *table.debezium, op, lsn, ordinal);
    } else {
      encode(json, out);
      transaction.append_position(out, lsn, ordinal);
    }
  }
  // The same of a snapshot's row, whole; `mark` has begin_snapshot().
  void write_snapshot(std::string& out, const Table& table, const TableEncoder& json,
                      const TransactionEncoder& mark, pg::Row row, std::uint64_t number) const;
  // A change that is of no transaction, but was found at `mark`; whole, as write_snapshot() is.
  template <class Encode>
  void write_found(std::string& out, const Table& table, const TableEncoder& json,
                   const TransactionEncoder& mark, Op op, std::uint64_t number,
                   Encode encode) const {
    if (table.debezium) {
      encode(*table.debezium, out);
      debezium_->append_found_end(out, *table.debezium, op, mark.commit_lsn(), read_at_);
    } else {
      encode(json, out);
      mark.append_position(out, mark.commit_lsn(), number);
      mark.append_end(out, false);
    }
  }
  // Whether the update is two records here: the row under its old key is gone, and there is one
  // under the new.
  bool is_two(const TableEncoder& json, const pg::Update& change) const {
    return debezium_ && json.key_changed(change);
  }
  // Both, as write() does.
  void write_two(std::string& removal, std::string& creation, const Table& table,
                 const pg::Update& change, pg::Lsn lsn, std::uint64_t ordinal) const;
  // The record of a logical message; false where its content is published as it is. `ordinal` is
  // that of a transactional one, which has been counted.
  bool message(std::string& out, const pg::Message& message, std::uint64_t ordinal) const {
    if (debezium_) debezium_->message(out, message, ordinal);
    return debezium_.has_value();
  }
  void finish(std::string& out, const TransactionEncoder& transaction, bool last) const {
    if (!debezium_) transaction.append_end(out, last);
  }
  // Valid until the next call.
  std::span<const publisher::Header> headers(Op op, const char* id,
                                             const std::string& event_subject);
  // The key that the record names; empty in formats that name none.
  std::string_view key_in(std::string_view record) const {
    return debezium_ ? std::string_view() : connector::key_in(record);
  }

 private:
  pg::TypeCatalog& types_;
  DebeziumValues debezium_values_;
  std::optional<DebeziumTransaction> debezium_;
  std::optional<CloudEvent> cloud_event_;
  pg::Timestamp read_at_;
};

}  // namespace connector
