#include "connector/diff_round.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "connector/failpoint.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "connector/work_progress.h"
#include "outbox/sort_key.h"
#include "pg/copy_text.h"
#include "pg/error.h"

namespace connector {
namespace {

using outbox::DiffTable;
using outbox::HashSum;
using outbox::StateBlock;
using pg::cell;

constexpr std::uint64_t smallest_block = 1024;     // rows
constexpr std::uint64_t most_blocks = 16384;       // of a table: they bound what is in memory
constexpr std::uint64_t worth_ranges_divisor = 4;  // more changed blocks than 1/4: all is read
constexpr unsigned rows_a_tick = 256;

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

HashSum sum_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  HashSum sum = 0;
  for (const char c : text.substr(negative ? 1 : 0)) sum = sum * 10 + (c - '0');
  return negative ? -sum : sum;
}

// What a filter says of a row that it fails on may quote the row.
[[noreturn]] void fail_filtered(const DiffTable& table, const pg::Error& error) {
  if (table.where.empty() || error.sqlstate().substr(0, 2) != "22") throw;
  throw Stop(Exit::precondition,
             fmt::format("reading table {}: its where fails, with SQLSTATE {}", table.name(),
                         error.sqlstate()),
             "correct where so that it holds or does not for every row");
}

outbox::DiffChoice choice_of(const TableConfig& config) {
  return {.columns = config.columns,
          .exclude = config.exclude,
          .key = config.key,
          .where = config.where};
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

}  // namespace

DiffRound::DiffRound(const Config& config, const DiffStore& store, pqxx::connection& sql,
                     pg::SqlSession& reader, const DiffManifest* before, std::function<void()> tick)
    : config_(config),
      store_(store),
      reader_(reader),
      before_(before),
      tick_(std::move(tick)),
      encoder_(config, sql) {}

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
    jobs.push_back({.due = &one, .table = std::move(*found)});
  }
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
    if (!job.table.missing.empty()) {
      throw Stop(Exit::precondition,
                 fmt::format("table {} has no column \"{}\", which its [[table]] names",
                             job.table.name(), job.table.missing.front()),
                 "correct columns, exclude, mask or key");
    }
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
      if (captured.contains(name)) next_.tables[name] = table;
    }
    anything_ = next_.tables.size() != before_->tables.size();
  }
  next_.lsn = lsn_;
  next_.read_at = read_at_.micros;
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

// Where the statistics say that the changes are all over the table, its sums would only tell so.
bool DiffRound::worth_asking(const Job& job, const OldState& old, const DiffManifest::Table& entry,
                             std::optional<std::uint64_t> scattered) const {
  if (!hashes_agree_ || !old.same_columns) return false;
  if (!job.table.ranged() || !scattered || *scattered < entry.scattered) return true;
  return (*scattered - entry.scattered) * worth_ranges_divisor < old.state->blocks().size() + 16;
}

std::optional<std::vector<bool>> DiffRound::changed_blocks(const Job& job, const OldState& old) {
  const std::vector<StateBlock>& blocks = old.state->blocks();
  const pg::PgResult sums = reader_.exec(job.table.sums_query(blocks, old.seeds.columns));
  if (!job.table.ranged() || blocks.size() < 2) {
    HashSum sum = 0;
    for (const StateBlock& block : blocks) sum += block.sum;
    const bool empty = PQntuples(sums.get()) == 0;
    const std::uint64_t rows = empty ? 0 : number<std::uint64_t>(cell(sums, 0, 1));
    const bool same =
        rows == old.state->rows() && (empty ? HashSum{0} : sum_of(cell(sums, 0, 2))) == sum;
    return std::vector<bool>(std::max<std::size_t>(blocks.size(), 1), !same);
  }
  std::vector<bool> changed(blocks.size(), true);
  for (int i = 0; i < PQntuples(sums.get()); ++i) {
    const auto block = number<std::size_t>(cell(sums, i, 0));
    changed.at(block) = number<std::uint64_t>(cell(sums, i, 1)) != blocks[block].rows ||
                        sum_of(cell(sums, i, 2)) != blocks[block].sum;
  }
  return changed;
}

void DiffRound::compare(const Job& job, std::size_t number_of_table) {
  const auto began = std::chrono::steady_clock::now();
  DiffManifest::Table& entry = next_.tables[job.due->name];
  OldState old = open_state(store_, job.table, entry, probe_);
  const DiffSettings& settings = *job.due->config->diff;
  const auto scattered = outbox::scattered_changes(reader_, job.table);
  std::optional<std::vector<bool>> changed;
  if (old.state && worth_asking(job, old, entry, scattered) && old.keeps_text == keeps_text(job)) {
    try {
      changed = changed_blocks(job, old);
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
  const auto differing =
      changed ? static_cast<std::size_t>(std::count(changed->begin(), changed->end(), true)) : 0;
  if (changed && differing == 0) {
    done.rows = old.state->rows();
    done.read = "nothing";
    finish();
    return;
  }
  if (!check(old, job.table)) changed.reset();
  const bool ranges = changed && job.table.ranged() && old.state->blocks().size() > 1 &&
                      old.state->blocks().size() <= 2 * most_blocks &&
                      differing * worth_ranges_divisor <= changed->size();
  const bool keep = keeps_text(job);
  const outbox::Seeds seeds = ranges ? old.seeds : (old.state ? old.seeds : outbox::draw_seeds());
  const auto rows = static_cast<double>(old.state ? old.state->rows() : 0);
  const auto per_block =
      std::max(smallest_block,
               static_cast<std::uint64_t>(std::max(rows, job.table.estimated_rows)) / most_blocks);
  encoder_.begin_table(job.table, *job.due->config,
                       settings.before && old.keeps_text && old.same_columns, entry.shape, *out_);
  const std::string state = DiffStore::state_name(lsn_, number_of_table);
  outbox::StateWriter next(store_.state_file(state), state_head(job.table, seeds, keep, probe_),
                           per_block);
  if (ranges) {
    read_ranges(job, old, *changed, next);
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
  entry.restart = false;
  entry.scattered = scattered.value_or(0);
  anything_ = true;
  const DiffEncoder::Counts& counts = encoder_.counts();
  done.rows = next.rows();
  done.inserts = counts.inserts;
  done.updates = counts.updates;
  done.deletes = counts.deletes;
  done.snapshots = counts.snapshots;
  done.read = ranges ? "ranges" : "all";
  finish();
}

template <class Row>
void DiffRound::copy(const Job& job, const std::string& query, std::uint64_t seed, Row row) {
  const DiffTable& table = job.table;
  std::string key;
  unsigned since_tick = 0;
  std::uint64_t rows = 0;
  WorkProgress progress(fmt::format("reading table {}", table.name()), "rows",
                        static_cast<std::uint64_t>(table.estimated_rows));
  reader_.begin_copy(query);
  while (auto line = reader_.copied()) {
    if (++since_tick >= rows_a_tick) {
      since_tick = 0;
      rows += rows_a_tick;
      progress.report(rows);
      tick_();
    }
    pass(Failpoint::diff_reading);
    std::string_view text = *line;
    if (text.ends_with('\n')) text.remove_suffix(1);
    outbox::NewRow read;
    key.clear();
    if (!table.keyed()) {
      const std::size_t end = text.find('\t');
      read.server_hash = number<std::int64_t>(text.substr(0, end));
      outbox::append_integer(key, read.server_hash);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    } else {
      pg::split_copy_line(text, table.relation.columns.size(), unescaped_, row_);
      table.key_of(row_, key);
      read.server_hash = table.hasher(row_, seed);
    }
    read.key = key;
    read.text = text;
    row(read);
  }
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
  try {
    copy(job, job.table.read_query(seeds.columns), seeds.columns,
         [&](const outbox::NewRow& row) { merge.row(row); });
  } catch (const pg::Error& error) {
    fail_filtered(job.table, error);
  } catch (const outbox::AmbiguousKey&) {
    refuse_key(job.table);
  }
  merge.finish();
  if (as_snapshot) encoder_.complete(encoder_.counts().snapshots);
}

// Neighbours are read at once.
void DiffRound::read_ranges(const Job& job, OldState& old, const std::vector<bool>& changed,
                            outbox::StateWriter& next) {
  const std::vector<StateBlock>& blocks = old.state->blocks();
  for (std::size_t from = 0; from < blocks.size();) {
    if (!changed[from]) {
      next.copy(blocks[from], old.state->bytes(from));
      ++from;
      continue;
    }
    std::size_t to = from;
    while (to < blocks.size() && changed[to]) ++to;
    std::optional<std::int64_t> first;
    std::optional<std::int64_t> below;
    if (from > 0) first = outbox::integer_of(blocks[from].begin);
    if (to < blocks.size()) below = outbox::integer_of(blocks[to].begin);
    old.state->begin(from, to);
    outbox::TableMerge merge({.seeds = old.seeds, .keyed = true, .keep_text = keeps_text(job)},
                             &*old.state, next,
                             [&](const outbox::RowChange& change) { encoder_.change(change); });
    next.begin_range(blocks[from].begin);
    std::size_t block = from;
    try {
      copy(job, job.table.read_query(old.seeds.columns, first, below), old.seeds.columns,
           [&](const outbox::NewRow& row) {
             const std::size_t before = block;
             while (block + 1 < to && row.key >= blocks[block + 1].begin) ++block;
             if (block != before) next.begin_range(blocks[block].begin);
             merge.row(row);
           });
    } catch (const outbox::AmbiguousKey&) {
      refuse_key(job.table);
    }
    merge.finish();
    from = to;
  }
}

}  // namespace connector
