// Makes, lists and drops marks. All of it beside a daemon that goes on reading its slot.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connector/attach.h"
#include "connector/interrupt.h"
#include "connector/marks.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "connector/verbs.h"

namespace connector {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Mark& mark) {
  Json json{{"name", mark.name}, {"slot", mark.slot}};
  json["lsn"] = mark.info.confirmed ? Json(to_string(*mark.info.confirmed)) : Json(nullptr);
  json["wal_status"] = mark.info.wal_status;
  json["retained_bytes"] = mark.info.retained_bytes;
  return json;
}

void list(const std::vector<Mark>& marks, bool as_json) {
  if (as_json) {
    Json all = Json::array();
    for (const Mark& mark : marks) all.push_back(to_json(mark));
    fmt::print("{}\n", all.dump(2));
    return;
  }
  std::size_t width = 0;
  for (const Mark& mark : marks) width = std::max(width, mark.name.size());
  for (const Mark& mark : marks) {
    const std::string place =
        mark.usable() ? fmt::format("at {}, holds {} of WAL", to_string(*mark.info.confirmed),
                                    human_bytes(mark.info.retained_bytes))
                      : "invalidated: the WAL that it held is gone";
    fmt::print("{:<{}}  {}\n", mark.name, width, place);
  }
  if (marks.empty()) fmt::print("no marks\n");
}

void add(pqxx::connection& sql, const Config& config, const MarkCommand& command) {
  const std::string& slot = config.source.slot;
  const std::string full = slot_of_mark(slot, command.name);
  if (pg::slot_info(sql, full)) {
    throw Stop(Exit::precondition,
               fmt::format("there is a mark {} already (slot \"{}\")", command.name, full),
               "choose another name, or drop it: walferry mark --drop " + command.name);
  }
  const auto source = pg::slot_info(sql, slot);
  if (!source) {
    throw Stop(Exit::precondition, fmt::format("slot \"{}\" does not exist yet", slot),
               "`walferry run` makes it; a mark begins where it is confirmed");
  }
  const pg::ServerInfo server = pg::server_info(sql);
  require(slot_findings(slot, *source, server));
  if (source->wal_status == "lost") {
    throw Stop(Exit::position_lost,
               fmt::format("slot \"{}\" was invalidated: there is nothing to mark", slot),
               "`walferry check` says what `run` needs");
  }
  if (!source->confirmed) {
    throw Stop(Exit::failed, fmt::format("slot \"{}\" is just being made", slot),
               "the same command again, in a moment");
  }
  require_free_slot(server);
  pg::copy_slot(sql, slot, full);
  const Mark made{.name = command.name, .slot = full, .info = pg::slot_info(sql, full).value()};
  if (command.json) {
    fmt::print("{}\n", to_json(made).dump(2));
  } else {
    fmt::print("mark {} at {}: it holds all WAL from there on until it is dropped\n", made.name,
               to_string(made.info.confirmed.value_or(pg::Lsn())));
  }
}

void drop(pqxx::connection& sql, const Config& config, const MarkCommand& command) {
  const std::string full = slot_of_mark(config.source.slot, command.name);
  const std::vector<Mark> marks = marks_of(sql, config.source.slot);
  const auto found =
      std::find_if(marks.begin(), marks.end(), [&](const Mark& mark) { return mark.slot == full; });
  if (found == marks.end()) {
    throw Stop(Exit::precondition, fmt::format("there is no mark {}", command.name),
               "walferry mark --list");
  }
  if (found->info.active) {
    throw Stop(Exit::precondition,
               fmt::format("mark {} is in use by the session with pid {}", command.name,
                           found->info.active_pid),
               "wait until that session has ended");
  }
  pg::drop_slot(sql, full);
  if (command.json) {
    fmt::print("{}\n", to_json(*found).dump(2));
  } else {
    fmt::print("dropped mark {}, which held {} of WAL\n", command.name,
               human_bytes(found->info.retained_bytes));
  }
}

}  // namespace

int mark(const Config& config, const MarkCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(
      wakeup, "stopped before it was done: `walferry mark --list` tells whether it is");
  const auto sql = attach_postgres(config);
  switch (command.action) {
    case MarkCommand::Action::add: add(*sql, config, command); break;
    case MarkCommand::Action::drop: drop(*sql, config, command); break;
    case MarkCommand::Action::list: list(marks_of(*sql, config.source.slot), command.json); break;
  }
  return static_cast<int>(Exit::done);
}

}  // namespace connector
