// Points from which WAL can be read again: the daemon's slot, and its marks, which are copies of
// that slot as it stood when they were made, under the name "{slot}_mark_{name}". Nobody reads a
// mark, so it stays where it is and holds its WAL until it is dropped.
#pragma once

#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "pg/catalog.h"

namespace connector {

struct Mark {
  std::string name;
  std::string slot;
  pg::SlotInfo info;
  bool usable() const { return info.wal_status != "lost" && info.confirmed.has_value(); }
};

// "{slot}_mark_{name}". Throws Stop(usage) where that is too long for a slot's name.
std::string slot_of_mark(const std::string& slot, const std::string& name);

// By name. Slots that only look like marks (another database's, another plugin's) are left out.
std::vector<Mark> marks_of(pqxx::connection& sql, const std::string& slot);

// Where WAL can be read from on.
struct ReplayPoint {
  std::string slot;
  pg::Lsn confirmed;
};
std::vector<ReplayPoint> replay_points(const std::string& slot,
                                       const std::optional<pg::SlotInfo>& info,
                                       const std::vector<Mark>& marks);
// The one that is nearest before `lsn`, or at it; nothing when all lie behind.
std::optional<ReplayPoint> nearest_before(const std::vector<ReplayPoint>& points, pg::Lsn lsn);
std::optional<pg::Lsn> oldest(const std::vector<ReplayPoint>& points);

// Throws Stop(precondition) where the server has no room for one slot more.
void require_free_slot(const pg::ServerInfo& server);

// What the marks hold, and a warning for each that holds much or has lost its WAL.
Findings mark_findings(const std::vector<Mark>& marks, std::int64_t max_slot_wal_keep_mb);

}  // namespace connector
