// What Postgres really committed, in commit order, from a second slot that has nothing to do with
// walferry: the server's own test_decoding prints every change as text, and this reads it.
//
//   BEGIN 731
//   table public.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 v[text]:'it''s'
//   table public.a, public.b: TRUNCATE: cascade
//   COMMIT 731                                       (its LSN is the end of the commit record)
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/servers/postgres.h"

namespace servers {

struct TrueColumn {
  enum class Kind { text, null, unchanged };
  std::string name;
  std::string type;
  Kind kind = Kind::text;
  std::string text;  // as Postgres prints it, without quotes
};

struct TrueChange {
  std::string schema;
  std::string table;
  std::string op;                   // insert, update, delete, truncate
  std::vector<TrueColumn> old_row;  // of an update whose key changed or under FULL, and of a delete
  std::vector<TrueColumn> new_row;
};

struct TrueTransaction {
  std::uint32_t xid = 0;
  std::uint64_t end_lsn = 0;
  std::vector<TrueChange> changes;  // one a table for a truncate
};

using Keys = std::map<std::string, std::vector<std::string>>;

class Oracle {
 public:
  // Sees what commits after this.
  explicit Oracle(PostgresCluster& postgres, std::string slot = "oracle");

  // All transactions committed so far that changed something, consumed from the slot and added to
  // those of the calls before.
  const std::vector<TrueTransaction>& read();
  std::size_t changes() const;  // of what has been read
  // The columns of a table's key in records, by "schema.table" and sorted: its replica identity's,
  // under FULL its primary key's. None known where that has changed while the oracle watched.
  Keys keys() const;

 private:
  void look_at_keys(PgSession& session);

  PostgresCluster& postgres_;
  std::string slot_;
  std::vector<TrueTransaction> transactions_;
  Keys keys_;
  std::set<std::string> changed_keys_;
};

// One line of test_decoding; several changes for a truncate of several tables. Throws when unread
// text remains.
std::vector<TrueChange> parse_true_changes(std::string_view line);

}  // namespace servers
