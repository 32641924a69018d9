#include "connector/saved_position.h"

#include <nlohmann/json.hpp>

#include "connector/position_json.h"

namespace connector {
namespace {

pg::Lsn lsn_of(const nlohmann::ordered_json& json, const char* key) {
  return pg::parse_lsn(json.at(key).get<std::string>()).value();
}

}  // namespace

std::string to_json(const SavedPosition& saved) {
  nlohmann::ordered_json json{{"version", position_version}};
  if (saved.intent) {
    json["state"] = "intent";
    return json.dump();
  }
  json["state"] = "position";
  json["stream_created"] = saved.stream_created;
  json["last_seq"] = saved.last.value;
  json["tail"] = to_string(saved.tail);
  json["confirmed"] = to_string(saved.confirmed);
  json["origin"] = to_string(saved.origin);
  json["system_id"] = saved.system_id;
  json["timeline"] = saved.timeline.value;
  json["settings"] = saved.settings;
  json["settings_from"] = saved.settings_from.value;
  json["accepted"] = saved.accepted.value;
  if (saved.rests_on) json["rests_on"] = saved.rests_on->value;
  if (saved.stored.valid()) json["stored"] = to_string(saved.stored);
  return json.dump();
}

SavedPosition parse_saved_position(std::string_view text) {
  SavedPosition saved;
  read_position(text, "--adopt", [&](const nlohmann::ordered_json& json) {
    saved.intent = json.at("state").get<std::string>() == "intent";
    if (saved.intent) return;
    saved.stream_created = json.at("stream_created").get<std::string>();
    saved.last = sequence_of(json, "last_seq");
    saved.tail = parse_message_position(json.at("tail").get<std::string>()).value();
    saved.confirmed = lsn_of(json, "confirmed");
    saved.origin = lsn_of(json, "origin");
    saved.system_id = json.at("system_id").get<std::string>();
    saved.timeline = pg::Timeline(json.at("timeline").get<std::uint32_t>());
    saved.settings = json.at("settings").get<std::string>();
    saved.settings_from = sequence_of(json, "settings_from");
    saved.accepted = sequence_of(json, "accepted");
    // Older versions did not save these two.
    if (json.contains("rests_on")) saved.rests_on = sequence_of(json, "rests_on");
    if (json.contains("stored")) saved.stored = lsn_of(json, "stored");
  });
  return saved;
}

}  // namespace connector
