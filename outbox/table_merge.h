// The rows of a table now against its state of the round before, both in the keys' order: what was
// inserted, updated and deleted, and the state that comes of it.
//
//   state ─▶ ┐
//            ├─▶ same key? ─▶ same text? ─▶ changes, next state
//   rows  ─▶ ┘
//
// Memory is one row of each. Without a key, the key is the server's hash of the row, and rows that
// have one are compared by their text and counted: a multiset.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include "outbox/table_state.h"

namespace outbox {

// Borrows; valid within the call.
struct RowChange {
  enum class Kind { insert, update, remove };
  Kind kind = Kind::insert;
  std::string_view key;
  std::string_view old_text;  // a line of COPY's; empty where the state keeps none
  std::string_view text;      // the same; empty for a removal
};

// Two rows have one key.
class AmbiguousKey : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A row as it was read.
struct NewRow {
  std::string_view key;
  std::string_view text;
  std::int64_t server_hash = 0;
};

class TableMerge {
 public:
  struct Settings {
    Seeds seeds;
    bool keyed = true;
    bool keep_text = false;  // in the next state
    // The columns are others by name or type: a row's record is another one, though its text is the
    // same.
    bool all_differ = false;
  };
  using Emit = std::function<void(const RowChange&)>;

  // `state`: nullptr for none; its begin() has been called.
  TableMerge(Settings settings, StateReader* state, StateWriter& next, Emit emit);

  // In ascending order of the keys. Throws AmbiguousKey.
  void row(const NewRow& row);
  // After the last row: what the state has behind it is gone.
  void finish();

 private:
  bool has_old() const { return has_old_; }
  void advance() { has_old_ = state_ != nullptr && state_->next(); }
  void remove_old(std::uint64_t count);
  void keyed(const NewRow& row);
  void end_group();
  void store(std::string_view key, std::string_view text, RowHash hash, std::int64_t server_hash,
             std::uint64_t count);

  Settings settings_;
  StateReader* state_;
  StateWriter& next_;
  Emit emit_;
  bool has_old_ = false;
  std::string last_key_;
  bool any_ = false;
  // Without a key: the rows of last_key_.
  std::map<std::string, std::uint64_t, std::less<>> group_;
  std::int64_t group_hash_ = 0;
};

}  // namespace outbox
