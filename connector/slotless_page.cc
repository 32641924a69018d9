#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connector/preconditions.h"
#include "connector/status_page.h"

namespace connector {
namespace {

using Json = nlohmann::ordered_json;

std::string rows_in_words(std::uint64_t rows) {
  const bool more = rows >= PollReport::most_pending;
  return fmt::format("{}{} row{}", more ? "at least " : "", human_number(rows),
                     rows == 1 ? "" : "s");
}

void add_poll(StatusPage& page, const PollReport& poll) {
  page.heading("outbox",
               poll.batch == 0 ? "no batch yet"
                               : fmt::format("batch {}{}, message {}", human_number(poll.batch),
                                             poll.open ? " is being published" : "",
                                             human_number(poll.last.value)),
               "");
  if (poll.pending) page.line("pending", rows_in_words(*poll.pending));
}

std::string changes_in_words(const DiffWork::Table& table) {
  std::string words;
  const auto add = [&](std::uint64_t count, const char* what) {
    if (count == 0) return;
    words += fmt::format("{}{} {}{}", words.empty() ? "" : ", ", human_number(count), what,
                         count == 1 ? "" : "s");
  };
  add(table.inserts, "insert");
  add(table.updates, "update");
  add(table.deletes, "delete");
  add(table.snapshots, "snapshot row");
  return words.empty() ? "no changes" : words;
}

bool publishing(const DiffWork& work) { return !work.rounds.empty() && !work.rounds.back().end; }

void add_diff(StatusPage& page, const DiffWork& work) {
  if (work.tables.empty()) {
    page.heading("rounds", "none yet", page.palette().yellow);
    return;
  }
  page.heading("rounds",
               publishing(work) ? fmt::format("the one at {} is being published",
                                              to_string(work.rounds.back().lsn))
                                : fmt::format("{} tables", work.tables.size()),
               "");
  for (const auto& [name, table] : work.tables) {
    page.line(readable_name(name),
              fmt::format("round at {} ({}), {} rows, {}, {:.3f} s", to_string(table.lsn),
                          to_the_second(table.at), human_number(table.rows),
                          changes_in_words(table), table.seconds));
  }
}

Json writer_pid(const std::optional<pg::LockHolder>& writer) {
  return writer ? Json(writer->pid) : Json(nullptr);
}

Json poll_json(const PollReport& poll) {
  Json json{{"capture", "poll"}, {"batch", poll.batch}, {"publishing", poll.open}};
  json["pending_rows"] = or_null(poll.pending);
  json["writer_pid"] = writer_pid(poll.writer);
  json["last_poll_seconds"] = poll.writer ? or_null(poll.writer->idle_seconds) : Json(nullptr);
  json["last_seq"] = poll.last.value;
  return json;
}

Json diff_json(const DiffReport& diff) {
  Json tables = Json::array();
  for (const auto& [name, table] : diff.work.tables) {
    tables.push_back({{"table", readable_name(name)},
                      {"lsn", to_string(table.lsn)},
                      {"at", table.at},
                      {"seconds", table.seconds},
                      {"rows", table.rows},
                      {"inserts", table.inserts},
                      {"updates", table.updates},
                      {"deletes", table.deletes},
                      {"snapshots", table.snapshots},
                      {"read", table.read}});
  }
  return {{"capture", "diff"},
          {"publishing", publishing(diff.work)},
          {"tables", std::move(tables)},
          {"writer_pid", writer_pid(diff.writer)}};
}

}  // namespace

void add_slotless_writer(StatusPage& page, const StatusReport& report) {
  const pg::LockHolder& writer = **report.writer();
  page.heading("walferry",
               fmt::format("running (the session with pid {} holds the writer's lock)", writer.pid),
               page.palette().green);
  if (report.poll && writer.idle_seconds) {
    page.line("last poll", human_age(std::max(0.0, *writer.idle_seconds)) + " ago at most");
  }
}

void add_slotless(StatusPage& page, const StatusReport& report) {
  if (!report.saved_error.empty()) {
    page.heading(report.poll ? "outbox" : "rounds", report.saved_error, page.palette().red);
  } else if (report.poll) {
    add_poll(page, *report.poll);
  } else {
    add_diff(page, report.diff->work);
  }
}

void add_slotless(nlohmann::ordered_json& json, const StatusReport& report) {
  if (report.diff) json["diff"] = diff_json(*report.diff);
  if (report.poll) json["outbox"] = poll_json(*report.poll);
}

}  // namespace connector
