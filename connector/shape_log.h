// Which shapes of which tables have been announced, and where: so that each is announced once, in
// front of its first row, however often WAL is read again.
//
// An entry is kept before the schema record that it stands for can be stored. So whatever schema
// record the stream holds has its entry, and what is read again yields a schema record exactly
// where an entry says so:
//
//   row at an entry's position            its schema record is yielded (again)
//   row before a table's last entry       none: it is older WAL
//   row behind it, of the same shape      none
//   row behind it, of another shape       a new entry, and its schema record
//
// Entries behind the stream's tail stand for nothing that is stored: they are dropped at a resync,
// and made again at the same place. No I/O; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "connector/message_position.h"
#include "pg/change.h"

namespace connector {

class ShapeLog {
 public:
  struct Entry {
    pg::Position position;
    std::uint64_t shape = 0;
    // Under REPLICA IDENTITY FULL the table's primary key of then, which WAL does not tell.
    std::vector<std::string> key = {};
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  using Entries = std::vector<Entry>;  // of one table, in the order of WAL

  enum class Row {
    announced,   // no schema record here, nor before any later row of this shape in this session
    not_here,    // none here; the next row must be asked about again
    first,       // its schema record stands here
    unannounced  // add() must be called, and the log be kept, before its schema record goes out
  };
  // What a row of `table` at `position` is. Stable: the reference in of() stays valid.
  static Row ask(const Entries& entries, pg::Position position, std::uint64_t shape);

  // The one that rows at `position` are announced by; nullptr: none.
  static const Entry* in_force(const Entries& entries, pg::Position position);

  Entries& of(const std::string& table) { return tables_[table]; }
  // Forgets what lies before `oldest`, from where WAL can still be read, but for the last of it.
  static void add(Entries& entries, Entry entry, pg::Lsn oldest);
  // Whether an entry of any table stands at this place.
  bool has(pg::Position position) const;
  // Forgets what the stream does not hold.
  void drop_after(const MessagePosition& tail);

  std::string to_json() const;
  // Throws Stop(position_lost) when the text is not what to_json writes.
  static ShapeLog parse(std::string_view json);

  friend bool operator==(const ShapeLog&, const ShapeLog&) = default;

 private:
  std::map<std::string, Entries> tables_;  // by "schema"."table"
};

// The same for two relations exactly when their schema records say the same of columns and
// identity: what the Relation message has, and nothing that a catalog could say differently later.
std::uint64_t shape_of(const pg::Relation& relation);

}  // namespace connector
