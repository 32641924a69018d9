// How far the snapshots of tables are, kept in the key-value bucket `walferry` under
// `{stream}.{slot}.snapshots`.
//
// A table without an entry has not been begun. An entry is written only when everything that it
// speaks of is acknowledged, and names the stream's sequence that it rests on. JetStream can lose
// what it has acknowledged: then a stream that ends before that sequence takes the entry back to
// an older step of its own, or to the beginning. So some steps are kept, close together where they
// are new and far apart where they are old.
//
// No I/O; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/snapshot_table.h"
#include "pg/types.h"
#include "pg/visibility.h"
#include "publisher/types.h"

namespace connector {

struct SnapshotStep {
  publisher::StreamSequence rests_on;
  std::uint64_t rows = 0;        // published so far
  std::optional<pg::Key> after;  // rows up to this key are; nothing: none, or not by key
  friend bool operator==(const SnapshotStep&, const SnapshotStep&) = default;
};

struct TableSnapshot {
  enum class State { running, complete };
  State state = State::running;
  // Of which table and key the steps are; with another one they mean nothing.
  std::string key_of = {};
  std::vector<SnapshotStep> steps;  // the newest last; empty: begun, and nothing is published

  // Of a table that was read whole, under one snapshot, at `mark`: transactions that commit in
  // [mark, wal_end] and that it sees are in its rows already.
  struct Whole {
    pg::Lsn mark;
    pg::Lsn wal_end;
    pg::Visibility sees;
    friend bool operator==(const Whole&, const Whole&) = default;
  };
  std::optional<Whole> whole;

  std::uint64_t rows() const { return steps.empty() ? 0 : steps.back().rows; }
  void add(SnapshotStep step);
  friend bool operator==(const TableSnapshot&, const TableSnapshot&) = default;
};

class SnapshotProgress {
 public:
  // By "schema"."table".
  std::map<std::string, TableSnapshot>& tables() { return tables_; }
  const std::map<std::string, TableSnapshot>& tables() const { return tables_; }
  bool complete(const std::string& table) const;

  // The stream ends at `last`, and another one than `created` has nothing of this. True when
  // something was taken back.
  bool take_back(const std::string& created, publisher::StreamSequence last);
  // Whether a snapshot row may stand behind `sequence`.
  bool may_have_rows_behind(publisher::StreamSequence sequence) const;
  // Whether the transaction's changes of this table are in its snapshot.
  bool contains(const std::string& table, pg::Lsn commit, pg::TransactionId xid) const;
  bool contains_any() const { return any_whole_; }

  std::string to_json() const;
  // Throws Stop(position_lost) when the text is not what to_json writes.
  static SnapshotProgress parse(std::string_view json);

  std::string stream_created;
  // Must be called when a `whole` was set.
  void whole_changed();

 private:
  std::map<std::string, TableSnapshot> tables_;
  bool any_whole_ = false;
};

}  // namespace connector
