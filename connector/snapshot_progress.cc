#include "connector/snapshot_progress.h"

#include <algorithm>
#include <array>

#include "connector/table_selection.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr std::size_t most_steps = 12;
// Of the steps of readings that are complete.
constexpr std::size_t most_old_bytes = 128U << 10;

std::size_t size_of(const pg::Key& key) {
  std::size_t bytes = 0;
  for (const std::string& value : key) bytes += value.size() + 4;
  return bytes;
}

std::size_t size_of(const TableSnapshot& reading) {
  constexpr std::size_t each = 48;
  std::size_t bytes = reading.key_of.size();
  for (const pg::Key& key : reading.moved) bytes += size_of(key);
  for (const SnapshotStep& step : reading.steps) {
    bytes += each;
    if (step.after) bytes += size_of(*step.after);
  }
  return bytes;
}

}  // namespace

const char* name_of(TableSnapshot::State state) {
  constexpr std::array<const char*, 6> names{"waiting",   "running", "paused",
                                             "cancelled", "failed",  "complete"};
  return names[static_cast<std::size_t>(state)];
}

std::string SnapshotJob::name() const { return quoted_name(schema, table); }

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

void TableSnapshot::forget_all() {
  steps.clear();
  moved.clear();
  key_of.clear();
}

void TableSnapshot::stop(State as, std::string why) {
  unsettled = unsettled || state == State::running;
  state = as;
  note = std::move(why);
  rate = 0;
}

std::optional<double> TableSnapshot::share() const {
  if (state == State::complete) return 1;
  if (about == 0) return std::nullopt;
  // The rest is always more than nothing, whatever was expected.
  return std::min(static_cast<double>(rows()) / static_cast<double>(about), 0.99);
}

std::optional<double> TableSnapshot::seconds_left() const {
  const auto done = share();
  if (state != State::running || !done || rate == 0) return std::nullopt;
  return (1 - *done) * static_cast<double>(about) / static_cast<double>(rate);
}

TableSnapshot* SnapshotProgress::find(const SnapshotJob& job) {
  if (job.request.empty()) {
    const auto found = tables_.find(job.name());
    return found == tables_.end() ? nullptr : &found->second;
  }
  const auto found = std::find_if(requests_.begin(), requests_.end(), [&](const auto& request) {
    return request.id == job.request && request.schema == job.schema && request.table == job.table;
  });
  return found == requests_.end() ? nullptr : &found->reading;
}

void SnapshotProgress::for_each(const std::function<void(TableSnapshot&)>& visit) {
  for (auto& [name, table] : tables_) visit(table);
  for (SnapshotRequest& request : requests_) {
    if (!request.joined) visit(request.reading);
  }
}

void SnapshotProgress::for_each(const std::function<void(const TableSnapshot&)>& visit) const {
  for (const auto& [name, table] : tables_) visit(table);
  for (const SnapshotRequest& request : requests_) {
    if (!request.joined) visit(request.reading);
  }
}

bool SnapshotProgress::take_back(const std::string& created, StreamSequence last) {
  bool changed = false;
  if (stream_created != created) {
    changed = !tables_.empty();
    tables_.clear();
    stream_created = created;
    for (SnapshotRequest& request : requests_) {
      request.reading.steps.clear();
      request.reading.whole.reset();
      request.reading.unsettled = false;
    }
  }
  for_each([&](TableSnapshot& table) {
    if (table.steps.empty() || table.steps.back().rests_on <= last) return;
    changed = true;
    if (table.state == TableSnapshot::State::complete) table.state = TableSnapshot::State::running;
    table.whole.reset();
    while (!table.steps.empty() && table.steps.back().rests_on > last) table.steps.pop_back();
  });
  tell_joined(changed);
  whole_changed();
  return changed;
}

bool SnapshotProgress::settle(StreamSequence at) {
  bool any = false;
  for_each([&](TableSnapshot& table) {
    if (!table.unsettled) return;
    any = true;
    table.unsettled = false;
    if (!table.steps.empty() && table.steps.back().rests_on >= at) return;
    SnapshotStep step = table.steps.empty() ? SnapshotStep() : table.steps.back();
    step.rests_on = at;
    table.add(std::move(step));
  });
  return any;
}

bool SnapshotProgress::may_have_rows_behind(StreamSequence sequence) const {
  bool may = false;
  for_each([&](const TableSnapshot& table) {
    may = may || table.state == TableSnapshot::State::running || table.unsettled ||
          (!table.steps.empty() && table.steps.back().rests_on > sequence);
  });
  return may;
}

bool SnapshotProgress::contains(const std::string& table, pg::Lsn commit,
                                pg::TransactionId xid) const {
  // A commit record that begins where the mark's ends comes after it.
  const auto has = [&](const TableSnapshot& reading) {
    const auto& whole = reading.whole;
    return whole && commit >= whole->mark && commit <= whole->wal_end && whole->sees.sees(xid);
  };
  const auto found = tables_.find(table);
  if (found != tables_.end() && has(found->second)) return true;
  return std::any_of(requests_.begin(), requests_.end(), [&](const SnapshotRequest& request) {
    return has(request.reading) && quoted_name(request.schema, request.table) == table;
  });
}

void SnapshotProgress::whole_changed() {
  whole_to_ = pg::Lsn();
  for_each([&](const TableSnapshot& table) {
    if (table.whole) whole_to_ = std::max(whole_to_, table.whole->wal_end);
  });
}

bool SnapshotProgress::drop_whole_before(pg::Lsn read_from) {
  bool dropped = false;
  for_each([&](TableSnapshot& table) {
    if (!table.whole || table.whole->wal_end >= read_from) return;
    table.whole.reset();
    dropped = true;
  });
  whole_changed();
  return dropped;
}

// A stream loses its end: the readings that were completed last are those that may have to go back
// a little. Any other that must go back after all begins again, which costs time and loses nothing.
void SnapshotProgress::thin() {
  std::vector<TableSnapshot*> complete;
  for_each([&](TableSnapshot& table) {
    if (table.state != TableSnapshot::State::complete || table.steps.empty()) return;
    table.about = table.rate = 0;
    if (table.steps.size() > 1 || !table.key_of.empty()) complete.push_back(&table);
  });
  std::sort(complete.begin(), complete.end(), [](const TableSnapshot* one, const auto* other) {
    return one->steps.back().rests_on > other->steps.back().rests_on;
  });
  std::size_t bytes = 0;
  for (TableSnapshot* const table : complete) {
    bytes += size_of(*table);
    if (bytes <= most_old_bytes) continue;
    table->steps.erase(table->steps.begin(), table->steps.end() - 1);
    table->steps.back().after.reset();
    table->key_of.clear();
    table->moved.clear();
  }
}

}  // namespace connector
