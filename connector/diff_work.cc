#include "connector/diff_work.h"

#include "connector/stop.h"

namespace connector {
namespace {

pg::Lsn lsn_of(const nlohmann::ordered_json& json) {
  return pg::parse_lsn(json.at("lsn").get<std::string>()).value();
}

}  // namespace

DiffWork DiffWork::parse(const nlohmann::ordered_json& work) {
  DiffWork parsed;
  if (work.is_null()) return parsed;
  try {
    parsed.restart = work.at("restart").get<bool>();
    parsed.newest_lost = pg::parse_lsn(work.at("newest_lost").get<std::string>()).value();
    for (const auto& json : work.at("rounds")) {
      Round round{.lsn = lsn_of(json),
                  .base = publisher::StreamSequence(json.at("base").get<std::uint64_t>()),
                  .end = {}};
      if (json.contains("end")) {
        round.end = publisher::StreamSequence(json.at("end").get<std::uint64_t>());
        round.acked_at = json.at("acked_at").get<std::int64_t>();
      }
      parsed.rounds.push_back(round);
    }
    for (const auto& [name, json] : work.at("tables").items()) {
      parsed.tables[name] = {.lsn = lsn_of(json),
                             .at = json.at("at").get<std::string>(),
                             .seconds = json.at("seconds").get<double>(),
                             .rows = json.at("rows").get<std::uint64_t>(),
                             .inserts = json.at("inserts").get<std::uint64_t>(),
                             .updates = json.at("updates").get<std::uint64_t>(),
                             .deletes = json.at("deletes").get<std::uint64_t>(),
                             .snapshots = json.at("snapshots").get<std::uint64_t>(),
                             .read = json.at("read").get<std::string>()};
    }
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               std::string("the saved rounds of snapshot-diff cannot be read: ") + error.what(),
               "restore the key in the bucket `walferry`, or purge it and run with --accept-gap");
  }
  return parsed;
}

nlohmann::ordered_json DiffWork::to_json() const {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Round& round : rounds) {
    nlohmann::ordered_json json{{"lsn", to_string(round.lsn)}, {"base", round.base.value}};
    if (round.end) {
      json["end"] = round.end->value;
      json["acked_at"] = round.acked_at;
    }
    all.push_back(std::move(json));
  }
  nlohmann::ordered_json of_tables = nlohmann::ordered_json::object();
  for (const auto& [name, table] : tables) {
    of_tables[name] = {{"lsn", to_string(table.lsn)}, {"at", table.at},
                       {"seconds", table.seconds},    {"rows", table.rows},
                       {"inserts", table.inserts},    {"updates", table.updates},
                       {"deletes", table.deletes},    {"snapshots", table.snapshots},
                       {"read", table.read}};
  }
  return {{"restart", restart},
          {"newest_lost", to_string(newest_lost)},
          {"rounds", std::move(all)},
          {"tables", std::move(of_tables)}};
}

}  // namespace connector
