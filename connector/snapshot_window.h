// What changes did between a chunk's two marks, so that no row of the chunk brings back an older
// state of what the stream has already: DESIGN.md, "Snapshots".
//
//   low mark ─── changes, read from WAL ─── high mark: rows whose key no change touched go out
//                       │
//                       └─ touched keys, and the rows of those whose last update left values
//                          unchanged: what Postgres did not send must come from the chunk
//
// Such an update's record lacks those values, and where it is the first that the stream has of the
// row, nobody has them. So the row goes out at the high mark all the same, the last that changes
// said of it, and the rest as the chunk has it, under the key that it had then: the last to which a
// transaction has taken it that the chunk sees. (Another row may have had that key before, or
// after.)
//
// No I/O; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "connector/op.h"
#include "pg/change.h"
#include "pg/visibility.h"

namespace connector {

class SnapshotWindow {
 public:
  // `key`: the places of the columns that the table is cut by.
  explicit SnapshotWindow(std::vector<std::size_t> key) : key_(std::move(key)) {}

  // A change whose record is published, by transaction `xid` (no subtransaction). `old` is empty
  // where Postgres sent no old row.
  void change(Op op, pg::Row row, pg::Row old, pg::TransactionId xid);

  // Bytes that this holds, about.
  std::size_t size() const { return size_; }

  // All rows of the chunk may be of before a TRUNCATE.
  bool truncated() const { return truncated_; }
  // What the chunk has cannot be told from what changes did: it must be read again.
  bool ambiguous() const { return ambiguous_; }
  bool touched(pg::Row row) const;

  // Rows that lack values. Each row of the chunk must be shown to fill_from() before complete(),
  // and before the first of them what the chunk sees.
  bool has_incomplete() const;
  void chunk_sees(const pg::Visibility& sees);
  void fill_from(pg::Row chunk_row);
  // What is to be published in the place of touched rows; borrows from this.
  std::vector<std::vector<pg::Value>> complete() const;

 private:
  using Cell = std::optional<std::string>;  // nothing: NULL
  struct Known {
    std::vector<std::optional<Cell>> cells;  // nothing: not sent
    // The keys that the row had between the marks, and who has given them to it: nobody the first.
    struct Place {
      std::string key;
      std::optional<pg::TransactionId> since;
    };
    std::vector<Place> places;
    std::vector<std::optional<Cell>> filled;  // what is missing, once the chunk has shown it
  };
  // No row: what changes said of it is whole.
  struct Touched {
    std::optional<Known> incomplete;
  };

  bool key_text(std::string& out, pg::Row row, pg::Row old) const;
  void updated(pg::Row row, pg::Row old, pg::TransactionId xid);
  void touch(const std::string& key, std::optional<Known> known);

  std::vector<std::size_t> key_;
  std::unordered_map<std::string, Touched> touched_;
  std::unordered_map<std::string, Known*> by_key_;  // incomplete rows, as the chunk has them
  std::size_t size_ = 0;
  bool truncated_ = false;
  bool ambiguous_ = false;
  mutable std::string text_;
};

}  // namespace connector
