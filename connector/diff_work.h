// What a snapshot-diff keeps in its saved position: which of its rounds are in the stream, and what
// `status` shows of each table. The states themselves are in diff.state_dir.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "connector/diff_store.h"
#include "pg/types.h"
#include "publisher/types.h"

namespace connector {

struct DiffWork {
  struct Round {
    pg::Lsn lsn;
    publisher::StreamSequence base;                // the message before its first one
    std::optional<publisher::StreamSequence> end;  // its last one; nothing: not all is acknowledged
    std::int64_t acked_at = 0;                     // milliseconds since 1970
  };
  struct Table {
    pg::Lsn lsn;         // of its last round
    std::string at;      // when that began
    double seconds = 0;  // it took, to the acks
    std::uint64_t rows = 0;
    std::uint64_t inserts = 0, updates = 0, deletes = 0, snapshots = 0;  // published
    std::string read;  // "nothing", "ranges", "all": what was sent of the table
  };

  // Nothing of what was published is known to be so any more: every table begins again. No round
  // may have a place at or before the newest one that was lost.
  bool restart = false;
  pg::Lsn newest_lost;
  // Of these tables the stream has told, and there is no state of them that it led to: they are
  // captured no more, or their records were withheld. Each begins again when it is next read.
  std::set<std::string> again;
  // The stream may have told of other tables too: each that has no state begins again.
  bool others = false;
  // Those whose files are kept, oldest first. The newest is what the states are of.
  std::vector<Round> rounds;
  std::map<std::string, Table> tables;  // by "schema"."table"

  // No state is known any more. `manifest`: the newest, where there is one.
  void lose_all(const DiffManifest* manifest);
  // Of tables that are none of `names` it is remembered that the stream has told of them; they are
  // no longer told apart where they are many. Whether there is anything new.
  bool leave_out(const std::set<std::string>& names, const DiffManifest* manifest);
  // Those that begin again in this round have done so.
  void take_begun(const DiffManifest& round);
  void forget(std::size_t oldest_rounds);

  static std::int64_t now_ms();
  static constexpr const char* begin_again =
      "`run --accept-gap` begins again: every table with every row as a snapshot";

  static DiffWork parse(const nlohmann::ordered_json& work);  // of null: empty
  nlohmann::ordered_json to_json() const;
};

}  // namespace connector
