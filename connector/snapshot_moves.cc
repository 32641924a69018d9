// Rows that are given another key while their table is read.
//
//   read already        │  not read yet
//        ▲              │
//        └── UPDATE … SET key, with a TOAST column left alone
//
// The record of such an update lacks the column, the row was in no chunk before, and will be in
// none: nobody would ever have the value. So the new key is kept, and read once more when all else
// is. Where the row stood cannot be told here (only the server compares keys), so that every such
// update is kept; a row that is read twice is only published twice.
#include <algorithm>

#include "connector/snapshot_progress.h"
#include "connector/table_selection.h"

namespace connector {
namespace {

constexpr std::size_t most_moved_bytes = 64U << 10;

bool is_text(const pg::Value& value) { return std::holds_alternative<std::string_view>(value); }

bool lacks_values(pg::Row row, pg::Row old) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::holds_alternative<pg::Unchanged>(row[i]) && !is_text(old[i])) return true;
  }
  return false;
}

struct Move {
  pg::Key from, to;
};

// Nothing: the columns are not there, or not all of them are sent.
std::optional<Move> move_of(const std::vector<std::string>& key, const pg::Relation& relation,
                            pg::Row row, pg::Row old) {
  Move move;
  for (const std::string& name : key) {
    const auto column = std::find_if(relation.columns.begin(), relation.columns.end(),
                                     [&](const pg::Column& one) { return one.name == name; });
    if (column == relation.columns.end()) return std::nullopt;
    const auto place = static_cast<std::size_t>(column - relation.columns.begin());
    const pg::Value& now = is_text(row[place]) ? row[place] : old[place];
    if (!is_text(old[place]) || !is_text(now)) return std::nullopt;
    move.from.emplace_back(std::get<std::string_view>(old[place]));
    move.to.emplace_back(std::get<std::string_view>(now));
  }
  return move;
}

bool has(const std::vector<pg::Key>& keys, const pg::Key& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

std::size_t size_of(const std::vector<pg::Key>& keys) {
  std::size_t bytes = 0;
  for (const pg::Key& key : keys) {
    for (const std::string& value : key) bytes += value.size() + 4;
  }
  return bytes;
}

// Whether the reading has changed.
bool keep(TableSnapshot& reading, const pg::Relation& relation, pg::Row row, pg::Row old) {
  if (reading.key.empty() || reading.key_of.empty()) return false;
  const auto move = move_of(reading.key, relation, row, old);
  if (!move) {
    reading.forget_all();
    return true;
  }
  if (move->from == move->to || has(reading.moved, move->to)) return false;
  // Once all is read, a row that is not among the moved ones has been published whole.
  const bool all_read = !reading.steps.empty() && reading.steps.back().end;
  if (all_read && !has(reading.moved, move->from)) return false;
  reading.moved.push_back(move->to);
  if (size_of(reading.moved) > most_moved_bytes) reading.forget_all();
  return true;
}

}  // namespace

bool SnapshotProgress::moves(const pg::Relation& relation, pg::Row row, pg::Row old) {
  if (old.empty() || !lacks_values(row, old)) return false;
  const std::string name = quoted_name(relation.schema, relation.name);
  bool kept = false;
  const auto found = tables_.find(name);
  // A table's first reading that has failed may go on where it was.
  if (found != tables_.end() &&
      (!found->second.ended() || found->second.state == TableSnapshot::State::failed)) {
    kept = keep(found->second, relation, row, old);
  }
  for (SnapshotRequest& request : requests_) {
    if (request.joined || request.reading.ended() ||
        quoted_name(request.schema, request.table) != name)
      continue;
    kept = keep(request.reading, relation, row, old) || kept;
  }
  return kept;
}

}  // namespace connector
