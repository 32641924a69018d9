// What the stream says of one row: its entries, in the stream's order, folded.
//
//   insert, snapshot   the row is what the record has
//   update             the same; of the columns that are unchanged, what was known stays
//   gone               a delete, or a change of key that led away from here
//
// A change of key tells the row `after`, whose entry stands at the order `sequence`, that the
// columns `unchanged` are as they are here (leaves, in front of gone), and that row is told of
// each, the column `unchanged` with the value `after` (carried): connector/row_entries.h.
//
// A snapshot's row below the last LSN seen is old, and ignored. What was not visible to the
// database's snapshot is left out: see connector/verify.cc for why what is left is consistent.
//
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "connector/stored_change.h"
#include "connector/verified_table.h"
#include "pg/types.h"
#include "pg/visibility.h"

namespace connector {

// A record's part in the fold of one row, as it is sorted. Borrows.
struct FoldEntry {
  enum class Kind : unsigned char { insert, update, snapshot, gone, leaves, carried };
  Kind kind = Kind::insert;
  ChangeFormat format = ChangeFormat::json;
  bool has_xid = false;
  pg::Lsn commit_lsn;
  std::int64_t xid = 0;        // relative, see XidUnwinder
  std::uint64_t sequence = 0;  // of the message in the stream
  std::string_view after = {};
  std::string_view unchanged = {};
  std::string_view omitted = {};

  void append_to(std::string& out) const;
  static FoldEntry from(std::string_view bytes);
};

// What decides whether an entry counts.
class FoldView {
 public:
  // `before`: a WAL position from before `snapshot` was taken; `next`: a number that was given to a
  // transaction after it.
  FoldView(pg::Visibility snapshot, pg::Lsn before, std::uint64_t next)
      : snapshot_(std::move(snapshot)), before_(before), next_(next) {}

  pg::XidUnwinder& xids() { return xids_; }
  pg::Lsn before() const { return before_; }

  bool sees(const FoldEntry& entry) const;
  bool sees(bool has_xid, std::int64_t xid, pg::Lsn commit_lsn) const;
  // Not seen, though its commit was written before the snapshot was taken: it waited for a standby,
  // or was just about to become visible.
  bool is_late(const FoldEntry& entry) const {
    return entry.kind != FoldEntry::Kind::snapshot && entry.commit_lsn <= before_ && !sees(entry);
  }

 private:
  pg::Visibility snapshot_;
  pg::Lsn before_;
  std::uint64_t next_;
  pg::XidUnwinder xids_;
};

class RowFold {
 public:
  // `hides_unknown`: a placeholder of Debezium's may also stand for a value that was left out for
  // its size.
  RowFold(const FoldView& view, bool hides_unknown) : view_(view), hides_unknown_(hides_unknown) {}

  // A new row. Whatever was before `floor` was truncated.
  void begin(const VerifiedTable& table, pg::Lsn floor);
  void add(const FoldEntry& entry);
  // For the next add(): a value that the row had under its old key.
  void carry(const FoldEntry& value);

  bool occurs() const { return occurs_; }               // something of it counted
  bool present() const { return present_; }             // there is such a row
  bool late() const { return late_; }                   // see FoldView::is_late
  std::int64_t count() const { return count_; }         // of a table without a key
  std::uint64_t sequence() const { return sequence_; }  // of the last message that counted

  std::string_view after() const { return after_; }  // of the newest record
  // The same, where that is all of the row: nothing carried over or left out.
  std::string_view whole(ChangeFormat format) const {
    const bool all =
        format == format_ && carried_.empty() && unchanged_.empty() && omitted_.empty();
    return all ? std::string_view(after_) : std::string_view();
  }

  struct Value {
    enum State { known, unchanged, omitted, absent } state = absent;
    ChangeFormat format = ChangeFormat::json;
    std::string_view text = {};
  };
  // Valid until the next add() or begin().
  Value column(std::string_view name) const;
  std::vector<std::string> columns() const;  // of the newest record

 private:
  void take(const FoldEntry& entry);

  struct Carried {
    ChangeFormat format;
    std::string text;
  };
  const FoldView& view_;
  bool hides_unknown_;
  const VerifiedTable* table_ = nullptr;
  pg::Lsn last_lsn_;
  bool occurs_ = false;
  bool present_ = false;
  bool late_ = false;
  std::int64_t count_ = 0;
  std::uint64_t sequence_ = 0;
  ChangeFormat format_ = ChangeFormat::json;
  std::string after_;                                        // of the newest record
  std::map<std::string, Carried, std::less<>> carried_;      // what it left unchanged
  std::map<std::string, Carried, std::less<>> taken_along_;  // for the next entry
  std::vector<std::string> unchanged_;                       // the same, and not known
  std::vector<std::string> omitted_;
};

}  // namespace connector
