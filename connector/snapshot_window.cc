#include "connector/snapshot_window.h"

#include <algorithm>

namespace connector {
namespace {

bool is_unchanged(const pg::Value& value) { return std::holds_alternative<pg::Unchanged>(value); }

std::optional<std::string> owned(const pg::Value& value) {
  const auto* text = std::get_if<std::string_view>(&value);
  return text == nullptr ? std::nullopt : std::optional<std::string>(*text);
}

constexpr std::size_t entry_size = 96;  // of the map, beside the key

}  // namespace

// False when the key is not known: it was not sent.
bool SnapshotWindow::key_text(std::string& out, pg::Row row, pg::Row old) const {
  out.clear();
  for (const std::size_t place : key_) {
    const pg::Value* value = &row[place];
    if (is_unchanged(*value)) {
      if (old.empty()) return false;
      value = &old[place];
    }
    const auto* text = std::get_if<std::string_view>(value);
    out += text == nullptr ? "-" : std::to_string(text->size());
    out += ':';
    if (text != nullptr) out += *text;
  }
  return true;
}

void SnapshotWindow::touch(const std::string& key, std::optional<Known> known) {
  if (known) {
    for (const auto& cell : known->cells) {
      size_ += sizeof(cell) + (cell && *cell ? (*cell)->size() : 0);
    }
  }
  const auto [entry, is_new] = touched_.try_emplace(key);
  if (is_new) size_ += key.size() + entry_size;
  entry->second.incomplete = std::move(known);
}

void SnapshotWindow::change(Op op, pg::Row row, pg::Row old, pg::TransactionId xid) {
  if (op == Op::truncate) {
    truncated_ = true;
    return;
  }
  if (truncated_) return;  // what came later came whole
  if (op == Op::update || (op == Op::insert && std::any_of(row.begin(), row.end(), is_unchanged))) {
    updated(row, old, xid);
    return;
  }
  if (!key_text(text_, op == Op::remove ? old : row, {})) {
    ambiguous_ = true;
    return;
  }
  touch(text_, std::nullopt);
}

void SnapshotWindow::updated(pg::Row row, pg::Row old, pg::TransactionId xid) {
  std::string now;
  std::string before;
  if (!key_text(now, row, old)) {
    ambiguous_ = true;
    return;
  }
  if (old.empty()) {
    before = now;
  } else if (!key_text(before, old, {})) {
    ambiguous_ = true;
    return;
  }
  // Under FULL, and for the key's own columns, the old row has what the new one lacks.
  Known known;
  bool whole = true;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool in_old = !old.empty() && !std::holds_alternative<pg::Null>(old[i]);
    if (!is_unchanged(row[i])) {
      known.cells.emplace_back(owned(row[i]));
    } else if (in_old && !is_unchanged(old[i])) {
      known.cells.emplace_back(owned(old[i]));
    } else {
      known.cells.emplace_back(std::nullopt);
      whole = false;
    }
  }
  std::optional<Known> earlier;
  if (const auto found = touched_.find(before); found != touched_.end()) {
    if (!found->second.incomplete) whole = true;  // the stream has its other values already
    earlier = found->second.incomplete;
  }
  if (before != now) touch(before, std::nullopt);
  if (whole) {
    touch(now, std::nullopt);
    return;
  }
  known.places = earlier ? std::move(earlier->places)
                         : std::vector<Known::Place>{{.key = before, .since = {}}};
  if (before != now) known.places.push_back({.key = now, .since = xid});
  if (earlier) {
    for (std::size_t i = 0; i < known.cells.size(); ++i) {
      if (!known.cells[i] && i < earlier->cells.size()) known.cells[i] = earlier->cells[i];
    }
  }
  touch(now, std::move(known));
}

bool SnapshotWindow::touched(pg::Row row) const {
  return !touched_.empty() && key_text(text_, row, {}) && touched_.count(text_) > 0;
}

bool SnapshotWindow::has_incomplete() const {
  return !truncated_ && std::any_of(touched_.begin(), touched_.end(), [](const auto& one) {
    return one.second.incomplete.has_value();
  });
}

void SnapshotWindow::chunk_sees(const pg::Visibility& sees) {
  by_key_.clear();
  for (auto& [key, touched] : touched_) {
    if (!touched.incomplete) continue;
    const auto& places = touched.incomplete->places;
    const auto then = std::find_if(places.rbegin(), places.rend(), [&](const auto& place) {
      return !place.since || sees.sees(*place.since);
    });
    by_key_[then->key] = &*touched.incomplete;
  }
}

void SnapshotWindow::fill_from(pg::Row chunk_row) {
  if (!key_text(text_, chunk_row, {})) return;
  const auto row = by_key_.find(text_);
  if (row == by_key_.end()) return;
  Known& known = *row->second;
  known.filled.clear();
  for (std::size_t i = 0; i < known.cells.size(); ++i) {
    known.filled.push_back(known.cells[i] ? std::nullopt
                                          : std::optional<Cell>(owned(chunk_row[i])));
  }
}

std::vector<std::vector<pg::Value>> SnapshotWindow::complete() const {
  std::vector<std::vector<pg::Value>> rows;
  const auto value = [](const Cell& cell) {
    return cell ? pg::Value(std::string_view(*cell)) : pg::Value(pg::Null{});
  };
  for (const auto& [key, touched] : touched_) {
    // What the chunk lacks is another chunk's, which has it or will have it.
    if (!touched.incomplete || touched.incomplete->filled.empty()) continue;
    const Known& known = *touched.incomplete;
    std::vector<pg::Value> row;
    for (std::size_t i = 0; i < known.cells.size(); ++i) {
      row.push_back(value(known.cells[i] ? *known.cells[i] : *known.filled[i]));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace connector
