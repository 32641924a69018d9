#include "connector/config_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "connector/config_values.h"

namespace connector {
namespace {

void read_columns(Section& section, const char* key, std::vector<std::string>& out) {
  if (!section.texts(key, out, check_column_name)) return;
  std::set<std::string> seen;
  for (const std::string& name : out) {
    if (!seen.insert(name).second) {
      section.problem(key, fmt::format("names \"{}\" twice; name it once", name));
    }
  }
}

void read_ops(Section& section, Operations& ops) {
  constexpr std::pair<const char*, bool Operations::*> all[] = {
      {"insert", &Operations::insert},
      {"update", &Operations::update},
      {"delete", &Operations::remove},
      {"truncate", &Operations::truncate}};
  std::vector<std::string> names{"insert", "update", "delete", "truncate"};
  const Check known = [&](std::string_view text) -> std::string {
    const bool found = std::any_of(std::begin(all), std::end(all),
                                   [&](const auto& op) { return text == op.first; });
    return found ? "" : R"(is not known; use "insert", "update", "delete" or "truncate")";
  };
  if (!section.texts("ops", names, known)) return;
  if (names.empty()) section.problem("ops", "names no operation; leave the table out instead");
  for (const auto& [name, member] : all) {
    ops.*member = std::find(names.begin(), names.end(), name) != names.end();
  }
}

}  // namespace

void read_choice(Section& section, TableConfig& table) {
  read_columns(section, "columns", table.columns);
  read_columns(section, "exclude", table.exclude);
  if (!table.columns.empty() && !table.exclude.empty()) {
    section.problem("exclude", "does not go together with columns; use one of them");
  }
  std::map<std::string, std::string> masks;
  section.words("mask", masks, {"hash", "redact"});
  for (const auto& [column, how] : masks) {
    table.mask[column] = how == "hash" ? Mask::hash : Mask::redact;
  }
  read_ops(section, table.ops);
  section.text("where", table.where);
  read_columns(section, "key", table.key);
  std::string snapshot = "initial";
  section.one_of("snapshot", snapshot, {"initial", "never"});
  table.snapshot = snapshot == "initial";
}

}  // namespace connector
