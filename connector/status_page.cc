#include "connector/status_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connector/preconditions.h"
#include "connector/snapshot_words.h"
#include "connector/table_selection.h"

namespace connector {
namespace {

using Json = nlohmann::ordered_json;

std::string or_nothing(const std::optional<pg::Lsn>& lsn) {
  return lsn && lsn->valid() ? to_string(*lsn) : "none yet";
}

void add_slot(StatusPage& page, const StatusReport& report) {
  if (!report.slot) {
    page.heading("slot", fmt::format("{} does not exist", report.slot_name), page.palette().yellow);
    return;
  }
  const pg::SlotInfo& slot = *report.slot;
  page.heading(
      "slot", fmt::format("{}, wal_status {}", report.slot_name, slot.wal_status),
      slot.wal_status == "lost" || slot.wal_status == "unreserved" ? page.palette().red : "");
  std::string behind;
  if (report.wal_end.valid() && slot.confirmed) {
    behind = fmt::format(", {} behind the server", human_bytes(report.wal_end - *slot.confirmed));
    if (report.replay_window.count() > 0) {
      behind += fmt::format(" (replay_window keeps {})",
                            human_age(static_cast<double>(report.replay_window.count()) / 1000));
    }
  }
  page.line("confirmed", or_nothing(slot.confirmed) + behind);
  page.line("restart", fmt::format("{}, holds {} of WAL", or_nothing(slot.restart),
                                   human_bytes(slot.retained_bytes)));
  page.line("lost after", slot.safe_wal_bytes ? human_bytes(*slot.safe_wal_bytes) + " more WAL"
                                              : "never (max_slot_wal_keep_size is unlimited)");
}

void add_marks(StatusPage& page, const StatusReport& report) {
  for (const Mark& mark : report.marks) {
    const std::string place =
        fmt::format("{} at {}, holds {} of WAL", mark.name, or_nothing(mark.info.confirmed),
                    human_bytes(mark.info.retained_bytes));
    if (mark.usable()) {
      page.heading("mark", place, mark.info.wal_status == "unreserved" ? page.palette().red : "");
    } else {
      page.heading("mark", mark.name + " was invalidated: its WAL is gone", page.palette().red);
    }
  }
}

void add_postgres(StatusPage& page, const StatusReport& report) {
  if (!report.postgres_error.empty()) {
    page.heading("postgres", "cannot be asked: " + report.postgres_error, page.palette().red);
    return;
  }
  page.heading("postgres", fmt::format("{}, {}", report.version, report.server), "");
  page.line("WAL end",
            report.wal_end.valid() ? to_string(report.wal_end) : "unknown: a standby in recovery");
  if (report.slotless()) return;
  add_slot(page, report);
  add_marks(page, report);
}

void add_last(StatusPage& page, const StatusReport& report) {
  const LastRecord& last = *report.last;
  std::string text = last.position
                         ? fmt::format("{}:{}", to_string(last.position->commit_lsn()),
                                       last.position->change.ordinal)
                         : fmt::format("message {} is not walferry's", last.sequence.value);
  if (!last.commit_ts.empty()) text += ", committed " + to_the_second(last.commit_ts);
  if (last.age_seconds) text += fmt::format(", {} ago", human_age(*last.age_seconds));
  page.line("last record", text);
}

void add_saved(StatusPage& page, const StatusReport& report) {
  if (!report.saved_error.empty()) {
    page.heading("saved", report.saved_error, page.palette().red);
  } else if (!report.saved) {
    page.heading("saved", "no position", page.palette().yellow);
  } else if (report.saved->intent) {
    page.heading("saved", "only that a slot is about to be made", page.palette().yellow);
  } else {
    const SavedPosition& saved = *report.saved;
    page.heading("saved",
                 fmt::format("message {}, confirmed {}", human_number(saved.last.value),
                             to_string(saved.confirmed)),
                 "");
  }
}

void add_snapshots(StatusPage& page, const StatusReport& report) {
  if (!report.snapshots) return;
  std::size_t complete = 0;
  std::size_t waiting = 0;
  const auto others = [](const TableSnapshot& reading) {
    return reading.state != TableSnapshot::State::complete &&
           reading.state != TableSnapshot::State::waiting;
  };
  for (const auto& [name, table] : report.snapshots->tables()) {
    if (table.state == TableSnapshot::State::complete) ++complete;
    if (table.state == TableSnapshot::State::waiting) ++waiting;
  }
  page.heading("snapshots",
               fmt::format("{} table{} complete{}", complete, complete == 1 ? "" : "s",
                           waiting == 0 ? "" : fmt::format(", {} to be read", waiting)),
               "");
  for (const auto& [name, table] : report.snapshots->tables()) {
    if (others(table)) page.line(readable_name(name), how_far(table));
  }
  for (const SnapshotRequest& request : report.snapshots->requests()) {
    if (request.action != SnapshotRequest::Action::snapshot || request.joined) continue;
    page.line(request.schema.empty() ? "asked for"
                                     : readable_name(quoted_name(request.schema, request.table)),
              "asked for: " + how_far(request.reading));
  }
}

void add_nats(StatusPage& page, const StatusReport& report) {
  if (!report.nats_error.empty()) {
    page.heading("nats", "cannot be asked: " + report.nats_error, page.palette().red);
    return;
  }
  page.heading("nats", report.nats_url, "");
  if (!report.stream) {
    page.heading("stream", fmt::format("{} does not exist", report.stream_name),
                 page.palette().yellow);
  } else {
    const publisher::StreamInfo& stream = *report.stream;
    page.heading("stream",
                 fmt::format("{}, {} messages, {}", report.stream_name,
                             human_number(stream.messages), human_bytes(stream.bytes)),
                 "");
    page.line("sequences", stream.messages == 0
                               ? fmt::format("none; the last was {}", stream.last.value)
                               : fmt::format("{} to {}", stream.first.value, stream.last.value));
    page.line("created",
              to_the_second(stream.created) +
                  (stream.leader.empty() ? "" : ", leader " + stream.leader) +
                  (stream.replicas > 1 ? fmt::format(", {} replicas", stream.replicas) : ""));
    if (report.last) add_last(page, report);
  }
  if (report.slotless()) return add_slotless(page, report);
  add_saved(page, report);
  add_snapshots(page, report);
}

Json text_or_null(const std::optional<pg::Lsn>& lsn) {
  return lsn && lsn->valid() ? Json(to_string(*lsn)) : Json(nullptr);
}

Json slot_json(const StatusReport& report) {
  Json json{{"name", report.slot_name}, {"exists", report.slot.has_value()}};
  if (!report.slot) return json;
  const pg::SlotInfo& slot = *report.slot;
  json["active"] = slot.active;
  json["active_pid"] = slot.active ? Json(slot.active_pid) : Json(nullptr);
  json["confirmed_lsn"] = text_or_null(slot.confirmed);
  json["restart_lsn"] = text_or_null(slot.restart);
  json["wal_status"] = slot.wal_status;
  json["retained_bytes"] = slot.retained_bytes;
  json["safe_wal_bytes"] = or_null(slot.safe_wal_bytes);
  return json;
}

Json marks_json(const StatusReport& report) {
  Json marks = Json::array();
  for (const Mark& mark : report.marks) {
    marks.push_back({{"name", mark.name},
                     {"slot", mark.slot},
                     {"lsn", text_or_null(mark.info.confirmed)},
                     {"wal_status", mark.info.wal_status},
                     {"retained_bytes", mark.info.retained_bytes}});
  }
  return marks;
}

Json stream_json(const StatusReport& report) {
  Json json{{"name", report.stream_name}, {"exists", report.stream.has_value()}};
  if (!report.stream) return json;
  const publisher::StreamInfo& stream = *report.stream;
  json["messages"] = stream.messages;
  json["first_seq"] = stream.first.value;
  json["last_seq"] = stream.last.value;
  json["bytes"] = stream.bytes;
  json["created"] = stream.created;
  json["leader"] = stream.leader.empty() ? Json(nullptr) : Json(stream.leader);
  json["replicas"] = stream.replicas;
  return json;
}

Json last_json(const StatusReport& report) {
  if (!report.last) return nullptr;
  const LastRecord& last = *report.last;
  Json json{{"seq", last.sequence.value}};
  json["position"] = last.position ? Json(to_string(*last.position)) : Json(nullptr);
  json["commit_lsn"] = last.position ? Json(to_string(last.position->commit_lsn())) : Json(nullptr);
  json["commit_ts"] = last.commit_ts.empty() ? Json(nullptr) : Json(last.commit_ts);
  json["age_seconds"] = or_null(last.age_seconds);
  return json;
}

Json saved_json(const StatusReport& report) {
  if (!report.saved || report.saved->intent) return nullptr;
  return {{"last_seq", report.saved->last.value},
          {"tail", to_string(report.saved->tail)},
          {"confirmed_lsn", to_string(report.saved->confirmed)}};
}

Json reading_json(const std::string& table, const TableSnapshot& reading) {
  Json json{{"table", table}, {"state", name_of(reading.state)}, {"rows", reading.rows()}};
  const auto share = reading.share();
  json["percent"] = share ? Json(static_cast<int>(*share * 100)) : Json(nullptr);
  const bool running = reading.state == TableSnapshot::State::running && reading.rate > 0;
  json["rows_per_second"] = running ? Json(reading.rate) : Json(nullptr);
  const auto left = reading.seconds_left();
  json["seconds_left"] = left ? Json(static_cast<std::uint64_t>(*left)) : Json(nullptr);
  if (!reading.note.empty()) json["note"] = reading.note;
  return json;
}

Json snapshots_json(const StatusReport& report) {
  Json json = Json::array();
  if (!report.snapshots) return json;
  for (const auto& [name, table] : report.snapshots->tables()) {
    json.push_back(reading_json(readable_name(name), table));
  }
  for (const SnapshotRequest& request : report.snapshots->requests()) {
    if (request.action != SnapshotRequest::Action::snapshot) continue;
    Json one = reading_json(request.schema.empty()
                                ? std::string()
                                : readable_name(quoted_name(request.schema, request.table)),
                            report.snapshots->reading_of(request));
    one["state"] = name_of(request.reading.state);
    one["request"] = request.id;
    if (!request.where.empty()) one["where"] = request.where;
    json.push_back(std::move(one));
  }
  return json;
}

}  // namespace

std::string to_the_second(const std::string& time) {
  const auto dot = time.find('.');
  return dot == std::string::npos ? time : time.substr(0, dot) + "Z";
}

pg::Lsn StatusReport::stored() const {
  pg::Lsn lsn;
  if (last && last->position) lsn = last->position->commit_lsn();
  if (saved) lsn = std::max(lsn, saved->confirmed);
  if (slot) lsn = std::max(lsn, slot->confirmed.value_or(pg::Lsn()));
  return lsn;
}

std::optional<std::uint64_t> StatusReport::lag_bytes() const {
  if (!wal_end.valid() || !stored().valid()) return std::nullopt;
  return wal_end - stored();
}

std::string status_text(const StatusReport& report, const Palette& palette) {
  StatusPage page(palette);
  if (report.slotless() && report.running()) {
    add_slotless_writer(page, report);
  } else if (report.running()) {
    page.heading("walferry",
                 fmt::format("running (its session has pid {})", report.slot->active_pid),
                 palette.green);
  } else if (report.postgres_error.empty()) {
    page.heading("walferry", "not running", palette.yellow);
  } else {
    page.heading("walferry", "unknown", palette.yellow);
  }
  if (const auto lag = report.lag_bytes()) {
    page.line("lag", human_bytes(*lag) + " of WAL at most");
  }
  add_postgres(page, report);
  add_nats(page, report);
  return page.take();
}

std::string status_json(const StatusReport& report, bool one_line) {
  Json json;
  json["running"] = report.postgres_error.empty() ? Json(report.running()) : Json(nullptr);
  json["lag_bytes"] = report.slotless() ? Json(nullptr) : or_null(report.lag_bytes());
  // At most: the age of the last record, where anything at all may be waiting.
  const bool caught_up = report.lag_bytes() == 0U;
  json["lag_seconds"] = caught_up     ? Json(0)
                        : report.last ? or_null(report.last->age_seconds)
                                      : Json(nullptr);
  json["postgres"] = {{"reachable", report.postgres_error.empty()}, {"server", report.server}};
  if (report.postgres_error.empty()) {
    json["postgres"]["version"] = report.version;
    json["postgres"]["wal_lsn"] = text_or_null(report.wal_end);
    json["slot"] = report.slotless() ? Json(nullptr) : slot_json(report);
    json["marks"] = marks_json(report);
    if (report.slotless()) add_slotless(json, report);
  } else {
    json["postgres"]["error"] = report.postgres_error;
    json["slot"] = nullptr;
    json["marks"] = nullptr;
  }
  json["nats"] = {{"reachable", report.nats_error.empty()}};
  if (report.nats_error.empty()) {
    json["nats"]["url"] = report.nats_url;
    json["stream"] = stream_json(report);
    json["last_record"] = last_json(report);
    json["saved"] = saved_json(report);
    json["snapshots"] = snapshots_json(report);
  } else {
    json["nats"]["error"] = report.nats_error;
    for (const char* unknown : {"stream", "last_record", "saved", "snapshots"})
      json[unknown] = nullptr;
  }
  return json.dump(one_line ? -1 : 2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace connector
