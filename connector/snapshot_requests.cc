// What an order changes of the progress. An order names tables, and a table may have several
// readings: its first, and what was asked for since.
#include <fmt/format.h>

#include <algorithm>

#include "connector/snapshot_progress.h"
#include "connector/table_selection.h"
#include "connector/terminal.h"

namespace connector {
namespace {

using Action = SnapshotOrder::Action;
using State = TableSnapshot::State;

constexpr std::size_t kept_when_over = 20;
// What all requests together may take in the one message that keeps them.
constexpr std::size_t most_waiting = 500;
constexpr std::size_t most_kept = 1000;
constexpr std::size_t most_answers = 50;
constexpr std::size_t most_where_bytes = 64U << 10;

// It was begun under one snapshot, of a table without a key: what is in the stream of it already
// would be all that the stream has.
bool read_whole(const TableSnapshot& reading) {
  return reading.state == State::running && !reading.key_of.empty() &&
         reading.key_of.find(' ') == std::string::npos;
}

bool means(Action action, const TableSnapshot& reading) {
  switch (action) {
    case Action::pause: return reading.wanted();
    case Action::resume: return reading.state == State::paused;
    case Action::cancel: return !reading.ended();
    case Action::snapshot: break;
  }
  return false;
}

std::string place_of(const TableSnapshot& reading) {
  return reading.steps.empty() ? "before its first row is stored"
                               : fmt::format("behind {} rows", human_number(reading.rows()));
}

// Returns what came of it.
std::string apply(Action action, TableSnapshot& reading) {
  const std::string place = place_of(reading);
  switch (action) {
    case Action::pause: reading.stop(State::paused, ""); return "paused " + place;
    case Action::cancel: reading.stop(State::cancelled, ""); return "cancelled " + place;
    case Action::resume:
      reading.state = State::waiting;
      return reading.steps.empty() ? "resumed" : "goes on " + place;
    case Action::snapshot: break;
  }
  return "";
}

}  // namespace

const TableSnapshot& SnapshotProgress::reading_of(const SnapshotRequest& request) const {
  if (!request.joined) return request.reading;
  if (request.joined->empty()) {
    const auto found = tables_.find(quoted_name(request.schema, request.table));
    return found == tables_.end() ? request.reading : found->second;
  }
  const auto found = std::find_if(requests_.begin(), requests_.end(), [&](const auto& other) {
    return other.id == *request.joined && other.schema == request.schema &&
           other.table == request.table;
  });
  return found == requests_.end() ? request.reading : found->reading;
}

void SnapshotProgress::tell_joined() { tell_joined(false); }

// One that is over stays as it was, whatever the other one becomes later; but where the stream has
// lost what both rest on, both go back.
void SnapshotProgress::tell_joined(bool again) {
  for (SnapshotRequest& request : requests_) {
    if (!request.joined || (request.reading.ended() && !again)) continue;
    const TableSnapshot& reading = reading_of(request);
    if (&reading == &request.reading) {
      // What it was one with is gone.
      if (!request.reading.ended()) request.joined.reset();
      continue;
    }
    request.reading.state = reading.state;
    request.reading.note = reading.note;
  }
}

bool SnapshotProgress::take(const SnapshotOrder& order, pg::Lsn at) {
  const bool known = std::any_of(requests_.begin(), requests_.end(),
                                 [&](const auto& request) { return request.id == order.id; });
  if (known) return false;
  const auto refuse = [&](const std::string& why) {
    SnapshotRequest refused{.id = order.id, .action = order.action, .asked_at = at};
    refused.reading.state = State::failed;
    refused.reading.note = why;
    requests_.push_back(std::move(refused));
  };
  if (order.action != Action::snapshot) {
    control(order, at);
  } else if (!has_room_for(order)) {
    refuse("too much has been asked for that is not over yet, or only just");
  } else {
    for (const auto& [schema, table] : order.tables) ask(order, schema, table, at);
  }
  const bool any = !requests_.empty() && requests_.back().id == order.id;
  if (!any) {
    refuse(order.action == Action::resume ? "no snapshot is paused"
                                          : "no snapshot is being read, or waits for that");
  }
  tell_joined();
  return true;
}

bool SnapshotProgress::has_room_for(const SnapshotOrder& order) const {
  std::size_t waiting = order.tables.size();
  std::size_t bytes = order.where.size() * order.tables.size();
  for (const SnapshotRequest& request : requests_) {
    if (request.reading.ended()) continue;
    ++waiting;
    bytes += request.where.size();
  }
  return waiting <= most_waiting && bytes <= most_where_bytes &&
         requests_.size() + order.tables.size() <= most_kept;
}

void SnapshotProgress::ask(const SnapshotOrder& order, const std::string& schema,
                           const std::string& table, pg::Lsn at) {
  SnapshotRequest request{.id = order.id,
                          .action = order.action,
                          .schema = schema,
                          .table = table,
                          .where = order.where,
                          .asked_at = at};
  request.reading.state = State::waiting;
  if (find({order.id, schema, table}) != nullptr) return;  // named twice
  // All rows are being read, or will be: once is enough.
  const auto first = tables_.find(quoted_name(schema, table));
  if (order.where.empty() && first != tables_.end() && !first->second.ended()) {
    request.joined = "";
  } else if (order.where.empty()) {
    for (const SnapshotRequest& other : requests_) {
      if (other.action == Action::snapshot && other.schema == schema && other.table == table &&
          other.where.empty() && !other.joined && !other.reading.ended()) {
        request.joined = other.id;
      }
    }
  }
  requests_.push_back(std::move(request));
}

void SnapshotProgress::control(const SnapshotOrder& order, pg::Lsn at) {
  std::map<std::pair<std::string, std::string>, std::vector<TableSnapshot*>> readings;
  for (const auto& name : order.tables) readings[name];
  const auto add = [&](const std::pair<std::string, std::string>& name, TableSnapshot& reading) {
    const bool named = order.tables.empty() || readings.count(name) > 0;
    if (named && means(order.action, reading)) readings[name].push_back(&reading);
  };
  for (auto& [name, table] : tables_) add(unquoted_name(name), table);
  for (SnapshotRequest& request : requests_) {
    if (request.action == Action::snapshot && !request.joined && !request.schema.empty()) {
      add({request.schema, request.table}, request.reading);
    }
  }
  std::vector<SnapshotRequest> answers;
  for (auto& [name, found] : readings) {
    SnapshotRequest answer{.id = order.id,
                           .action = order.action,
                           .schema = name.first,
                           .table = name.second,
                           .asked_at = at};
    answer.reading.state = found.empty() ? State::failed : State::complete;
    if (found.empty()) {
      answer.reading.note = order.action == Action::resume
                                ? "no snapshot of it is paused"
                                : "no snapshot of it is being read, or waits for that";
    }
    for (TableSnapshot* const reading : found) {
      if (order.action != Action::resume && read_whole(*reading)) {
        answer.reading.state = State::failed;
        answer.reading.note =
            "it has no key, so it is read in one go: stopped half-way, it would leave the stream "
            "with a part of it";
        continue;
      }
      const std::string came = apply(order.action, *reading);
      if (!answer.reading.note.empty()) answer.reading.note += "; ";
      answer.reading.note += came;
    }
    answers.push_back(std::move(answer));
  }
  if (answers.size() > most_answers) {
    const auto failed = std::find_if(answers.begin(), answers.end(), [](const auto& answer) {
      return answer.reading.state == State::failed;
    });
    SnapshotRequest all = failed == answers.end() ? answers.front() : *failed;
    all.reading.note = fmt::format("{} tables, one of them {}: {}", answers.size(),
                                   quoted_name(all.schema, all.table), all.reading.note);
    all.schema = all.table = "";
    answers.assign(1, all);
  }
  std::move(answers.begin(), answers.end(), std::back_inserter(requests_));
}

void SnapshotProgress::forget(pg::Lsn confirmed, publisher::StreamSequence kept) {
  const auto may_go = [&](const SnapshotRequest& request) {
    const TableSnapshot& reading = request.reading;
    return reading.ended() && !reading.unsettled && !reading.whole &&
           request.asked_at <= confirmed &&
           (reading.steps.empty() || reading.steps.back().rests_on <= kept);
  };
  auto over = static_cast<std::size_t>(std::count_if(
      requests_.begin(), requests_.end(), [](const auto& one) { return one.reading.ended(); }));
  std::erase_if(requests_, [&](const SnapshotRequest& request) {
    if (over <= kept_when_over || !may_go(request)) return false;
    --over;
    return true;
  });
}

}  // namespace connector
