#include "connector/saved_position.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "connector/stop.h"

namespace connector {
namespace {

constexpr int format_version = 1;

pg::Lsn lsn_of(const nlohmann::json& json, const char* key) {
  return pg::parse_lsn(json.at(key).get<std::string>()).value();
}

publisher::StreamSequence sequence_of(const nlohmann::json& json, const char* key) {
  const auto& number = json.at(key);
  if (!number.is_number_unsigned())
    throw std::invalid_argument(std::string(key) + " is no sequence");
  return publisher::StreamSequence(number.get<std::uint64_t>());
}

}  // namespace

std::string to_json(const SavedPosition& saved) {
  nlohmann::ordered_json json{{"version", format_version}};
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
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("version").get<int>() != format_version) {
      throw Stop(Exit::position_lost,
                 fmt::format("the saved position has version {}, and this walferry knows {}",
                             json.at("version").dump(), format_version),
                 "run the walferry that wrote it, or a newer one");
    }
    SavedPosition saved;
    saved.intent = json.at("state").get<std::string>() == "intent";
    if (saved.intent) return saved;
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
    return saved;
  } catch (const Stop&) {
    throw;
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               fmt::format("the saved position cannot be read: {}", error.what()),
               "restore the key in the bucket `walferry`, or purge it and run with --adopt");
  }
}

}  // namespace connector
