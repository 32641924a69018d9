#include "connector/diff_state.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "outbox/checked_file.h"

namespace connector {
namespace {

using outbox::DiffTable;

// Whether rows that are read now can be told apart by the keys of then.
bool same_key(const std::string& then, const std::string& now) {
  const auto keys = [](const std::string& signature) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < signature.size();) {
      const std::size_t end = signature.find('\n', at);
      std::string line = signature.substr(at, end - at);
      if (line.rfind(" key ") != std::string::npos) lines.push_back(std::move(line));
      at = end + 1;
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  return keys(then) == keys(now) && !keys(now).empty();
}

void say_lost(const DiffTable& table, const char* why) {
  spdlog::error(
      "the state of table {} is lost ({}): the table begins again, with every row as a snapshot",
      table.name(), why);
}

}  // namespace

std::string state_head(const DiffTable& table, const outbox::Seeds& seeds, bool keeps_text,
                       std::int64_t probe) {
  const nlohmann::ordered_json head{{"table", table.name()},
                                    {"columns", table.signature()},
                                    {"text", keeps_text},
                                    {"probe", probe},
                                    {"seeds", {seeds.text, seeds.columns}}};
  return head.dump();
}

OldState open_state(const DiffStore& store, const DiffTable& table,
                    const DiffManifest::Table& entry, std::int64_t probe) {
  OldState old;
  old.begins_again = entry.restart;
  if (entry.state.empty()) return old;
  try {
    old.state.emplace(store.state_file(entry.state));
    const auto head = nlohmann::json::parse(old.state->head());
    if (const auto name = head.at("table").get<std::string>(); name != table.name()) {
      throw outbox::FileError(
          fmt::format("{} is of table {}", store.state_file(entry.state), name));
    }
    const auto columns = head.at("columns").get<std::string>();
    old.keeps_text = head.at("text").get<bool>();
    const auto seeds = head.at("seeds").get<std::vector<std::uint64_t>>();
    old.seeds = {.text = seeds.at(0), .columns = seeds.at(1)};
    old.same_columns = columns == table.signature();
    // Without a key, rows are in the order of the server's hashes.
    const bool same_hashes = table.keyed() || head.at("probe").get<std::int64_t>() == probe;
    if (old.same_columns && same_hashes) return old;
    if (same_key(columns, table.signature())) {
      spdlog::warn("table {}: its columns have changed; each of its rows is published as an update",
                   table.name());
      return old;
    }
    spdlog::warn("table {}: what its rows are told apart by has changed: it begins again",
                 table.name());
  } catch (const outbox::FileError& error) {
    say_lost(table, error.what());
  } catch (const nlohmann::json::exception&) {
    say_lost(table, "it has no head");
  }
  old = {};
  old.begins_again = true;
  return old;
}

bool check(OldState& old, const DiffTable& table) {
  if (!old.state) return true;
  try {
    old.state->verify();
    return true;
  } catch (const outbox::FileError& error) {
    say_lost(table, error.what());
  }
  old = {};
  old.begins_again = true;
  return false;
}

}  // namespace connector
