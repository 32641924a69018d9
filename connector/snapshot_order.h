// What `walferry snapshot` asks of the daemon: a logical message in the database, which the daemon
// meets in its slot.
//
//   verb ─▶ pg_logical_emit_message ─▶ WAL ─▶ slot ─▶ daemon ─▶ SnapshotProgress (saved) ─▶ verb
//
// WAL keeps it while no daemon runs, and gives it to whichever walferry reads the slot next. But
// every role of a database may write logical messages, while the daemon reads tables with its own
// rights and an order may bring an expression of SQL along. So an order is signed (HMAC-SHA-256),
// with a secret that is kept where the progress is: who may read that bucket may give orders.
//
// No I/O but for random bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace connector {

struct SnapshotOrder {
  enum class Action { snapshot, pause, resume, cancel };
  Action action = Action::snapshot;
  std::string slot;
  std::string id;
  std::vector<std::pair<std::string, std::string>> tables;  // {schema, table}; empty: all
  std::string where;                                        // empty: all rows

  friend bool operator==(const SnapshotOrder&, const SnapshotOrder&) = default;
};

const char* name_of(SnapshotOrder::Action action);
std::optional<SnapshotOrder::Action> parse_action(std::string_view name);

// The message's content.
std::string signed_order(const SnapshotOrder& order, const std::string& secret);

// Whether a message's content says that it is for that slot. It may lie.
bool is_order_for(std::string_view content, std::string_view slot);
// Nothing: it was not signed with `secret`, or is no order.
std::optional<SnapshotOrder> parse_order(std::string_view content, const std::string& secret);

// That many random bytes, as hexadecimal digits. Throws std::runtime_error.
std::string random_hex(std::size_t bytes);

}  // namespace connector
