#include "connector/snapshot_progress.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr int format_version = 1;
constexpr std::size_t most_steps = 12;

nlohmann::ordered_json step_json(const SnapshotStep& step) {
  nlohmann::ordered_json json{{"seq", step.rests_on.value}, {"rows", step.rows}};
  if (step.after) json["after"] = *step.after;
  return json;
}

SnapshotStep parse_step(const nlohmann::json& json) {
  SnapshotStep step{.rests_on = StreamSequence(json.at("seq").get<std::uint64_t>()),
                    .rows = json.at("rows").get<std::uint64_t>(),
                    .after = std::nullopt};
  if (json.contains("after")) step.after = json.at("after").get<pg::Key>();
  return step;
}

TableSnapshot parse_table(const nlohmann::json& json) {
  TableSnapshot table;
  const auto state = json.at("state").get<std::string>();
  if (state != "running" && state != "complete") throw std::invalid_argument("state " + state);
  if (state == "complete") table.state = TableSnapshot::State::complete;
  table.key_of = json.value("key_of", std::string());
  for (const auto& step : json.at("steps")) table.steps.push_back(parse_step(step));
  if (json.contains("snapshot")) {
    table.whole = TableSnapshot::Whole{
        .mark = pg::parse_lsn(json.at("mark").get<std::string>()).value(),
        .wal_end = pg::parse_lsn(json.at("wal_end").get<std::string>()).value(),
        .sees = pg::Visibility::parse(json.at("snapshot").get<std::string>()).value()};
  }
  return table;
}

}  // namespace

// Of the older ones the one goes whose neighbours are closest to each other, measured by how far
// from the end they are.
void TableSnapshot::add(SnapshotStep step) {
  steps.push_back(std::move(step));
  if (steps.size() <= most_steps) return;
  const auto back = [&](std::size_t i) {
    return static_cast<double>(steps.back().rests_on.value - steps[i].rests_on.value) + 1;
  };
  std::size_t least = 1;
  for (std::size_t i = 2; i + 1 < steps.size(); ++i) {
    if (back(i - 1) / back(i + 1) < back(least - 1) / back(least + 1)) least = i;
  }
  steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(least));
}

bool SnapshotProgress::complete(const std::string& table) const {
  const auto found = tables_.find(table);
  return found != tables_.end() && found->second.state == TableSnapshot::State::complete;
}

bool SnapshotProgress::take_back(const std::string& created, StreamSequence last) {
  bool changed = false;
  if (stream_created != created) {
    changed = !tables_.empty();
    tables_.clear();
    stream_created = created;
  }
  for (auto& [name, table] : tables_) {
    if (table.steps.empty() || table.steps.back().rests_on <= last) continue;
    changed = true;
    table.state = TableSnapshot::State::running;
    table.whole.reset();
    while (!table.steps.empty() && table.steps.back().rests_on > last) table.steps.pop_back();
  }
  whole_changed();
  return changed;
}

bool SnapshotProgress::may_have_rows_behind(StreamSequence sequence) const {
  return std::any_of(tables_.begin(), tables_.end(), [&](const auto& one) {
    const TableSnapshot& table = one.second;
    return table.state == TableSnapshot::State::running ||
           (!table.steps.empty() && table.steps.back().rests_on > sequence);
  });
}

bool SnapshotProgress::contains(const std::string& table, pg::Lsn commit,
                                pg::TransactionId xid) const {
  const auto found = tables_.find(table);
  if (found == tables_.end() || !found->second.whole) return false;
  const TableSnapshot::Whole& whole = *found->second.whole;
  // A commit record that begins where the mark's ends comes after it.
  return commit >= whole.mark && commit <= whole.wal_end && whole.sees.sees(xid);
}

void SnapshotProgress::whole_changed() {
  any_whole_ = std::any_of(tables_.begin(), tables_.end(),
                           [](const auto& one) { return one.second.whole.has_value(); });
}

std::string SnapshotProgress::to_json() const {
  nlohmann::ordered_json tables = nlohmann::ordered_json::object();
  for (const auto& [name, table] : tables_) {
    nlohmann::ordered_json& json = tables[name];
    json["state"] = table.state == TableSnapshot::State::complete ? "complete" : "running";
    if (!table.key_of.empty()) json["key_of"] = table.key_of;
    json["steps"] = nlohmann::ordered_json::array();
    for (const SnapshotStep& step : table.steps) json["steps"].push_back(step_json(step));
    if (!table.whole) continue;
    json["mark"] = to_string(table.whole->mark);
    json["wal_end"] = to_string(table.whole->wal_end);
    json["snapshot"] = table.whole->sees.text();
  }
  return nlohmann::ordered_json{
      {"version", format_version}, {"stream_created", stream_created}, {"tables", tables}}
      .dump();
}

SnapshotProgress SnapshotProgress::parse(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("version").get<int>() != format_version) {
      throw std::invalid_argument("version " + json.at("version").dump());
    }
    SnapshotProgress progress;
    progress.stream_created = json.at("stream_created").get<std::string>();
    for (const auto& [name, table] : json.at("tables").items()) {
      progress.tables_[name] = parse_table(table);
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
