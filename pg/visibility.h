// Which transactions a snapshot of the database sees.
//
// A snapshot knows transactions by 64 bits, WAL and the records by the low 32 of them. Along the
// order of commits, neighbours are less than 2^31 apart (or nothing was committed on the tables for
// two thousand million transactions), so that the numbers can be unwound: each is taken for the
// nearest to the one before, and the last is anchored at the snapshot.
//
// No I/O. Source: PostgreSQL's documentation, "Transaction ID and Snapshot Information Functions".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.h"

namespace pg {

// What pg_current_snapshot() prints: "xmin:xmax:xip,xip".
class Visibility {
 public:
  static std::optional<Visibility> parse(std::string_view text);

  bool sees(std::uint64_t xid) const;
  // The same of a number as WAL has it, taken for the nearest to this snapshot.
  bool sees(TransactionId xid) const;
  bool lists(std::uint64_t xid) const;  // as in progress when it was taken
  std::uint64_t xmin() const { return xmin_; }
  std::uint64_t xmax() const { return xmax_; }
  const std::vector<std::uint64_t>& running() const { return running_; }  // sorted
  const std::string& text() const { return text_; }

  friend bool operator==(const Visibility&, const Visibility&) = default;

 private:
  std::string text_;
  std::uint64_t xmin_ = 0;
  std::uint64_t xmax_ = 0;
  std::vector<std::uint64_t> running_;  // sorted
};

// Numbers of transactions, in the order of commits, 32 bits each, made whole.
class XidUnwinder {
 public:
  // A number relative to the first one; whole() makes it absolute once the last is known.
  std::int64_t follow(TransactionId xid);
  std::uint64_t whole(std::int64_t relative, const Visibility& snapshot) const;

 private:
  bool any_ = false;
  std::uint32_t last_xid_ = 0;
  std::int64_t last_ = 0;
};

}  // namespace pg
