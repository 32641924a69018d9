// The command line: what was asked, validated, nothing done yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pg/types.h"

namespace connector {

struct RunCommand {
  bool adopt = false;
  bool accept_gap = false;
  std::optional<pg::Lsn> until_lsn;
  bool until_current = false;
};
struct CheckCommand {
  bool json = false;
};
struct StatusCommand {
  bool json = false;
  bool watch = false;
};
struct TailCommand {
  std::string subject;  // a NATS filter; empty: all of the stream
  bool json = false;
  std::optional<pg::Lsn> from_lsn;
  std::optional<std::uint64_t> last;
};
struct VerifyCommand {
  std::vector<std::string> tables;  // schema.table; empty: all
  bool partial = false;
  bool json = false;
};
struct TeardownCommand {
  bool yes = false;
};
struct VersionCommand {};

struct Invocation {
  std::string config_file;
  std::variant<RunCommand, CheckCommand, StatusCommand, TailCommand, VerifyCommand, TeardownCommand,
               VersionCommand>
      command;
};

// Help and version print to standard output and give 0; usage errors print to standard error and
// give 2. Otherwise the invocation.
std::variant<int, Invocation> parse_command_line(int argc, const char* const* argv);

}  // namespace connector
