#include "connector/joined_tables.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "connector/snapshot_order.h"
#include "connector/stop.h"
#include "connector/table_selection.h"

namespace connector {
namespace {

constexpr int format_version = 1;
constexpr std::size_t most_tables = 4000;  // at once: one message of NATS holds them all
constexpr std::size_t most_pending = 32;   // whose ALTER may never have been done
constexpr std::size_t word_bytes = 16;

}  // namespace

void JoinedTables::load(publisher::Connection& nats, pg::Lsn oldest) {
  const publisher::KeyValueEntry entry = key_.get(nats);
  revision_ = entry.revision;
  places_.clear();
  pending_.clear();
  if (!entry.value) return;
  try {
    const auto json = nlohmann::json::parse(*entry.value);
    if (json.at("version").get<int>() != format_version) {
      throw std::invalid_argument("version " + json.at("version").dump());
    }
    for (const auto& [table, list] : json.at("places").items()) {
      for (const auto& place : list) {
        const pg::Lsn at = pg::parse_hex16(place.get<std::string>()).value();
        if (at > oldest) places_[table].push_back(at);
      }
    }
    for (const auto& one : json.at("pending")) {
      pending_.push_back(
          {one.at("word").get<std::string>(), one.at("tables").get<std::vector<std::string>>()});
    }
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               "when tables joined the publication cannot be read from " + key_.name() + ": " +
                   error.what(),
               "restore the key, or purge it once no transaction is open that is older than the "
               "table that joined last");
  }
}

std::string JoinedTables::will_alter(publisher::Connection& nats, const std::vector<Name>& tables) {
  if (tables.size() > most_tables) return "";
  Pending pending{.word = random_hex(word_bytes), .tables = {}};
  for (const auto& [schema, table] : tables) pending.tables.push_back(quoted_name(schema, table));
  pending_.push_back(std::move(pending));
  std::size_t kept = 0;
  for (const Pending& one : pending_) kept += one.tables.size();
  while (pending_.size() > 1 && (kept > most_tables || pending_.size() > most_pending)) {
    kept -= pending_.front().tables.size();
    pending_.erase(pending_.begin());
  }
  save(nats);
  return pending_.back().word;
}

void JoinedTables::gave_up(publisher::Connection& nats, const std::string& word) {
  if (std::erase_if(pending_, [&](const Pending& one) { return one.word == word; }) > 0) save(nats);
}

bool JoinedTables::altered(std::string_view word, pg::Lsn commit, publisher::Connection* nats) {
  const auto found = std::find_if(pending_.begin(), pending_.end(),
                                  [&](const Pending& one) { return one.word == word; });
  if (found == pending_.end()) return false;
  for (const std::string& table : found->tables) places_[table].push_back(commit);
  pending_.erase(found);
  if (nats != nullptr) save(*nats);
  return true;
}

std::vector<pg::Lsn> JoinedTables::places(const std::string& schema,
                                          const std::string& table) const {
  if (places_.empty()) return {};
  const auto found = places_.find(quoted_name(schema, table));
  return found == places_.end() ? std::vector<pg::Lsn>() : found->second;
}

void JoinedTables::save(publisher::Connection& nats) {
  nlohmann::json json{{"version", format_version},
                      {"places", nlohmann::json::object()},
                      {"pending", nlohmann::json::array()}};
  for (const auto& [table, list] : places_) {
    for (const pg::Lsn place : list) json["places"][table].push_back(pg::to_hex16(place));
  }
  for (const Pending& one : pending_) {
    json["pending"].push_back({{"word", one.word}, {"tables", one.tables}});
  }
  revision_ = key_.put(nats, json.dump(), revision_);
}

}  // namespace connector
