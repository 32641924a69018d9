#include "connector/diff_round.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "connector/diff_choice.h"
#include "connector/diff_reading.h"
#include "connector/diff_sums.h"
#include "connector/failpoint.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "pg/error.h"

namespace connector {
namespace {

using outbox::BlockRange;
using outbox::DiffTable;
using outbox::StateBlock;
using pg::cell;

constexpr std::uint64_t smallest_block = 1024;  // rows
constexpr std::uint64_t most_blocks = 16384;    // of a table: they bound what is in memory

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// What a filter says of a row that it fails on may quote the row.
[[noreturn]] void fail_filtered(const DiffTable& table, const pg::Error& error) {
  if (table.where.empty() || error.sqlstate().substr(0, 2) != "22") throw;
  throw Stop(Exit::precondition,
             fmt::format("reading table {}: its where fails, with SQLSTATE {}", table.name(),
                         error.sqlstate()),
             "correct where so that it holds or does not for every row");
}

[[noreturn]] void refuse_key(const outbox::DiffTable& table) {
  throw Stop(Exit::precondition,
             fmt::format("table {}: two rows have the same key, so no change can name its row",
                         table.name()),
             "configure a key that is unique, or leave key out");
}

// An application's transaction must not be ended for a lock that waits here: it is given up before
// deadlock_timeout, and tried again. Also where the table is dropped meanwhile.
void lock(pg::SqlSession& reader, const outbox::DiffTable& table) {
  try {
    reader.exec(table.lock_query());
  } catch (const pg::Error& error) {
    const bool gone = error.sqlstate() == "42P01" || error.sqlstate() == "3F000";
    if (!gone) throw;
    throw pg::Error(fmt::format("table {} was dropped when it was to be read", table.name()),
                    "55P03");
  }
}

void require_pattern_of_unlogged(const DiffTable& table, const TableConfig& config) {
  const std::string what = unlogged_on_standby(table.name());
  if (!config.pattern) throw Stop(Exit::precondition, what, unlogged_hint);
  spdlog::warn("{}: nothing is published of it", what);
}

}  // namespace

DiffRound::DiffRound(const Config& config, const DiffStore& store, pqxx::connection& sql,
                     pg::SqlSession& reader, const DiffManifest* before, std::function<void()> tick)
    : config_(config),
      store_(store),
      reader_(reader),
      before_(before),
      tick_(std::move(tick)),
      encoder_(config, sql) {}

DiffManifest::Hidden DiffRound::hidden_before(const std::string& name) const {
  if (before_ == nullptr) return {};
  const auto found = before_->tables.find(name);
  return found == before_->tables.end() ? DiffManifest::Hidden() : found->second.hidden;
}

bool DiffRound::keeps_text(const Job& job) const {
  return job.due->config->diff->before || !job.table.keyed();
}

// The locks come before the snapshot: a TRUNCATE or a rewrite that commits between the two would
// otherwise show as an empty table.
void DiffRound::look(const std::vector<DueTable>& due, pg::Lsn last) {
  std::vector<Job> jobs;
  for (const DueTable& one : due) {
    auto found = outbox::diff_table(reader_, one.schema, one.table, choice_of(*one.config));
    if (!found) {
      spdlog::warn("table {}.{} is gone: nothing is published of it while it is", one.schema,
                   one.table);
      continue;
    }
    if (found->unlogged_on_standby) {
      require_pattern_of_unlogged(*found, *one.config);
      continue;
    }
    jobs.push_back({.due = &one, .table = std::move(*found)});
  }
  reader_.exec(pg::no_transaction_timeout);
  reader_.exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  reader_.exec("SET LOCAL row_security = off");
  reader_.exec("SET LOCAL statement_timeout = 0");
  reader_.exec("SET LOCAL idle_in_transaction_session_timeout = 0");
  reader_.exec("SET LOCAL lock_timeout = '500ms'");
  for (const Job& job : jobs) lock(reader_, job.table);
  // The functions are called once the snapshot is there: what it sees was written before.
  const pg::PgResult seen = reader_.exec(
      "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
      "ELSE pg_catalog.pg_current_wal_insert_lsn() END, "
      "(extract(epoch FROM now() - '2000-01-01 00:00:00+00') * 1000000)::int8, "
      "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
  lsn_ = pg::parse_lsn(cell(seen, 0, 0)).value();
  // A standby's position lags behind what is visible by the record that is being replayed, and goes
  // back when it is replaced. The ids of a round must never have been used.
  if (lsn_ <= last) lsn_ = pg::Lsn(last.value + 1);
  read_at_.micros = number<std::int64_t>(cell(seen, 0, 1));
  at_ = cell(seen, 0, 2);
  // As of the snapshot: with the locks held it is what will be read.
  for (Job& job : jobs) {
    auto now =
        outbox::diff_table(reader_, job.due->schema, job.due->table, choice_of(*job.due->config));
    if (!now || now->relation.id != job.table.relation.id) {
      throw pg::Error(fmt::format("table {} was altered meanwhile", job.table.name()), "55P03");
    }
    job.table = std::move(*now);
    require_choice(job.table, *job.due->config, hidden_before(job.due->name));
    jobs_.push_back(std::move(job));
  }
}

std::optional<DiffManifest> DiffRound::run(const std::vector<DueTable>& due,
                                           const std::set<std::string>& captured, pg::Lsn last) {
  look(due, last);
  next_ = {};
  if (before_ != nullptr) {
    next_.parent = before_->lsn;
    for (const auto& [name, table] : before_->tables) {
      if (!captured.contains(name)) continue;
      DiffManifest::Table& entry = next_.tables[name] = table;
      entry.from = entry.to = 0;
    }
    anything_ = next_.tables.size() != before_->tables.size();
  }
  next_.lsn = lsn_;
  next_.read_at = read_at_.micros;
  next_.max_message = config_.publish.max_message;
  const pg::PgResult probe = reader_.exec(DiffTable::probe_query(1));
  probe_ = number<std::int64_t>(cell(probe, 0, 0));
  hashes_agree_ = probe_ == DiffTable::probe_hash(1);
  encoder_.begin_round(lsn_, read_at_);
  out_.emplace(store_.round_file(lsn_));
  for (std::size_t i = 0; i < jobs_.size(); ++i) compare(jobs_[i], i);
  reader_.exec("COMMIT");
  if (!anything_) {
    out_.reset();
    return std::nullopt;
  }
  out_->commit(next_);
  out_.reset();
  pass(Failpoint::diff_round_written);
  return next_;
}

void DiffRound::compare(const Job& job, std::size_t number_of_table) {
  const auto began = std::chrono::steady_clock::now();
  DiffManifest::Table& entry = next_.tables[job.due->name];
  auto hidden = hidden_columns(job.table, *job.due->config);
  anything_ = anything_ || hidden != entry.hidden;
  entry.hidden = std::move(hidden);
  OldState old = open_state(store_, job.table, entry, probe_);
  const DiffSettings& settings = *job.due->config->diff;
  std::optional<std::vector<bool>> changed;
  if (old.state && hashes_agree_ && old.same_columns && old.keeps_text == keeps_text(job)) {
    try {
      changed = changed_blocks(reader_, job.table, old);
    } catch (const pg::Error& error) {
      fail_filtered(job.table, error);
    }
  }
  DiffWork::Table& done = done_[job.due->name];
  done.lsn = lsn_;
  done.at = at_;
  const auto finish = [&] {
    done.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  if (changed && std::find(changed->begin(), changed->end(), true) == changed->end()) {
    done.rows = old.state->rows();
    done.read = "nothing";
    finish();
    return;
  }
  if (!check(old, job.table)) changed.reset();
  std::optional<std::vector<BlockRange>> runs;
  if (changed && old.state->blocks().size() <= 2 * most_blocks) {
    runs = runs_to_read(job.table, *changed);
  }
  const bool keep = keeps_text(job);
  const outbox::Seeds seeds = old.state ? old.seeds : outbox::draw_seeds();
  const auto rows = static_cast<double>(old.state ? old.state->rows() : 0);
  const auto per_block =
      std::max(smallest_block,
               static_cast<std::uint64_t>(std::max(rows, job.table.estimated_rows)) / most_blocks);
  encoder_.begin_table(job.table, *job.due->config,
                       settings.before && old.keeps_text && old.same_columns, entry.shape, *out_);
  entry.settings = choice_fingerprint(config_, *job.due->config);
  entry.from = out_->messages();
  const std::string state = DiffStore::state_name(lsn_, number_of_table);
  outbox::StateWriter next(store_.state_file(state), state_head(job.table, seeds, keep, probe_),
                           per_block);
  if (runs) {
    read_ranges(job, old, *runs, next);
  } else {
    read_all(job, old, next, seeds);
  }
  next.commit();
  pass(Failpoint::diff_state_written);
  if (!old.state && !old.begins_again && !settings.first_is_snapshot) {
    spdlog::info("table {}: {} rows are its baseline; changes are published from here on",
                 job.table.name(), human_number(next.rows()));
  }
  entry.state = state;
  entry.to = out_->messages();
  entry.restart = false;
  anything_ = true;
  const DiffEncoder::Counts& counts = encoder_.counts();
  done.rows = next.rows();
  done.inserts = counts.inserts;
  done.updates = counts.updates;
  done.deletes = counts.deletes;
  done.snapshots = counts.snapshots;
  done.read = runs ? "ranges" : "all";
  finish();
}

void DiffRound::read_all(const Job& job, OldState& old, outbox::StateWriter& next,
                         const outbox::Seeds& seeds) {
  const bool first = !old.state;
  const bool as_snapshot = first && (old.begins_again || job.due->config->diff->first_is_snapshot);
  if (old.begins_again) encoder_.restart();
  if (old.state) old.state->begin(0, old.state->blocks().size());
  outbox::TableMerge merge({.seeds = seeds,
                            .keyed = job.table.keyed(),
                            .keep_text = keeps_text(job),
                            .all_differ = !first && !old.same_columns},
                           old.state ? &*old.state : nullptr, next,
                           [&](const outbox::RowChange& change) {
                             if (!first) {
                               encoder_.change(change);
                             } else if (as_snapshot) {
                               encoder_.snapshot(change.text);
                             }
                           });
  DiffReading reading(reader_, job.table, seeds.columns, tick_);
  try {
    reading.begin(job.table.read_query(seeds.columns));
    while (const outbox::NewRow* row = reading.next()) merge.row(*row);
  } catch (const pg::Error& error) {
    fail_filtered(job.table, error);
  } catch (const outbox::AmbiguousKey&) {
    refuse_key(job.table);
  }
  merge.finish();
  if (as_snapshot) encoder_.complete(encoder_.counts().snapshots);
}

void DiffRound::read_ranges(const Job& job, OldState& old, const std::vector<BlockRange>& runs,
                            outbox::StateWriter& next) {
  const std::vector<StateBlock>& blocks = old.state->blocks();
  DiffReading reading(reader_, job.table, old.seeds.columns, tick_);
  std::size_t at = 0;
  const auto keep_until = [&](std::size_t block) {
    for (; at < block; ++at) next.copy(blocks[at], old.state->bytes(at));
  };
  try {
    for (const BlockRange& run : runs) {
      keep_until(run.from);
      old.state->begin(run.from, run.to);
      outbox::TableMerge merge({.seeds = old.seeds, .keyed = true, .keep_text = keeps_text(job)},
                               &*old.state, next,
                               [&](const outbox::RowChange& change) { encoder_.change(change); });
      next.begin_range(blocks[at].begin);
      reading.begin(job.table.read_query(old.seeds.columns, blocks, run));
      while (const outbox::NewRow* row = reading.next()) {
        const std::size_t before = at;
        while (at + 1 < run.to && row->key >= blocks[at + 1].begin) ++at;
        if (at != before) next.begin_range(blocks[at].begin);
        merge.row(*row);
      }
      merge.finish();
      at = run.to;
    }
  } catch (const pg::Error& error) {
    fail_filtered(job.table, error);
  } catch (const outbox::AmbiguousKey&) {
    refuse_key(job.table);
  }
  keep_until(blocks.size());
}

}  // namespace connector
