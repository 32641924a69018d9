#include "connector/diff_work.h"

#include <algorithm>
#include <chrono>

#include "connector/stop.h"

namespace connector {
namespace {

pg::Lsn lsn_of(const nlohmann::ordered_json& json) {
  return pg::parse_lsn(json.at("lsn").get<std::string>()).value();
}

}  // namespace

void DiffWork::lose_all(const DiffManifest* manifest) {
  for (const Round& round : rounds) newest_lost = std::max(newest_lost, round.lsn);
  for (const auto& [name, table] : tables) again.insert(name);
  if (manifest != nullptr) {
    for (const auto& [name, table] : manifest->tables) again.insert(name);
  }
  rounds.clear();
  restart = true;
}

bool DiffWork::leave_out(const std::set<std::string>& names, const DiffManifest* manifest) {
  constexpr std::size_t most_remembered = 1000;
  const auto is_out = [&](const auto& table) { return !names.contains(table.first); };
  bool any = false;
  const auto remember = [&](const auto& entries) {
    for (const auto& entry : entries) {
      if (is_out(entry)) any = again.insert(entry.first).second || any;
    }
  };
  remember(tables);
  if (manifest != nullptr) remember(manifest->tables);
  std::erase_if(tables, is_out);
  if (again.size() > most_remembered + names.size()) {
    std::erase_if(again, [&](const std::string& table) { return !names.contains(table); });
    others = true;
  }
  return any;
}

void DiffWork::take_begun(const DiffManifest& round) {
  const std::string made_there = pg::to_hex16(round.lsn) + ".";
  std::erase_if(again, [&](const std::string& name) {
    const auto table = round.tables.find(name);
    return table != round.tables.end() && table->second.state.starts_with(made_there);
  });
}

void DiffWork::forget(std::size_t oldest_rounds) {
  rounds.erase(rounds.begin(), rounds.begin() + static_cast<std::ptrdiff_t>(oldest_rounds));
}

std::int64_t DiffWork::now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

DiffWork DiffWork::parse(const nlohmann::ordered_json& work) {
  DiffWork parsed;
  if (work.is_null()) return parsed;
  try {
    parsed.restart = work.at("restart").get<bool>();
    parsed.newest_lost = pg::parse_lsn(work.at("newest_lost").get<std::string>()).value();
    parsed.others = work.value("others", false);
    if (work.contains("again")) parsed.again = work.at("again").get<std::set<std::string>>();
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
  return {{"restart", restart},       {"newest_lost", to_string(newest_lost)},
          {"again", again},           {"others", others},
          {"rounds", std::move(all)}, {"tables", std::move(of_tables)}};
}

}  // namespace connector
