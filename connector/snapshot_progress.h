// How far the snapshots of tables are, kept in the key-value bucket `walferry` under
// `{stream}.{slot}.snapshots`: a table's first reading, by the table's name, and what was asked for
// since (see snapshot_order.h), by the order's id.
//
// An entry is written only when everything that it speaks of is acknowledged, and names the
// stream's sequence that it rests on. JetStream can lose what it has acknowledged: then a stream
// that ends before that sequence takes the entry back to an older step of its own, or to the
// beginning. So some steps are kept, close together where they are new and far apart where they are
// old; of tables that are complete those of the newest, since a stream loses its end.
//
// An order is taken by being written here, before the slot can forget it: once, because its id is
// kept until the slot has.
//
// No I/O; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connector/snapshot_order.h"
#include "pg/change.h"
#include "pg/snapshot_table.h"
#include "pg/types.h"
#include "pg/visibility.h"
#include "publisher/types.h"

namespace connector {

struct SnapshotStep {
  publisher::StreamSequence rests_on;
  std::uint64_t rows = 0;        // published so far
  std::optional<pg::Key> after;  // rows up to this key are; nothing: none, or not by key
  bool end = false;              // all are; what is left are the table's `moved`
  friend bool operator==(const SnapshotStep&, const SnapshotStep&) = default;
};

// One reading of a table.
struct TableSnapshot {
  enum class State { waiting, running, paused, cancelled, failed, complete };
  State state = State::running;
  // Of which table and key the steps are; with another one they mean nothing.
  std::string key_of = {};
  std::vector<std::string> key = {};  // its columns
  std::vector<SnapshotStep> steps;    // the newest last; empty: begun, and nothing is published
  // Keys that rows were given while it was read, by updates that do not tell all of the row: it may
  // have stood where nothing was read yet, and stands now where all is read.
  std::vector<pg::Key> moved = {};
  std::string note = {};  // why it failed; what came of an order
  // It was stopped, and what it had published since its last step may not be acknowledged yet.
  bool unsettled = false;
  std::uint64_t about = 0;  // rows that the planner expects; 0: not known
  std::uint64_t rate = 0;   // rows a second, of the last while that it was read

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
  bool wanted() const { return state == State::waiting || state == State::running; }
  bool ended() const { return !wanted() && state != State::paused; }
  void add(SnapshotStep step);
  // Nothing of it is read.
  void forget_all();
  // It is not read any more.
  void stop(State as, std::string why);
  // Of those rows that are expected, from 0 to 1; nothing: not known.
  std::optional<double> share() const;
  std::optional<double> seconds_left() const;
  friend bool operator==(const TableSnapshot&, const TableSnapshot&) = default;
};

const char* name_of(TableSnapshot::State state);

// What an order asks of one table.
struct SnapshotRequest {
  using Action = SnapshotOrder::Action;
  std::string id;  // the order's
  Action action = Action::snapshot;
  std::string schema = {}, table = {};  // empty: there was none that the order could mean
  std::string where = {};
  pg::Lsn asked_at;
  // The reading that it is one with: another request's id, or "" for the table's first.
  std::optional<std::string> joined = {};
  TableSnapshot reading = {};
  friend bool operator==(const SnapshotRequest&, const SnapshotRequest&) = default;
};

// Names one reading.
struct SnapshotJob {
  std::string request;  // its id; empty: the table's first
  std::string schema, table;
  std::string name() const;  // "schema"."table"
  friend bool operator==(const SnapshotJob&, const SnapshotJob&) = default;
};

class SnapshotProgress {
 public:
  // By "schema"."table".
  std::map<std::string, TableSnapshot>& tables() { return tables_; }
  const std::map<std::string, TableSnapshot>& tables() const { return tables_; }
  std::vector<SnapshotRequest>& requests() { return requests_; }
  const std::vector<SnapshotRequest>& requests() const { return requests_; }
  // nullptr: there is none.
  TableSnapshot* find(const SnapshotJob& job);
  // What is read for the request: its own, or what it is one with.
  const TableSnapshot& reading_of(const SnapshotRequest& request) const;

  // False: it was taken before.
  bool take(const SnapshotOrder& order, pg::Lsn at);
  // Forgets requests that are over, but for the last few. The slot has forgotten what came before
  // `confirmed`, and the stream keeps what stands at or before `kept`.
  void forget(pg::Lsn confirmed, publisher::StreamSequence kept);
  // Of readings that were stopped, all that was published stands at or before `at`. True when there
  // are any.
  bool settle(publisher::StreamSequence at);
  // Must be called when a reading's state has changed.
  void tell_joined();

  // An update of a row, before it is published. True when it is to be kept in mind, which must be
  // saved before it is published; a reading that cannot keep it has forgotten all.
  bool moves(const pg::Relation& relation, pg::Row row, pg::Row old);

  // The stream ends at `last`, and another one than `created` has nothing of this. True when
  // something was taken back.
  bool take_back(const std::string& created, publisher::StreamSequence last);
  // Whether a snapshot row may stand behind `sequence`.
  bool may_have_rows_behind(publisher::StreamSequence sequence) const;
  // Whether the transaction's changes of this table are in its snapshot.
  bool contains(const std::string& table, pg::Lsn commit, pg::TransactionId xid) const;
  // Whether they can be in any: of most commits no table's name need be looked up.
  bool contains_any(pg::Lsn commit) const { return commit.valid() && commit <= whole_to_; }
  // WAL before this is never read again: what snapshots contain of it need not be known. True when
  // something was dropped.
  bool drop_whole_before(pg::Lsn read_from);

  // Keeps to_json() well below what one message takes.
  void thin();
  std::string to_json() const;
  // Throws Stop(position_lost) when the text is not what to_json writes.
  static SnapshotProgress parse(std::string_view json);

  std::string stream_created;
  std::string secret;  // that orders are signed with; empty: none yet
  // Must be called when a `whole` was set.
  void whole_changed();

 private:
  void for_each(const std::function<void(TableSnapshot&)>& visit);
  void for_each(const std::function<void(const TableSnapshot&)>& visit) const;
  void ask(const SnapshotOrder& order, const std::string& schema, const std::string& table,
           pg::Lsn at);
  void control(const SnapshotOrder& order, pg::Lsn at);
  bool has_room_for(const SnapshotOrder& order) const;
  void tell_joined(bool again);

  std::map<std::string, TableSnapshot> tables_;
  std::vector<SnapshotRequest> requests_;  // in the order in which they came
  pg::Lsn whole_to_;                       // the furthest wal_end
};

}  // namespace connector
