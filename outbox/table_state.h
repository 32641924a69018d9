// What a table was at its last round, in one checked file: each row's key and the hash of its text,
// in the keys' order, and the text itself where it is needed again (before images, tables without a
// key).
//
//   state   head row-block… index
//   index   for each block: where it is, where its range begins, its rows, the sum of their hashes
//
// A block is a range of keys: from its own beginning up to the next block's; the first one begins
// before all keys. The sums are what the server computes of the same rows (DiffTable::sums_query),
// so a range that nobody changed is known by its sum, and is not read. Only the index is in memory,
// and blocks grow with the table, so it stays small.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outbox/checked_file.h"
#include "outbox/row_hash.h"

namespace outbox {

struct StateRow {  // borrows
  std::string_view key;
  RowHash hash;
  std::string_view text;    // a line of COPY's text format; empty where states keep no text
  std::uint64_t count = 1;  // of equal rows; without a key there may be some
};

struct StateBlock {
  std::uint64_t offset = 0;
  std::string begin;  // of its range
  std::uint64_t rows = 0;
  HashSum sum = 0;
};

// Blocks [from, to).
struct BlockRange {
  std::size_t from = 0, to = 0;
  friend bool operator==(const BlockRange&, const BlockRange&) = default;
};

class StateWriter {
 public:
  StateWriter(const std::string& path, std::string_view head, std::uint64_t rows_per_block);

  // The next row, and what the server's hash of it is.
  void add(const StateRow& row, std::int64_t server_hash);
  // What comes next is a block of its own, whose range begins here.
  void begin_range(std::string_view begin);
  // A block that is as it was.
  void copy(const StateBlock& block, std::string_view bytes);
  std::uint64_t rows() const { return rows_; }
  void commit();

 private:
  void flush();

  CheckedWriter file_;
  std::uint64_t rows_per_block_;
  std::string bytes_;
  StateBlock block_;
  bool has_begin_ = false;
  std::vector<StateBlock> index_;
  std::uint64_t rows_ = 0;
};

class StateReader {
 public:
  explicit StateReader(const std::string& path);

  const std::string& head() const { return head_; }
  const std::vector<StateBlock>& blocks() const { return index_; }
  std::uint64_t rows() const { return rows_; }
  void verify() { file_.verify(); }

  // The bytes of a block, checked; valid until the next call of anything.
  std::string_view bytes(std::size_t block);

  // The rows of blocks [from, to), one after the other.
  void begin(std::size_t from, std::size_t to);
  // False at the end. Else row() is valid until the next call.
  bool next();
  const StateRow& row() const { return row_; }

 private:
  CheckedReader file_;
  std::string head_;
  std::vector<StateBlock> index_;
  std::uint64_t rows_ = 0;
  std::size_t block_ = 0, end_ = 0;
  std::string_view rest_;
  StateRow row_;
};

}  // namespace outbox
