// The messages that pgoutput adds from protocol 2 on, when `streaming` is on: parts of transactions
// that are still in progress, between Stream Start and Stream Stop, and what became of them.
//
//   S(731, first) R I I … E    S(740, first) I … E    B I C    S(731) I U … E
//   A(731, 733): ROLLBACK TO SAVEPOINT took 733's changes back, no others
//   c(731): 731 has committed    A(740, 740): 740 is gone
//
// Within a block every message but Origin has the xid of its (sub-)transaction behind its tag; less
// that, it is a message of protocol 1.
//
// Source: PostgreSQL's documentation, "Logical Replication Message Formats". Every message is read
// to its last byte; anything else is a ProtocolError.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "pg/change.h"
#include "pg/types.h"

namespace pg {

struct StreamStart {
  TransactionId xid;  // of the whole, never of a sub-transaction
  bool first = false;
};
struct StreamStop {};
struct StreamCommit {
  TransactionId xid;
  Commit commit;
};
struct StreamAbort {
  TransactionId xid;
  TransactionId sub;  // equal to xid: all of it
};
using StreamMessage = std::variant<StreamStart, StreamStop, StreamCommit, StreamAbort>;

// Nothing for a message of another kind, also for an empty one: the decoder's business.
std::optional<StreamMessage> parse_stream_message(std::string_view message);

// A message from within a block, in two parts that borrow from it: protocol 1 has the one right
// behind the other.
struct InStream {
  TransactionId xid;
  std::string_view tag;  // one byte
  std::string_view rest;
};
InStream split_in_stream(std::string_view message, TransactionId top);

// The relation that a Relation message of protocol 1 describes; nothing for another message.
std::optional<RelationId> relation_described(std::string_view message);

// What protocol 1 sends around the changes of the transaction.
std::string begin_message(const StreamCommit& commit);
std::string commit_message(const StreamCommit& commit);

}  // namespace pg
