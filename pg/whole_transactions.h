// Makes whole transactions, in commit order, of what a slot sends: behind this, protocol 2 with
// streaming looks like protocol 1, byte for byte.
//
//   slot ──▶ B I C ───────────────────────────────▶ passes at once
//        ──▶ S R I E … ──▶ StreamSpool
//        ──▶ c ──────────▶ B, what was spooled, C   one message a call, nothing else in between
//
// So ids, ordinals and records do not depend on `streaming`, and neither do backpressure,
// --until-lsn and the drain: whoever stops calling next() stops all of it. A transaction in
// progress does not hold back the confirmed position: the slot's restart_lsn lies before its first
// change as long as it is open, and when it commits behind the confirmed position it is sent again
// from its start.
//
// Relation messages in a stream belong to its transaction: pgoutput sends them again to each, and
// after every abort, so that those of an aborted sub-transaction (which may show an ALTER TABLE
// that was taken back) are dropped with it. Once the transaction has committed, pgoutput counts
// them as known to all; where a newer one of the same relation has come meanwhile, it comes again
// before Commit, so that the newest is in force for those that follow.
//
// One thread. Throws SpillError, ProtocolError, and what the stream throws.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "pg/replication.h"
#include "pg/stream_spool.h"
#include "pg/streaming.h"

namespace pg {

class WholeTransactions {
 public:
  // Nothing: the slot was started without streaming.
  explicit WholeTransactions(std::optional<SpoolSettings> spool);

  // As ReplicationStream::next(). SetAside is an arrival that will come again at its commit, if
  // any.
  Arrival next(ReplicationStream& slot);

  // The two halves of next(). receive() must not be called while replaying.
  bool replaying() const { return replay_.has_value(); }
  Arrival receive(const Arrival& arrival);
  Arrival replay();

 private:
  struct Described {
    std::uint64_t arrival = 0;
    std::string message;
  };
  struct Replay {
    SpoolReader spooled;
    StreamCommit end;
    std::string message;               // Begin or Commit
    std::set<std::uint32_t> outdated;  // relations whose newest description is not in force
  };
  Arrival on(const StreamStart& start, Lsn lsn);
  Arrival on(const StreamStop& stop, Lsn lsn);
  Arrival on(const StreamAbort& abort, Lsn lsn);
  Arrival on(const StreamCommit& commit, Lsn lsn);
  void replayed(const SpooledMessage& message);

  std::optional<StreamSpool> spool_;
  std::optional<Replay> replay_;
  std::string last_message_;  // what replay_ held when it ended
  std::uint64_t arrivals_ = 0;
  std::unordered_map<std::uint32_t, Described> newest_;  // by relation, of what is known to all
};

}  // namespace pg
