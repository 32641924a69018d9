// When tables join the publication of a slot that is there already, or leave it, and what of the
// transactions that were open then belongs to the stream: what they wrote behind that place, and
// nothing before.
//
// Postgres itself cannot say. Whether the changes that such a transaction made to the table before
// ALTER PUBLICATION are sent depends on what the walsender's session has looked at before: one that
// decodes the transaction again after a restart may send other ones (seen on 15.18: three, then
// one). An ordinal counts what is sent; so without a rule of ours the ids of such a transaction
// would be no function of WAL. The rule: a change of the table that lies before the ALTER's commit,
// in a transaction that commits behind it, neither counts nor goes out. A snapshot of a table that
// joins waits for those who were writing, and so has these rows.
//
// The place is WAL's own: the transaction of the ALTER holds a logical message, and the place is
// where its commit is read from the slot. A message is believed when it brings the word that was
// kept, in the bucket `walferry`, before the ALTER began; another role could write any other.
//
//   will_alter()  word and tables are kept ─▶ BEGIN; ALTER …; the message; COMMIT ─▶ … ─▶ read from
//   the slot: altered() keeps the place, before anything behind it goes out
//
// A place is forgotten when no slot of walferry can read from before it any more. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pg/types.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"

namespace connector {

class JoinedTables {
 public:
  using Name = std::pair<std::string, std::string>;  // {schema, table}

  explicit JoinedTables(publisher::KeyValue key) : key_(std::move(key)) {}

  // Reads what is kept; `oldest`: from where WAL can still be read (0: not known). Throws
  // Stop(position_lost) when it cannot be read.
  void load(publisher::Connection& nats, pg::Lsn oldest);

  // Returns, when NATS keeps it, the word that the ALTER's message must bring. Empty: there are too
  // many tables to be kept, and there is to be no message.
  std::string will_alter(publisher::Connection& nats, const std::vector<Name>& tables);
  // The ALTER was not done.
  void gave_up(publisher::Connection& nats, const std::string& word);

  // A message that was read, and where its transaction committed. True when it is one of ours:
  // then places() have changed, and NATS keeps it (where `nats` is given).
  bool altered(std::string_view word, pg::Lsn commit, publisher::Connection* nats);

  bool none() const { return places_.empty(); }
  // In ascending order; mostly none: the table was always there.
  std::vector<pg::Lsn> places(const std::string& schema, const std::string& table) const;

 private:
  void save(publisher::Connection& nats);

  struct Pending {
    std::string word;
    std::vector<std::string> tables;
  };
  publisher::KeyValue key_;
  std::uint64_t revision_ = 0;
  std::vector<Pending> pending_;                        // the oldest first
  std::map<std::string, std::vector<pg::Lsn>> places_;  // by "schema"."table"
};

}  // namespace connector
