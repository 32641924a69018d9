// The replication connection: the slot's bytes and the status updates, no decoding.
//
// Status updates say two things with two names: `received`, what has arrived here (it frees
// nothing), and `safe`, what Postgres may forget. Only ReplayWindow can make a SafeLsn, so that
// send_status(received, received) does not compile. A start position is never sent as flushed:
// until there is a SafeLsn the flushed field is 0/0, which the server ignores.
//
// One thread. Every function throws pg::Error when the server refuses or the connection is lost.
// Source: PostgreSQL's documentation, "Streaming Replication Protocol".
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "pg/ack_frontier.h"
#include "pg/handles.h"
#include "pg/types.h"

namespace pg {

struct SystemIdentity {
  std::string system_id;
  Timeline timeline;
  Lsn wal_flushed;
};

struct WalData {
  Lsn lsn;                   // of the change; not unique, not monotonic, no position
  std::string_view message;  // pgoutput's; borrowed until the next call of next()
};
struct Keepalive {
  Lsn wal_end;  // the server has sent everything before it
  bool reply_requested = false;
};
struct NothingYet {};
struct SetAside {  // a part of a transaction in progress: see WholeTransactions
  Lsn lsn;
};
using Arrival = std::variant<NothingYet, WalData, Keepalive, SetAside>;

class ReplicationStream {
 public:
  static ReplicationStream open(const std::string& dsn);

  SystemIdentity identify();

  // Where `timeline` ended on the way to the server's present one; nothing when it is not among
  // that one's ancestors. `timeline` must differ from the present one.
  std::optional<Lsn> fork_of(Timeline timeline, Timeline present);

  // Creates a permanent pgoutput slot and returns its consistent point.
  Lsn create_slot(const std::string& slot);

  // A temporary copy of a slot, at its confirmed position, which is returned: gone with this
  // connection, the only one that can read it. A session that reads `from` is not disturbed.
  Lsn copy_temporarily(const std::string& from, const std::string& to);

  // Begins to stream. The server jumps forward, silently, to the slot's confirmed position. The
  // options are the same in every run: what is received is a function of WAL alone. `streaming`
  // (protocol 2) sends parts of transactions early; WholeTransactions makes the same of it.
  void start(const std::string& slot, Lsn from, std::span<const std::string> publications,
             bool streaming);

  // What has arrived, without waiting.
  Arrival next();

  // Waits for nothing: what the socket does not take at once goes out with later calls of flush().
  void send_status(Lsn received, std::optional<SafeLsn> safe, bool request_reply);
  bool flush();  // true when nothing is left to send

  // Asks the server to end the stream and waits until it has: then the last status update has been
  // taken in. What still arrives is thrown away. Gives up silently at the deadline.
  void finish(std::chrono::steady_clock::time_point deadline) noexcept;

  int socket() const { return PQsocket(connection_.get()); }

 private:
  explicit ReplicationStream(PgConnection connection) : connection_(std::move(connection)) {}
  PgResult command(const std::string& sql, ExecStatusType expected);
  [[noreturn]] void fail(const std::string& doing, const PGresult* result) const;

  PgConnection connection_;
  CopyBuffer received_;
};

}  // namespace pg
