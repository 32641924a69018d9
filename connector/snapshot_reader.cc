#include "connector/snapshot_reader.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "connector/config_values.h"
#include "connector/copy_row.h"
#include "connector/failpoint.h"
#include "connector/remedy.h"
#include "pg/error.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_chunk_bytes = 4U << 20;
constexpr std::size_t most_bytes_in_flight = 16U << 20;
constexpr std::size_t most_pieces = 4;  // of a table without a key
// A slot that is up to date tells of a low mark within this.
constexpr milliseconds telling_limit{500};
constexpr milliseconds look_interval{20};
constexpr std::chrono::seconds say_interval{10};

// Chunks want the index that they are cut by, whatever the statistics say; and no row may be hidden
// by a row security policy without a word.
constexpr const char* session_settings =
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off;"
    "SET max_parallel_workers_per_gather = 0; SET row_security = off; SET lock_timeout = '10s'";

std::string readable(const pg::SnapshotTable& table) {
  return table.relation.schema + "." + table.relation.name;
}

pg::Key key_in(const pg::SnapshotTable& table, std::string_view line) {
  CopyRow copy;
  const pg::Row row = copy.parse(line, table.relation.columns.size());
  pg::Key key;
  for (const auto& column : table.key) {
    const auto* text = std::get_if<std::string_view>(&row[column.place]);
    key.emplace_back(text == nullptr ? std::string_view() : *text);
  }
  return key;
}

// The table is gone, or has other columns or types than it was described with.
bool is_of_another_shape(const std::exception& error) {
  const auto* postgres = dynamic_cast<const pg::Error*>(&error);
  if (postgres == nullptr) return false;
  const std::string& state = postgres->sqlstate();
  return state == "42P01" || state == "42703" || state == "42883" || state == "3F000";
}

}  // namespace

SnapshotReader::SnapshotReader(Settings settings, std::function<void()> wake)
    : settings_(std::move(settings)), wake_(std::move(wake)) {
  sessions_.resize(settings_.workers, nullptr);
  for (std::size_t i = 0; i < settings_.workers; ++i) {
    workers_.emplace_back([this, i] { work(i); });
  }
}

SnapshotReader::~SnapshotReader() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
    for (const pg::SqlSession* session : sessions_) {
      if (session != nullptr) session->cancel();
    }
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void SnapshotReader::begin(pg::SnapshotTable table, std::string where,
                           std::optional<pg::Key> after) {
  end();
  {
    const Lock lock(mutex_);
    job_ = std::make_shared<Job>(Job{std::move(table), std::move(where)});
    planned_to_ = std::move(after);
    rows_a_chunk_ = settings_.chunk_rows;
  }
  changed_.notify_all();
}

void SnapshotReader::end() {
  const Lock lock(mutex_);
  ++epoch_;
  job_.reset();
  joined_ = planned_all_ = false;
  planned_to_.reset();
  in_flight_.clear();
  trouble_.reset();
  changed_.notify_all();
}

SnapshotReader::Chunk SnapshotReader::low_mark(std::uint64_t id,
                                               std::vector<pg::TransactionId> must_see) {
  const Lock lock(mutex_);
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                  [&](const Chunk& chunk) { return chunk->id == id; });
  if (found == in_flight_.end()) return nullptr;
  (*found)->told = true;
  (*found)->must_see = std::move(must_see);
  changed_.notify_all();
  return *found;
}

SnapshotReader::Chunk SnapshotReader::high_mark(std::uint64_t id) {
  const Lock lock(mutex_);
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Chunk& chunk) {
    return chunk->id == id && chunk->read;
  });
  return found == in_flight_.end() ? nullptr : *found;
}

std::optional<std::string> SnapshotReader::take_piece(SnapshotChunk& chunk) {
  const Lock lock(mutex_);
  if (chunk.pieces.empty()) return std::nullopt;
  std::string piece = std::move(chunk.pieces.front());
  chunk.pieces.pop_front();
  changed_.notify_all();
  return piece;
}

bool SnapshotReader::drained(const SnapshotChunk& chunk) {
  const Lock lock(mutex_);
  return chunk.read && chunk.pieces.empty();
}

bool SnapshotReader::wants(const Chunk& chunk) {
  const Lock lock(mutex_);
  return std::find(in_flight_.begin(), in_flight_.end(), chunk) != in_flight_.end();
}

void SnapshotReader::published(const Chunk& chunk) {
  const Lock lock(mutex_);
  in_flight_.remove(chunk);
  changed_.notify_all();
}

std::optional<SnapshotReader::Trouble> SnapshotReader::trouble() {
  const Lock lock(mutex_);
  return std::exchange(trouble_, std::nullopt);
}

void SnapshotReader::report(Trouble trouble, std::uint64_t epoch) {
  {
    const Lock lock(mutex_);
    if (!wanted(epoch)) return;
    trouble_ = std::move(trouble);
    ++epoch_;
    job_.reset();
    in_flight_.clear();
    changed_.notify_all();
  }
  wake_();
}

void SnapshotReader::check(std::uint64_t epoch) const {
  if (!wanted(epoch)) throw Dropped();
}

void SnapshotReader::pause(milliseconds duration, std::uint64_t epoch) {
  Lock lock(mutex_);
  changed_.wait_for(lock, duration, [&] { return !wanted(epoch); });
  check(epoch);
}

std::size_t SnapshotReader::chunk_bytes() const {
  return std::min(most_chunk_bytes, most_bytes_in_flight / (settings_.workers + 2));
}

std::size_t SnapshotReader::piece_bytes() const { return chunk_bytes() / most_pieces; }

void SnapshotReader::work(std::size_t number) {
  std::optional<pg::SqlSession> sql;
  const auto set_session = [&](pg::SqlSession* session) {
    const Lock lock(mutex_);
    sessions_[number] = session;
  };
  while (true) {
    std::uint64_t epoch = 0;
    {
      Lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || job_ != nullptr; });
      if (stopping_) break;
      epoch = epoch_;
    }
    try {
      if (!sql) {
        sql.emplace(pg::SqlSession::open(settings_.dsn));
        sql->exec(session_settings);
        set_session(&*sql);
      }
      Chunk chunk;
      std::shared_ptr<const Job> job;
      {
        Lock lock(mutex_);
        check(epoch);
        job = job_;
        chunk = next_chunk(lock, *sql);
      }
      read(*sql, chunk, *job, epoch);
    } catch (const Dropped&) {
      // A transaction may be open.
      set_session(nullptr);
      sql.reset();
    } catch (const std::exception& error) {
      set_session(nullptr);
      sql.reset();
      const Remedy remedy = remedy_for(error);
      const auto otherwise = remedy.retry ? Trouble::Kind::again : Trouble::Kind::failed;
      report({.kind = is_of_another_shape(error) ? Trouble::Kind::changed : otherwise,
              .what = one_line(error.what()),
              .hint = remedy.hint},
             epoch);
    }
  }
  set_session(nullptr);
}

// The first in order that nobody reads; another one is planned when there is none. That it is the
// first of all keeps the others from waiting for a turn that never comes. At most workers + 1 are
// taken, whose text is in memory; since at most workers - 1 of them wait for their turn, there is
// always one that is published, or that this worker may take.
SnapshotReader::Chunk SnapshotReader::next_chunk(Lock& lock, pg::SqlSession& sql) {
  const std::uint64_t epoch = epoch_;
  while (true) {
    check(epoch);
    const auto is_taken = [](const Chunk& chunk) { return chunk->taken; };
    const auto taken = std::count_if(in_flight_.begin(), in_flight_.end(), is_taken);
    const auto next = std::find_if_not(in_flight_.begin(), in_flight_.end(), is_taken);
    const bool may_take = static_cast<std::size_t>(taken) <= settings_.workers;
    if (next != in_flight_.end() && may_take) {
      (*next)->taken = true;
      return *next;
    }
    if (next == in_flight_.end() && !planning_ && !planned_all_ &&
        in_flight_.size() <= settings_.workers) {
      plan(lock, sql);
      continue;
    }
    changed_.wait(lock);
  }
}

void SnapshotReader::plan(Lock& lock, pg::SqlSession& sql) {
  const std::uint64_t epoch = epoch_;
  const std::shared_ptr<const Job> job = job_;
  const std::optional<pg::Key> lower = planned_to_;
  const std::uint64_t rows = rows_a_chunk_;
  const bool joined = joined_;
  const auto chunk = std::make_shared<SnapshotChunk>();
  planning_ = true;
  lock.unlock();
  const auto done = [&] {
    lock.lock();
    planning_ = false;
    changed_.notify_all();
  };
  try {
    if (!joined) join(job->table, epoch, sql);
    if (job->table.key.empty()) {
      chunk->whole = true;
    } else {
      const pg::PgResult result = sql.exec(job->table.boundary_query(lower, rows));
      if (PQntuples(result.get()) > 0) {
        chunk->upper.emplace();
        for (int i = 0; i < PQnfields(result.get()); ++i) {
          chunk->upper->emplace_back(pg::cell(result, 0, i));
        }
      }
    }
  } catch (...) {
    done();
    throw;
  }
  done();
  check(epoch);
  joined_ = true;
  chunk->id = ++last_id_;
  chunk->lower = lower;
  planned_to_ = chunk->upper;
  planned_all_ = !chunk->upper;
  in_flight_.push_back(chunk);
}

// Rows that a transaction wrote before the publication had the table are in no stream: they must be
// in the snapshot. And what the slot brought before anyone watched must be seen by it.
void SnapshotReader::join(const pg::SnapshotTable& table, std::uint64_t epoch,
                          pg::SqlSession& sql) {
  std::vector<std::string> writers = pg::writers_of(sql, table);
  auto next_word = Clock::now() + std::chrono::seconds(2);
  while (!writers.empty()) {
    pause(look_interval, epoch);
    const std::vector<std::string> now = pg::writers_of(sql, table);
    const std::size_t before = writers.size();
    std::vector<std::string> known = writers;
    std::erase_if(writers, [&](const std::string& writer) {
      return std::find(now.begin(), now.end(), writer) == now.end();
    });
    // One that is prepared holds its locks on, under another name and without a process.
    for (const std::string& writer : now) {
      const bool is_new = std::find(known.begin(), known.end(), writer) == known.end();
      if (writers.size() < before && is_new && writer.ends_with("/0")) writers.push_back(writer);
    }
    if (writers.empty() || Clock::now() < next_word) continue;
    spdlog::info(
        "the snapshot of table {} waits for {} open transaction(s) that may have written "
        "into it",
        readable(table), writers.size());
    next_word = Clock::now() + say_interval;
  }
}

void SnapshotReader::read(pg::SqlSession& sql, const Chunk& chunk, const Job& job,
                          std::uint64_t epoch) {
  pass(Failpoint::before_low_mark);
  mark(sql, "low", *chunk);
  wait_until_told(chunk, epoch);
  open_snapshot(sql, chunk, job, epoch);
  const bool ended = copy(sql, chunk, job, epoch);
  sql.exec(ended ? "COMMIT" : "ROLLBACK");
  {
    const Lock lock(mutex_);
    check(epoch);
    chunk->read = true;
  }
  if (chunk->whole) {
    wake_();
    return;
  }
  wait_for_turn(chunk, epoch);
  pass(Failpoint::before_high_mark);
  mark(sql, "high", *chunk);
  const Lock lock(mutex_);
  chunk->marked = true;
  changed_.notify_all();
}

void SnapshotReader::wait_until_told(const Chunk& chunk, std::uint64_t epoch) {
  Lock lock(mutex_);
  const auto done = [&] { return chunk->told || !wanted(epoch); };
  if (chunk->whole) {
    changed_.wait(lock, done);
  } else {
    changed_.wait_for(lock, telling_limit, done);
  }
  check(epoch);
}

// The lock first: it waits for whoever alters the table, and what is altered from then on waits for
// us. A snapshot that is older than a table's rewriting would find it empty.
void SnapshotReader::open_snapshot(pg::SqlSession& sql, const Chunk& chunk, const Job& job,
                                   std::uint64_t epoch) {
  std::vector<pg::TransactionId> must_see;
  {
    const Lock lock(mutex_);
    must_see = chunk->must_see;
  }
  auto next_word = Clock::now() + say_interval;
  while (true) {
    sql.exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE " + job.table.from() +
             " IN ACCESS SHARE MODE");
    const pg::PgResult result = sql.exec(
        "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn(), "
        "(extract(epoch FROM transaction_timestamp()) * 1000000)::int8 - 946684800000000");
    chunk->sees = pg::Visibility::parse(pg::cell(result, 0, 0)).value();
    chunk->wal_end = pg::parse_lsn(pg::cell(result, 0, 1)).value();
    const std::string_view time = pg::cell(result, 0, 2);
    std::from_chars(time.data(), time.data() + time.size(), chunk->read_at.micros);
    if (std::all_of(must_see.begin(), must_see.end(),
                    [&](pg::TransactionId xid) { return chunk->sees->sees(xid); })) {
      break;
    }
    sql.exec("ROLLBACK");
    if (Clock::now() >= next_word) {
      spdlog::info(
          "the snapshot of table {} waits for a transaction whose commit is in WAL, and "
          "not visible yet: a synchronous standby may lag",
          readable(job.table));
      next_word = Clock::now() + say_interval;
    }
    pause(look_interval, epoch);
  }
  const auto now = pg::snapshot_table(sql, job.table.relation.schema, job.table.relation.name,
                                      settings_.publications);
  if (!now || !now->same_as(job.table)) {
    report({.kind = Trouble::Kind::changed, .what = "", .hint = ""}, epoch);
    throw Dropped();
  }
}

// False when the chunk was cut before its end.
bool SnapshotReader::copy(pg::SqlSession& sql, const Chunk& chunk, const Job& job,
                          std::uint64_t epoch) {
  sql.begin_copy(job.table.copy(chunk->lower, chunk->upper, job.where));
  const std::size_t limit = chunk_bytes();
  std::size_t bytes = 0;
  std::uint64_t rows = 0;
  std::string piece;
  std::size_t last_row = 0;  // where it begins in `piece`
  while (const auto line = sql.copied()) {
    if (!chunk->whole && bytes >= limit) {
      sql.abandon_copy();
      const auto row = std::string_view(piece).substr(last_row);
      pg::Key last = key_in(job.table, row.substr(0, row.size() - 1));
      hand_over(chunk, std::move(piece), epoch);
      cut(chunk, std::move(last), rows, epoch);
      return false;
    }
    if (!piece.empty() && piece.size() + line->size() > piece_bytes()) {
      hand_over(chunk, std::exchange(piece, {}), epoch);
      piece.reserve(piece_bytes());
    }
    last_row = piece.size();
    piece += *line;
    bytes += line->size();
    ++rows;
  }
  if (!piece.empty()) hand_over(chunk, std::move(piece), epoch);
  return true;
}

void SnapshotReader::hand_over(const Chunk& chunk, std::string piece, std::uint64_t epoch) {
  pass(Failpoint::snapshot_piece);
  {
    Lock lock(mutex_);
    if (chunk->whole) {
      changed_.wait(lock, [&] { return chunk->pieces.size() < most_pieces || !wanted(epoch); });
    }
    check(epoch);
    chunk->pieces.push_back(std::move(piece));
  }
  if (chunk->whole) wake_();
}

// What is left comes next, before all that is planned already.
void SnapshotReader::cut(const Chunk& chunk, pg::Key upper, std::uint64_t rows,
                         std::uint64_t epoch) {
  const auto rest = std::make_shared<SnapshotChunk>();
  const Lock lock(mutex_);
  check(epoch);
  rest->id = ++last_id_;
  rest->lower = upper;
  rest->upper = std::exchange(chunk->upper, std::move(upper));
  const auto place = std::find(in_flight_.begin(), in_flight_.end(), chunk);
  in_flight_.insert(std::next(place), rest);
  rows_a_chunk_ = std::max<std::uint64_t>(1, std::min(rows_a_chunk_, rows));
  changed_.notify_all();
}

void SnapshotReader::wait_for_turn(const Chunk& chunk, std::uint64_t epoch) {
  Lock lock(mutex_);
  changed_.wait(lock, [&] {
    if (!wanted(epoch)) return true;
    const auto first = std::find_if(in_flight_.begin(), in_flight_.end(),
                                    [](const Chunk& one) { return !one->marked; });
    return first != in_flight_.end() && *first == chunk;
  });
  check(epoch);
}

void SnapshotReader::mark(pg::SqlSession& sql, const char* which, const SnapshotChunk& chunk) {
  const std::string content =
      fmt::format("{} {} {} {}", settings_.slot, settings_.session, which, chunk.id);
  sql.exec(
      fmt::format("BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_current_xact_id();"
                  "SELECT pg_logical_emit_message(false, {}, {}); COMMIT",
                  pg::quote_text(snapshot_mark_prefix), pg::quote_text(content)));
}

}  // namespace connector
