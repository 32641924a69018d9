// The text that the progress of snapshots is kept as. Version 1 had neither requests nor states
// but "running" and "complete".
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "connector/snapshot_progress.h"
#include "connector/stop.h"

namespace connector {
namespace {

using Json = nlohmann::ordered_json;
using publisher::StreamSequence;
using State = TableSnapshot::State;

constexpr int format_version = 2;

Json step_json(const SnapshotStep& step) {
  Json json{{"seq", step.rests_on.value}, {"rows", step.rows}};
  if (step.after) json["after"] = *step.after;
  if (step.end) json["end"] = true;
  return json;
}

SnapshotStep parse_step(const nlohmann::json& json) {
  SnapshotStep step{.rests_on = StreamSequence(json.at("seq").get<std::uint64_t>()),
                    .rows = json.at("rows").get<std::uint64_t>(),
                    .after = std::nullopt,
                    .end = false};
  if (json.contains("after")) step.after = json.at("after").get<pg::Key>();
  step.end = json.value("end", false);
  return step;
}

State parse_state(const std::string& name) {
  for (const State state : {State::waiting, State::running, State::paused, State::cancelled,
                            State::failed, State::complete}) {
    if (name == name_of(state)) return state;
  }
  throw std::invalid_argument("state " + name);
}

void put_reading(Json& json, const TableSnapshot& table) {
  json["state"] = name_of(table.state);
  if (!table.key_of.empty()) json["key_of"] = table.key_of;
  if (!table.key.empty()) json["key"] = table.key;
  if (!table.moved.empty()) json["moved"] = table.moved;
  json["steps"] = Json::array();
  for (const SnapshotStep& step : table.steps) json["steps"].push_back(step_json(step));
  if (!table.note.empty()) json["note"] = table.note;
  if (table.unsettled) json["unsettled"] = true;
  if (table.about > 0) json["about"] = table.about;
  if (table.rate > 0) json["rate"] = table.rate;
  if (!table.whole) return;
  json["mark"] = to_string(table.whole->mark);
  json["wal_end"] = to_string(table.whole->wal_end);
  json["snapshot"] = table.whole->sees.text();
}

pg::Lsn lsn_in(const nlohmann::json& json, const char* name) {
  return pg::parse_lsn(json.at(name).get<std::string>()).value();
}

TableSnapshot parse_reading(const nlohmann::json& json) {
  TableSnapshot table;
  table.state = parse_state(json.at("state").get<std::string>());
  table.key_of = json.value("key_of", std::string());
  table.key = json.value("key", std::vector<std::string>());
  table.moved = json.value("moved", std::vector<pg::Key>());
  for (const auto& step : json.at("steps")) table.steps.push_back(parse_step(step));
  table.note = json.value("note", std::string());
  table.unsettled = json.value("unsettled", false);
  table.about = json.value("about", std::uint64_t{0});
  table.rate = json.value("rate", std::uint64_t{0});
  if (json.contains("snapshot")) {
    table.whole = TableSnapshot::Whole{
        .mark = lsn_in(json, "mark"),
        .wal_end = lsn_in(json, "wal_end"),
        .sees = pg::Visibility::parse(json.at("snapshot").get<std::string>()).value()};
  }
  return table;
}

Json request_json(const SnapshotRequest& request) {
  Json json{{"id", request.id},
            {"action", name_of(request.action)},
            {"schema", request.schema},
            {"table", request.table},
            {"asked_lsn", to_string(request.asked_at)}};
  if (!request.where.empty()) json["where"] = request.where;
  if (request.joined) json["joined"] = *request.joined;
  put_reading(json, request.reading);
  return json;
}

SnapshotRequest parse_request(const nlohmann::json& json) {
  SnapshotRequest request;
  request.id = json.at("id").get<std::string>();
  request.action = parse_action(json.at("action").get<std::string>()).value();
  request.schema = json.at("schema").get<std::string>();
  request.table = json.at("table").get<std::string>();
  request.asked_at = lsn_in(json, "asked_lsn");
  request.where = json.value("where", std::string());
  if (json.contains("joined")) request.joined = json.at("joined").get<std::string>();
  request.reading = parse_reading(json);
  return request;
}

}  // namespace

std::string SnapshotProgress::to_json() const {
  Json tables = Json::object();
  for (const auto& [name, table] : tables_) put_reading(tables[name], table);
  Json requests = Json::array();
  for (const SnapshotRequest& request : requests_) requests.push_back(request_json(request));
  return Json{{"version", format_version},
              {"stream_created", stream_created},
              {"secret", secret},
              {"tables", tables},
              {"requests", requests}}
      .dump();
}

SnapshotProgress SnapshotProgress::parse(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    const int version = json.at("version").get<int>();
    if (version < 1 || version > format_version) {
      throw std::invalid_argument("version " + json.at("version").dump());
    }
    SnapshotProgress progress;
    progress.stream_created = json.at("stream_created").get<std::string>();
    progress.secret = json.value("secret", std::string());
    for (const auto& [name, table] : json.at("tables").items()) {
      progress.tables_[name] = parse_reading(table);
    }
    if (json.contains("requests")) {
      for (const auto& request : json.at("requests")) {
        progress.requests_.push_back(parse_request(request));
      }
    }
    progress.whole_changed();
    return progress;
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               std::string("the saved progress of snapshots cannot be read: ") + error.what(),
               "restore the key in the bucket `walferry`, or purge it: then all tables with "
               "snapshot = \"initial\" are read again");
  }
}

}  // namespace connector
