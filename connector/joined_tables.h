// When tables joined the publication of a slot that existed already, and what of the transactions
// that were open then belongs to the stream: what they wrote behind that place, and nothing before.
//
// Postgres itself cannot say. Whether the changes that such a transaction made to the table before
// ALTER PUBLICATION are sent depends on what the walsender's session has looked at before: one that
// decodes the transaction again after a restart may send other ones (seen on 15.18: three, then
// one). An ordinal counts what is sent; so without a rule of ours the ids of such a transaction
// would be no function of WAL. The rule: a change of the table that lies before `joined`, in a
// transaction that commits behind it, neither counts nor goes out. A snapshot of the table waits
// for those who were writing, and so has these rows.
//
// Kept in the bucket `walferry`, in two steps around the ALTER, so that a crash between them leaves
// a place to be fixed at the next start, before anything is read:
//
//   will_join()   the table's name without a place     ─▶ ALTER PUBLICATION … ADD TABLE
//   have_joined() where WAL ends now
//
// A place is forgotten when no slot of walferry can read from before it any more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg/types.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"

namespace connector {

class JoinedTables {
 public:
  explicit JoinedTables(publisher::KeyValue key) : key_(std::move(key)) {}

  // Reads what is kept. `wal_end`: the place of those whose place was not kept any more; `oldest`:
  // from where WAL can still be read (0: not known). Throws Stop(position_lost) when it cannot be
  // read.
  void load(publisher::Connection& nats, pg::Lsn wal_end, pg::Lsn oldest);

  // Both return when NATS keeps it. {schema, table} each.
  void will_join(publisher::Connection& nats,
                 const std::vector<std::pair<std::string, std::string>>& tables);
  void have_joined(publisher::Connection& nats, pg::Lsn wal_end);

  bool none() const { return places_.empty(); }
  // Where the table joined; 0 where that is not kept: it was always there.
  pg::Lsn joined(const std::string& schema, const std::string& table) const;

 private:
  void save(publisher::Connection& nats);

  publisher::KeyValue key_;
  std::uint64_t revision_ = 0;
  std::map<std::string, std::optional<pg::Lsn>>
      places_;  // by "schema"."table"; nothing: on the way
};

}  // namespace connector
