// A record of the stream, in any format, read back to what it says of a row. The reverse of
// connector/record.h and connector/debezium_record.h, for whoever folds the stream.
//
//   message ─▶ MessageLines (parts joined, packs taken apart) ─▶ parse_change()
//
// One thread. Borrows: what a StoredChange points into is the text that it was read from.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pg/types.h"
#include "publisher/consumer.h"

namespace connector {

enum class ChangeFormat : unsigned char { json, debezium };  // a CloudEvent's body is `json`

struct StoredChange {
  enum class Kind : unsigned char { insert, update, remove, truncate, snapshot };
  Kind kind = Kind::insert;
  ChangeFormat format = ChangeFormat::json;
  std::string schema;
  std::string table;
  // Objects and arrays as they are written; empty: null, or not there.
  std::string_view key;
  std::string_view before;
  std::string_view after;
  std::string_view unchanged;
  std::string_view omitted;
  pg::Lsn commit_lsn;  // of a snapshot: its high mark
  pg::TransactionId xid;
};

// Nothing when the text is no record of a row's change.
std::optional<StoredChange> parse_change(std::string_view record);

// Messages to records. A part whose beginning is not there (it has expired) is left out.
class MessageLines {
 public:
  void take(publisher::Delivery& message, const std::function<void(std::string_view)>& line);

 private:
  std::string joined_;  // the parts so far
  std::string next_part_ = "1";
};

}  // namespace connector
