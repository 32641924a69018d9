// Which table is read next, and how its reading begins.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connector/preconditions.h"
#include "connector/remedy.h"
#include "connector/snapshots.h"
#include "pg/error.h"

namespace connector {
namespace {

using State = TableSnapshot::State;

std::string key_of_table(const pg::SnapshotTable& table) {
  std::string text = std::to_string(table.relation.id.value);
  for (const auto& column : table.key) {
    text += fmt::format(" {} {} {}", column.expression, column.type, column.less);
  }
  return text;
}

std::vector<std::string> key_columns(const pg::SnapshotTable& table) {
  std::vector<std::string> names;
  names.reserve(table.key.size());
  for (const auto& column : table.key) names.push_back(table.relation.columns[column.place].name);
  return names;
}

}  // namespace

// A table that is not to be read any more keeps an entry that says so: rows of it may be in the
// stream, and an entry that looks as if it were being read would be counted with for ever.
void Snapshots::look() {
  first_.clear();
  unpublished_.clear();
  auto& tables = session_.snapshots.tables();
  bool changed = false;
  for (const pg::TableInfo& table : selection_.resolve(*session_.sql).tables) {
    const TableConfig* config = selection_.find(table.schema, table.name);
    if (config == nullptr || !config->snapshot) continue;
    const std::string name = quoted_name(table.schema, table.name);
    first_[name] = {.request = "", .schema = table.schema, .table = table.name};
    const auto [entry, is_new] = tables.try_emplace(name);
    const bool another = is_of_another(entry->second, table);
    const bool again = entry->second.state == State::failed && failed_.count(name) == 0;
    if (!is_new && !again && !another) continue;
    if (another) {
      spdlog::info("table {} was made anew: its rows are read first", readable_name(name));
      entry->second.forget_all();
    }
    entry->second.state = State::waiting;
    entry->second.note.clear();
    changed = true;
  }
  for (auto& [name, reading] : tables) {
    if (reading.ended() || first_.count(name) > 0) continue;
    spdlog::warn("the snapshot of table {} is given up: the table is gone, or is not to be read",
                 readable_name(name));
    reading.stop(State::failed, "the table is gone, or is not to be read any more");
    reading.steps.clear();
    changed = true;
  }
  changed |= forget_gone();
  if (changed) save();
  ordered();
}

// A table of this name was read that was dropped since. (What is not over finds that out itself.)
bool Snapshots::is_of_another(const TableSnapshot& reading, const pg::TableInfo& table) const {
  return reading.state == State::complete && !reading.key_of.empty() &&
         reading.key_of.substr(0, reading.key_of.find(' ')) != std::to_string(table.oid);
}

// What is over and is not to be read any more: where there is such a table again, all of it is new.
// Not while the stream could still lose what was read, nor while a change that was left out of it
// could be read again.
bool Snapshots::forget_gone() {
  const auto kept = session_.saved.rests_on.value_or(publisher::StreamSequence());
  return std::erase_if(session_.snapshots.tables(), [&](const auto& entry) {
           const TableSnapshot& reading = entry.second;
           return reading.ended() && first_.count(entry.first) == 0 && !reading.unsettled &&
                  !reading.whole &&
                  (reading.steps.empty() || reading.steps.back().rests_on <= kept);
         }) > 0;
}

// What was begun goes on, then what was asked for, then the tables that are still to be read first.
std::optional<SnapshotJob> Snapshots::next_job() {
  std::optional<SnapshotJob> asked;
  std::optional<SnapshotJob> first;
  for (const SnapshotRequest& request : session_.snapshots.requests()) {
    const bool ours = request.action == SnapshotRequest::Action::snapshot && !request.joined;
    if (!ours || !request.reading.wanted()) continue;
    SnapshotJob job{.request = request.id, .schema = request.schema, .table = request.table};
    if (has_step_of(job)) continue;
    if (request.reading.state == State::running) return job;
    if (!asked) asked = std::move(job);
  }
  std::erase_if(first_, [&](const auto& one) {
    const TableSnapshot* reading = session_.snapshots.find(one.second);
    return reading == nullptr || reading->ended();
  });
  for (const auto& [name, job] : first_) {
    const TableSnapshot& reading = *session_.snapshots.find(job);
    if (!reading.wanted() || unpublished_.count(name) > 0 || has_step_of(job)) continue;
    if (reading.state == State::running) return job;
    if (!first) first = job;
  }
  return asked ? asked : first;
}

std::optional<pg::SnapshotTable> Snapshots::describe(const SnapshotJob& job) {
  if (!sql_) sql_.emplace(pg::SqlSession::open(config_.source.dsn));
  // Under one snapshot: an ALTER TABLE that commits in between would leave a table without its key.
  sql_->exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  auto described = pg::snapshot_table(*sql_, job.schema, job.table, session_.publications);
  sql_->exec("COMMIT");
  return described;
}

// The planner's guess, which knows tables that were never analysed, partitions, and `where` a
// little. Whoever locks the table must not hold up the pump: then there is none.
std::uint64_t Snapshots::expected_rows(const pg::SnapshotTable& table, const std::string& where) {
  try {
    sql_->exec("BEGIN READ ONLY; SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 1000");
    const pg::PgResult plan = sql_->exec("EXPLAIN (FORMAT JSON) SELECT FROM " + table.from() +
                                         (where.empty() ? std::string() : " WHERE " + where));
    const auto json = nlohmann::json::parse(pg::cell(plan, 0, 0));
    sql_->exec("ROLLBACK");
    return json.at(0).at("Plan").at("Plan Rows").get<std::uint64_t>();
  } catch (const pg::Error& error) {
    spdlog::debug("how many rows table {} has is not known: {}", readable_name(name_),
                  one_line(error.what()));
    sql_.reset();
    return 0;
  }
}

std::string Snapshots::where_of(const SnapshotJob& job) const {
  const TableConfig* config = selection_.find(job.schema, job.table);
  std::string where = config->where;
  for (const SnapshotRequest& request : session_.snapshots.requests()) {
    if (request.id != job.request || request.where.empty() || request.schema != job.schema ||
        request.table != job.table) {
      continue;
    }
    where = where.empty() ? request.where : fmt::format("({}\n) AND ({}\n)", where, request.where);
  }
  return where;
}

std::string Snapshots::obstacle(const SnapshotJob& job,
                                const std::optional<pg::SnapshotTable>& table) const {
  const TableConfig* config = selection_.find(job.schema, job.table);
  if (config == nullptr) return "it is not captured by this walferry's configuration";
  if (config->outbox) return "it is an outbox, whose rows are events";
  if (!table) return "there is no such table";
  if (job.request.empty()) return "";
  if (!table->published) return "it is in none of walferry's publications";
  if (table->key.empty() && where_of(job) != config->where) {
    return "it has no key, so it is read whole: some of its rows cannot be read alone";
  }
  return "";
}

void Snapshots::begin(const SnapshotJob& job) {
  auto table = describe(job);
  const std::string why = obstacle(job, table);
  if (!why.empty()) {
    give_up(job, why);
    return;
  }
  name_ = job.name();
  if (!table->published) {
    spdlog::warn("table {} is in no publication yet: its snapshot waits for that",
                 readable_name(name_));
    unpublished_.insert(name_);
    return;
  }
  TableSnapshot& reading = *session_.snapshots.find(job);
  reading.state = State::running;
  reading.note.clear();
  if (reading.key_of != key_of_table(*table)) begin_anew(reading, *table);
  reading.key = key_columns(*table);
  const std::string where = where_of(job);
  reading.about = expected_rows(*table, where);
  rows_ = reading.rows();
  published_to_.reset();
  all_read_ = false;
  if (!reading.steps.empty()) {
    published_to_ = reading.steps.back().after;
    all_read_ = reading.steps.back().end;
  }
  save();
  job_ = job;
  table_ = std::move(table);
  said_rows_ = rows_;
  next_word_ = Clock::now() + say_interval;
  rate_.begin(rows_, Clock::now());
  spdlog::info("snapshot of table {}{}: {}", readable_name(name_),
               job_.request.empty() ? "" : ", asked for",
               table_->key.empty() ? "begins; without a key it is read in one go, and no changes "
                                     "are published meanwhile"
               : published_to_     ? fmt::format("goes on behind {} rows", rows_)
                                   : std::string("begins"));
  watched_.clear();
  begin_reading();
}

void Snapshots::begin_anew(TableSnapshot& reading, const pg::SnapshotTable& table) {
  reading.forget_all();
  reading.key_of = key_of_table(table);
  reading.key = key_columns(table);
  all_read_ = false;
  published_to_.reset();
  rows_ = 0;
}

}  // namespace connector
