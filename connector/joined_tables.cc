#include "connector/joined_tables.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "connector/stop.h"
#include "connector/table_selection.h"

namespace connector {
namespace {

constexpr int format_version = 1;

}  // namespace

void JoinedTables::load(publisher::Connection& nats, pg::Lsn wal_end, pg::Lsn oldest) {
  const publisher::KeyValueEntry entry = key_.get(nats);
  revision_ = entry.revision;
  places_.clear();
  if (!entry.value) return;
  try {
    const auto json = nlohmann::json::parse(*entry.value);
    if (json.at("version").get<int>() != format_version) {
      throw std::invalid_argument("version " + json.at("version").dump());
    }
    for (const auto& [table, place] : json.at("tables").items()) {
      places_[table] = place.is_null()
                           ? std::nullopt
                           : std::optional(pg::parse_hex16(place.get<std::string>()).value());
    }
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               "when tables joined the publication cannot be read from " + key_.name() + ": " +
                   error.what(),
               "restore the key, or purge it once no transaction is open that is older than the "
               "table that joined last");
  }
  std::erase_if(places_,
                [&](const auto& table) { return table.second && *table.second <= oldest; });
  const bool any =
      std::any_of(places_.begin(), places_.end(), [](const auto& table) { return !table.second; });
  if (any) have_joined(nats, wal_end);
}

void JoinedTables::will_join(publisher::Connection& nats,
                             const std::vector<std::pair<std::string, std::string>>& tables) {
  for (const auto& [schema, table] : tables) places_[quoted_name(schema, table)].reset();
  save(nats);
}

void JoinedTables::have_joined(publisher::Connection& nats, pg::Lsn wal_end) {
  for (auto& [table, place] : places_) {
    if (!place) place = wal_end;
  }
  save(nats);
}

pg::Lsn JoinedTables::joined(const std::string& schema, const std::string& table) const {
  if (places_.empty()) return {};
  const auto found = places_.find(quoted_name(schema, table));
  return found == places_.end() ? pg::Lsn() : found->second.value_or(pg::Lsn());
}

void JoinedTables::save(publisher::Connection& nats) {
  nlohmann::json tables = nlohmann::json::object();
  for (const auto& [table, place] : places_) {
    tables[table] = place ? nlohmann::json(pg::to_hex16(*place)) : nlohmann::json();
  }
  revision_ = key_.put(nats, nlohmann::json{{"version", format_version}, {"tables", tables}}.dump(),
                       revision_);
}

}  // namespace connector
