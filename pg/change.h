// What a transaction did, as pgoutput tells it: small values that borrow.
//
// Every string_view, Row and Relation pointer is valid until the decoder's next decode().
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pg/types.h"

namespace pg {

struct Column {
  std::string name;
  TypeId type;
  std::int32_t modifier = -1;
  bool key = false;  // part of the replica identity; under FULL, every column

  friend bool operator==(const Column&, const Column&) = default;
};

enum class ReplicaIdentity : char { primary = 'd', nothing = 'n', full = 'f', index = 'i' };

// The shape of a table at one place in WAL.
struct Relation {
  RelationId id;
  std::string schema;
  std::string name;
  ReplicaIdentity identity = ReplicaIdentity::primary;
  std::vector<Column> columns;
};

// The ways in which a column has or lacks bytes. None can be taken for another.
struct Null {};
struct Unchanged {};  // a TOAST value that the update left alone and Postgres did not send
struct Omitted {};    // left out by walferry, where the record would be too large; never decoded
using Value = std::variant<Null, Unchanged, std::string_view, Omitted>;
using Row = std::span<const Value>;  // one for each of the relation's columns

// What came of the old row: nothing, the identity's columns (the others are Null), or all of it.
enum class OldRow { none, key, full };

struct Begin {
  Lsn commit_lsn;
  Timestamp commit_time;
  TransactionId xid;
};
struct Commit {
  Lsn commit_lsn;
  Lsn end_lsn;
  Timestamp commit_time;
};
struct Insert {
  const Relation* relation = nullptr;
  Row row;
};
struct Update {
  const Relation* relation = nullptr;
  OldRow old_kind = OldRow::none;
  Row old;
  Row row;
};
struct Delete {
  const Relation* relation = nullptr;
  OldRow old_kind = OldRow::key;
  Row old;
};
struct Truncate {
  std::span<const Relation* const> relations;
  bool cascade = false;
  bool restart_identity = false;
};
// pg_logical_emit_message(). Outside a transaction, `lsn` (the end of its record) is its position.
struct Message {
  bool transactional = false;
  Lsn lsn;
  std::string_view prefix;
  std::string_view content;
};
struct RelationSeen {
  const Relation* relation = nullptr;
};
struct TypeSeen {
  TypeId type;
  std::string_view schema;
  std::string_view name;
};
struct Origin {
  Lsn origin_lsn;
  std::string_view name;
};

using Change = std::variant<Begin, Insert, Update, Delete, Truncate, Message, Commit, RelationSeen,
                            TypeSeen, Origin>;

}  // namespace pg
