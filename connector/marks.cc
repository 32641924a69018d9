#include "connector/marks.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/stop.h"
#include "connector/terminal.h"

namespace connector {
namespace {

constexpr std::size_t longest_slot_name = 63;
constexpr std::string_view infix = "_mark_";
constexpr std::uint64_t mebibyte = 1ULL << 20;
// What is forgotten shows by then, and a disk still has room.
constexpr std::uint64_t much = 4096 * mebibyte;

}  // namespace

std::string slot_of_mark(const std::string& slot, const std::string& name) {
  std::string full = fmt::format("{}{}{}", slot, infix, name);
  if (full.size() > longest_slot_name) {
    throw Stop(
        Exit::usage,
        fmt::format("the mark's slot would be \"{}\", {} bytes: a slot's name has at most {}", full,
                    full.size(), longest_slot_name),
        fmt::format("choose a name of at most {} characters",
                    longest_slot_name - std::min(longest_slot_name, slot.size() + infix.size())));
  }
  return full;
}

std::vector<Mark> marks_of(pqxx::connection& sql, const std::string& slot) {
  const std::string prefix = slot + std::string(infix);
  std::vector<Mark> marks;
  for (auto& [full, info] : pg::slots_beginning(sql, prefix)) {
    const std::string name = full.substr(prefix.size());
    // With another infix in the name it is a mark of the slot "{slot}_mark_…".
    const bool of_another = fmt::format("_{}_", name).find(infix) != std::string::npos;
    if (name.empty() || of_another || info.plugin != "pgoutput" || info.temporary ||
        info.database != sql.dbname()) {
      continue;
    }
    marks.push_back({.name = name, .slot = full, .info = info});
  }
  return marks;
}

std::vector<ReplayPoint> replay_points(const std::string& slot,
                                       const std::optional<pg::SlotInfo>& info,
                                       const std::vector<Mark>& marks) {
  std::vector<ReplayPoint> points;
  if (info && info->plugin == "pgoutput" && info->wal_status != "lost" && info->confirmed) {
    points.push_back({slot, *info->confirmed});
  }
  for (const Mark& mark : marks) {
    if (mark.usable()) points.push_back({mark.slot, *mark.info.confirmed});
  }
  return points;
}

std::optional<ReplayPoint> nearest_before(const std::vector<ReplayPoint>& points, pg::Lsn lsn) {
  std::optional<ReplayPoint> nearest;
  for (const ReplayPoint& point : points) {
    if (point.confirmed > lsn) continue;
    if (!nearest || point.confirmed > nearest->confirmed) nearest = point;
  }
  return nearest;
}

std::optional<pg::Lsn> oldest(const std::vector<ReplayPoint>& points) {
  const auto found = std::min_element(
      points.begin(), points.end(),
      [](const ReplayPoint& a, const ReplayPoint& b) { return a.confirmed < b.confirmed; });
  return found == points.end() ? std::nullopt : std::optional(found->confirmed);
}

void require_free_slot(const pg::ServerInfo& server) {
  if (server.free_slots > 0) return;
  throw Stop(Exit::precondition, "no replication slot is free: max_replication_slots are in use",
             "drop a mark (walferry mark --list) or a slot that nobody uses, or ALTER SYSTEM SET "
             "max_replication_slots = …; then restart PostgreSQL");
}

Findings mark_findings(const std::vector<Mark>& marks, std::int64_t max_slot_wal_keep_mb) {
  Findings findings;
  const std::uint64_t limit =
      max_slot_wal_keep_mb > 0
          ? std::min(much, static_cast<std::uint64_t>(max_slot_wal_keep_mb) * mebibyte / 2)
          : much;
  for (const Mark& mark : marks) {
    const std::string name = "mark " + mark.name;
    const std::string drop = "walferry mark --drop " + mark.name;
    const std::string holds = human_bytes(mark.info.retained_bytes);
    if (!mark.usable()) {
      findings.push_back(
          {Verdict::warn, name,
           fmt::format("mark {} was invalidated: the WAL that it held is gone", mark.name), drop});
    } else if (mark.info.wal_status == "unreserved") {
      findings.push_back(
          {Verdict::warn, name,
           fmt::format("mark {} holds {} of WAL, more than max_slot_wal_keep_size allows: it is "
                       "about to be lost",
                       mark.name, holds),
           "use it now, or raise max_slot_wal_keep_size"});
    } else if (mark.info.retained_bytes > limit) {
      findings.push_back(
          {Verdict::warn, name,
           fmt::format("mark {} holds {} of WAL on the server's disk", mark.name, holds),
           drop + "  (when it is not needed any more)"});
    } else {
      findings.push_back(
          {Verdict::ok, name,
           fmt::format("at {}, holds {} of WAL", to_string(*mark.info.confirmed), holds), ""});
    }
  }
  return findings;
}

}  // namespace connector
