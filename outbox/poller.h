// The SQL of an outbox that is polled: what is new, the rows of a batch, their removal.
//
// Ids are taken before commit, so "id > last" loses rows; an order by transaction id is not the
// order of commits either. So a batch lies between two snapshots of the database: what the later
// one sees and the earlier one does not.
//
//   previous ──────────────────┐ sees        xid 7 ✓  8 ✓  9 running  10 ✓
//   current  ────────────────────────────┐   xid 7 ✓  8 ✓  9 ✓        10 ✓  11 running  12 ✓
//   the batch: rows of 9 and 12                        ▲                               ▲
//
// Whatever has committed before `current` and not before `previous` is in exactly one batch,
// however long its transaction took and whatever else is open. Two snapshots say which rows that is
// for all time: the same batch can be read again, as long as its rows are there.
//
// A snapshot is trimmed to the transactions that have rows here: it ends behind the highest that
// was seen. Nothing changes by that (beyond it there are no rows yet), but a standby that is
// promoted may give numbers beyond that to other transactions, and those rows must not count as
// seen.
//
// Every row carries its transaction's number in a column `xid xid8 DEFAULT pg_current_xact_id()`,
// with an index, so that a look costs what is new, not what is there. (While a transaction stays
// open anywhere in the cluster, also what committed since it began.)
//
// One thread. Every function throws pg::Error.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg/change.h"
#include "pg/sql_session.h"
#include "pg/visibility.h"

namespace outbox {

struct PolledColumn {
  std::string name;
  pg::TypeId type;
  bool is_bytea = false;  // or a domain over it
};

struct PolledTable {
  std::string schema;
  std::string name;
  std::string id;                     // its column; unique, never NULL
  std::vector<PolledColumn> columns;  // that are read
  std::optional<std::size_t> typed;   // of those: the one whose type matters
  // What tells a row from another one to which a server that was put back has given its number: the
  // id, the transaction, and created_at where there is such a column.
  std::vector<PolledColumn> identity;
};

// The rows of transactions that `upto` sees and `after` does not. Texts of snapshots; an empty
// `after` sees nothing.
struct Range {
  std::string after;
  std::string upto;
};

class Poller {
 public:
  static Poller open(const std::string& dsn);
  // See SqlSession.
  void when_idle(std::function<void()> idle) { session_.when_idle(std::move(idle)); }

  // Whether the session that holds the advisory lock is one of this server.
  bool same_server(int pid, std::int64_t key);

  // What this statement sees, the highest new transaction, and a place in WAL behind the commits of
  // all that it sees. The tables' `after` are in their order; nothing new: no `highest`.
  struct Look {
    pg::Visibility now;
    std::optional<std::uint64_t> highest;
    std::string wal_end;
  };
  Look look(const std::vector<PolledTable>& tables, const std::vector<std::string>& after);

  // Until WAL is on the server's disk up to there. What was committed with synchronous_commit = off
  // is seen before it is: a crash would take it back, and give its transaction's number to another.
  void make_durable(const std::string& wal_end);

  // All columns of the table, with their types.
  std::vector<PolledColumn> columns(const PolledTable& table);

  // Rows of table.columns in the order of ids, behind `after_id` when there is one. Then next()
  // until it gives nothing; a row borrows until the next call. That the typed column has no longer
  // its type is an error, which a new session does not meet.
  void begin(const PolledTable& table, const Range& range,
             const std::optional<std::string>& after_id, std::uint64_t most);
  std::optional<pg::Row> next();

  // Rows with ids behind `after_id`, or up to `upto_id`; `most`: no need to count further.
  std::uint64_t count(const PolledTable& table, const Range& range,
                      const std::optional<std::string>& after_id,
                      const std::optional<std::string>& upto_id = {}, std::uint64_t most = 0);
  // Rows that `seen` does not see, and this statement does.
  std::uint64_t count_behind(const PolledTable& table, const std::string& seen, std::uint64_t most);
  // Of the row with that number behind `after_id`, 1-based; nothing when there are fewer.
  std::optional<std::string> id_at(const PolledTable& table, const Range& range,
                                   const std::optional<std::string>& after_id,
                                   std::uint64_t number);
  // Whether a row of that transaction is there.
  bool has(const PolledTable& table, std::uint64_t xid);

  // For as long as the session lives: who deletes is alone, others share the table. False: somebody
  // else is in the way.
  bool claim(const PolledTable& table, bool alone);

  // Deletes at most so many rows, in a transaction of its own.
  struct Removed {
    std::optional<std::uint64_t> rows;  // nothing: a lock is in the way, and was not waited for,
    std::string refused;                // or PostgreSQL said this
  };
  Removed remove(const PolledTable& table, const Range& range, std::uint64_t most);

 private:
  explicit Poller(pg::SqlSession session) : session_(std::move(session)) {}

  pg::SqlSession session_;
  std::size_t columns_ = 0;  // of the rows that are being read
  std::string type_;         // of the typed one; empty: there is none
  std::string unescaped_;
  std::vector<pg::Value> row_;
};

// `now` as it is trimmed: ends behind the highest transaction that has rows, or where `before`
// ends. Throws pg::ProtocolError when it would end beyond `now`.
std::string trimmed(const pg::Visibility& now, std::uint64_t highest,
                    const std::optional<pg::Visibility>& before);

}  // namespace outbox
