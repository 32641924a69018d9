// The command line: what was asked, validated, nothing done yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "connector/snapshot_order.h"
#include "pg/types.h"

namespace connector {

struct RunCommand {
  bool adopt = false;
  bool accept_gap = false;
  std::optional<pg::Lsn> until_lsn;
  bool until_current = false;
  bool once = false;                // without a slot: what there is now
  std::optional<pg::Lsn> from_lsn;  // where a virgin stream begins
};
struct CheckCommand {
  bool json = false;
};
struct StatusCommand {
  bool json = false;
  bool watch = false;
};
struct TailCommand {
  std::string subject;  // a NATS filter, or a table's name; empty: all of the stream
  bool json = false;
  bool diff = false;
  std::optional<pg::Lsn> from_lsn;
  std::optional<std::uint64_t> last;
};
struct SeekCommand {
  std::variant<pg::Lsn, pg::Timestamp> target;
  bool json = false;
};
struct MarkCommand {
  enum class Action { add, drop, list };
  Action action = Action::list;
  std::string name;  // of the mark; none for a list
  bool json = false;
};
struct ReplayCommand {
  pg::Lsn from;
  std::optional<pg::Lsn> to;   // nothing: the server's WAL position when it begins
  std::string stream;          // empty: {name}_REPLAY
  std::string subject_prefix;  // empty: replay.{prefix}
};
struct VerifyCommand {
  std::vector<std::string> tables;  // schema.table; empty: all
  bool partial = false;
  bool json = false;
};
struct SnapshotCommand {
  SnapshotOrder::Action action = SnapshotOrder::Action::snapshot;
  std::vector<std::string> tables;  // schema.table; empty: all, but never of `snapshot`
  std::string where;
  bool wait = true;  // until it is over
};
struct TeardownCommand {
  bool yes = false;
};
struct VersionCommand {};

struct Invocation {
  std::string config_file;
  std::variant<RunCommand, CheckCommand, StatusCommand, TailCommand, SeekCommand, MarkCommand,
               ReplayCommand, SnapshotCommand, VerifyCommand, TeardownCommand, VersionCommand>
      command;
};

// Help and version print to standard output and give 0; usage errors print to standard error and
// give 2. Otherwise the invocation.
std::variant<int, Invocation> parse_command_line(int argc, const char* const* argv);

}  // namespace connector
