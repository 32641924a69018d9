#include "connector/shape_log.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "connector/stop.h"

namespace connector {
namespace {

constexpr int format_version = 1;

bool is_before(const ShapeLog::Entry& entry, pg::Position position) {
  return entry.position < position;
}

}  // namespace

ShapeLog::Row ShapeLog::ask(const Entries& entries, pg::Position position, std::uint64_t shape) {
  if (entries.empty()) return Row::unannounced;
  const Entry& last = entries.back();
  if (position > last.position) return last.shape == shape ? Row::announced : Row::unannounced;
  const auto found = std::lower_bound(entries.begin(), entries.end(), position, is_before);
  return found->position == position ? Row::first : Row::not_here;
}

const ShapeLog::Entry* ShapeLog::in_force(const Entries& entries, pg::Position position) {
  const auto later = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.position > position; });
  return later == entries.begin() ? nullptr : &*(later - 1);
}

void ShapeLog::add(Entries& entries, Entry entry, pg::Lsn oldest) {
  entries.push_back(std::move(entry));
  const auto needed =
      std::lower_bound(entries.begin(), entries.end() - 1, pg::Position{oldest, 0}, is_before);
  if (needed != entries.begin()) entries.erase(entries.begin(), needed - 1);
}

bool ShapeLog::has(pg::Position position) const {
  return std::any_of(tables_.begin(), tables_.end(), [&](const auto& table) {
    return std::any_of(table.second.begin(), table.second.end(),
                       [&](const Entry& entry) { return entry.position == position; });
  });
}

void ShapeLog::drop_after(const MessagePosition& tail) {
  for (auto& [table, entries] : tables_) {
    std::erase_if(entries, [&](const Entry& entry) {
      return MessagePosition(entry.position, MessagePosition::schema) > tail;
    });
  }
  std::erase_if(tables_, [](const auto& table) { return table.second.empty(); });
}

std::string ShapeLog::to_json() const {
  nlohmann::ordered_json tables = nlohmann::ordered_json::object();
  for (const auto& [table, entries] : tables_) {
    if (entries.empty()) continue;
    auto& list = tables[table] = nlohmann::ordered_json::array();
    for (const Entry& entry : entries) {
      nlohmann::ordered_json item = {to_string(entry.position), pg::to_hex16(pg::Lsn(entry.shape))};
      if (!entry.key.empty()) item.push_back(entry.key);
      list.push_back(std::move(item));
    }
  }
  return nlohmann::ordered_json{{"version", format_version}, {"tables", tables}}.dump();
}

ShapeLog ShapeLog::parse(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("version").get<int>() != format_version) {
      throw std::invalid_argument("version " + json.at("version").dump());
    }
    ShapeLog log;
    for (const auto& [table, list] : json.at("tables").items()) {
      for (const auto& entry : list) {
        log.tables_[table].push_back({parse_position(entry.at(0).get<std::string>()).value(),
                                      pg::parse_hex16(entry.at(1).get<std::string>()).value().value,
                                      entry.size() > 2 ? entry.at(2).get<std::vector<std::string>>()
                                                       : std::vector<std::string>()});
      }
    }
    return log;
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               std::string("the saved shapes of tables cannot be read: ") + error.what(),
               "restore the key in the bucket `walferry`, or purge it: then each table's shape is "
               "announced once more");
  }
}

std::uint64_t shape_of(const pg::Relation& relation) {
  std::string text;
  const auto add = [&](std::string_view part) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
  };
  add({reinterpret_cast<const char*>(&relation.identity), 1});
  for (const pg::Column& column : relation.columns) {
    add(column.name);
    add(std::to_string(column.type.value));
    add(std::to_string(column.modifier));
    add(column.key ? "k" : "");
  }
  // A hash that stays the same from one build to the next.
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("libcrypto cannot compute SHA-256");
  }
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < sizeof hash; ++i) hash = hash << 8 | digest[i];
  return hash;
}

}  // namespace connector
