// The stream, read once from its beginning to a known message, as entries of rows to be sorted:
//
//   messages ─▶ records ─▶ (table, name of the row) ─▶ FoldEntry ─▶ ExternalSort
//
// and what else it says of each table: truncates, formats, whether its snapshot is complete.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "connector/config.h"
#include "connector/external_sort.h"
#include "connector/row_fold.h"
#include "connector/stored_change.h"
#include "connector/verified_table.h"
#include "publisher/connection.h"
#include "publisher/consumer.h"
#include "publisher/types.h"

namespace connector {

// Where a table's history begins, as far as its present rows go.
struct FoldFloor {
  std::uint64_t order = 0;  // entries below do not count
  pg::Lsn lsn;
  bool late = false;  // a truncate whose commit was not visible yet, see FoldView::is_late
};

// What the stream has of one table.
class TableHistory {
 public:
  bool json = false;
  bool debezium = false;
  bool snapshot_begun = false;
  bool snapshot_complete = false;
  std::uint64_t unfollowed = 0;                // records whose row cannot be told
  std::uint64_t first_unfollowed = 0;          // its message
  std::uint64_t last_unfollowed = 0;           // its order, to be compared with the floor's
  std::map<std::string, std::uint32_t> types;  // of the last shape that was announced

  void truncated(std::uint64_t order, const FoldEntry& by) {
    truncates_.push_back({order, by.commit_lsn, by.xid, by.has_xid});
  }
  // A snapshot of a table without a key begins: it has all that was before.
  void begins_anew(std::uint64_t order) { anew_ = order; }
  // Whether all of the table is known from some point on.
  FoldFloor floor(const FoldView& view) const;

 private:
  struct Truncate {
    std::uint64_t order;
    pg::Lsn lsn;
    std::int64_t xid;
    bool has_xid;
  };
  std::vector<Truncate> truncates_;
  std::uint64_t anew_ = 0;
};

// Four bytes that sort tables by their place, in front of a row's name.
std::string table_prefix(std::size_t table);

class StreamFolder {
 public:
  // All must live longer.
  StreamFolder(const Config& config, const std::vector<VerifiedTable>& tables, FoldView& view,
               ExternalSort& rows);

  // Reads what is stored from `first` to `last`. `go_on` is called with the sequence
  // that was reached, for each message and while none comes; what it throws ends the reading.
  // Throws publisher::Error.
  void read(publisher::Connection& nats, publisher::StreamSequence first,
            publisher::StreamSequence last,
            const std::function<void(publisher::StreamSequence at)>& go_on);

  void take(publisher::Delivery& message);
  const std::vector<TableHistory>& histories() const { return histories_; }
  std::uint64_t records() const { return order_; }
  // Whether rows take values along to another key, see connector/row_entries.h.
  bool any_taken_along() const { return any_taken_along_; }

 private:
  void take_record(std::string_view record, publisher::StreamSequence sequence);
  void take_row(std::size_t table, const StoredChange& change, FoldEntry& entry);
  void take_schema(std::size_t table, std::string_view record);
  void take_snapshot_word(std::size_t table, const publisher::Delivery& message);
  void add(std::size_t table, std::string_view row_name, std::uint64_t order,
           const FoldEntry& entry);
  void take_along(std::size_t table, std::string_view from, std::uint64_t order,
                  const StoredChange& change, FoldEntry entry);
  void not_followed(std::size_t table, std::uint64_t sequence);

  const std::vector<VerifiedTable>& tables_;
  FoldView& view_;
  ExternalSort& rows_;
  std::string stream_;
  std::string subjects_;  // what the subjects of records begin with
  std::string pack_subject_;
  std::map<std::pair<std::string, std::string>, std::size_t> by_name_;
  std::unordered_map<std::string, std::size_t> schema_subjects_, snapshot_subjects_;
  std::vector<TableHistory> histories_;
  std::vector<pg::Lsn> last_snapshot_;
  MessageLines lines_;
  std::uint64_t order_ = 0;  // even: what a record leaves in front of it stands at the odd one
  bool any_taken_along_ = false;
  // Debezium's format tells a change of key as two records, one behind the other.
  struct {
    std::size_t table = 0;
    std::uint64_t order = 0;
    pg::Lsn commit_lsn;
    std::string name;
  } removed_;
  std::string name_, old_name_, key_, value_, columns_;
};

}  // namespace connector
