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
constexpr std::size_t pieces_a_chunk = 4;
// A slot that is up to date tells of a low mark within this.
constexpr milliseconds telling_limit{500};
constexpr milliseconds look_interval{20};
constexpr std::chrono::seconds say_interval{10};
constexpr milliseconds cancel_interval{100};

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
    : settings_(std::move(settings)), queue_(settings_.workers, std::move(wake)) {
  sessions_.resize(settings_.workers, nullptr);
  working_ = settings_.workers;
  for (std::size_t i = 0; i < settings_.workers; ++i) {
    workers_.emplace_back([this, i] {
      work(i);
      const Lock lock(mutex_);
      --working_;
      ended_.notify_all();
    });
  }
}

// A cancel that arrives between two statements ends none: so it is sent until nobody works.
SnapshotReader::~SnapshotReader() {
  queue_.stop();
  {
    Lock lock(mutex_);
    const auto all_ended = [this] { return working_ == 0; };
    while (!ended_.wait_for(lock, milliseconds(0), all_ended)) {
      for (const pg::SqlSession* session : sessions_) {
        if (session != nullptr) session->cancel();
      }
      ended_.wait_for(lock, cancel_interval, all_ended);
    }
  }
  for (std::thread& worker : workers_) worker.join();
}

void SnapshotReader::begin(pg::SnapshotTable table, std::string where, std::optional<pg::Key> after,
                           bool at_once) {
  queue_.begin({std::move(table), std::move(where), at_once}, std::move(after),
               settings_.chunk_rows);
}

std::size_t SnapshotReader::chunk_bytes() const {
  return std::min(most_chunk_bytes, most_bytes_in_flight / (settings_.workers + 2));
}

void SnapshotReader::set_session(std::size_t worker, const pg::SqlSession* session) {
  const Lock lock(mutex_);
  sessions_[worker] = session;
}

void SnapshotReader::work(std::size_t worker) {
  std::optional<pg::SqlSession> sql;
  while (const auto task = queue_.wait_for_task()) {
    try {
      if (!sql) {
        sql.emplace(pg::SqlSession::open(settings_.dsn));
        set_session(worker, &*sql);
        sql->exec(session_settings);
      }
      const auto next = queue_.next(*task);
      if (const auto* chunk = std::get_if<Chunk>(&next)) {
        read(*sql, *task, *chunk);
      } else {
        plan(*sql, *task, std::get<SnapshotQueue::Plan>(next));
      }
    } catch (const SnapshotQueue::Dropped&) {
      // A transaction may be open.
      set_session(worker, nullptr);
      sql.reset();
    } catch (const std::exception& error) {
      set_session(worker, nullptr);
      sql.reset();
      const Remedy remedy = remedy_for(error);
      const auto otherwise = remedy.retry ? Trouble::Kind::again : Trouble::Kind::failed;
      queue_.report(*task, {.kind = is_of_another_shape(error) ? Trouble::Kind::changed : otherwise,
                            .what = one_line(error.what()),
                            .hint = remedy.hint});
    }
  }
  set_session(worker, nullptr);
}

void SnapshotReader::plan(pg::SqlSession& sql, const Task& task, const SnapshotQueue::Plan& plan) {
  const pg::SnapshotTable& table = task.job->table;
  try {
    if (!plan.joined) join(sql, task);
    std::optional<pg::Key> upper;
    if (!table.key.empty() && !task.job->at_once) {
      const pg::PgResult result = sql.exec(table.boundary_query(plan.lower, plan.rows));
      if (PQntuples(result.get()) > 0) {
        upper.emplace();
        for (int i = 0; i < PQnfields(result.get()); ++i) {
          upper->emplace_back(pg::cell(result, 0, i));
        }
      }
    }
    queue_.planned(task, std::move(upper), table.key.empty());
  } catch (...) {
    queue_.not_planned(task);
    throw;
  }
}

// Rows that a transaction wrote before the publication had the table are in no stream: they must be
// in the snapshot. And what the slot brought before anyone watched must be seen by it.
void SnapshotReader::join(pg::SqlSession& sql, const Task& task) {
  const pg::SnapshotTable& table = task.job->table;
  std::vector<std::string> writers = pg::writers_of(sql, table);
  auto next_word = Clock::now() + std::chrono::seconds(2);
  while (!writers.empty()) {
    queue_.pause(task, look_interval);
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

void SnapshotReader::read(pg::SqlSession& sql, const Task& task, const Chunk& chunk) {
  pass(Failpoint::before_low_mark);
  mark(sql, "low", *chunk);
  const auto must_see = queue_.wait_until_told(task, chunk, telling_limit);
  open_snapshot(sql, task, chunk, must_see);
  const bool ended = copy(sql, task, chunk);
  sql.exec(ended ? "COMMIT" : "ROLLBACK");
  queue_.read(task, chunk);
  if (chunk->whole) return;
  queue_.wait_for_turn(task, chunk);
  pass(Failpoint::before_high_mark);
  mark(sql, "high", *chunk);
  queue_.marked(chunk);
}

// The lock first: it waits for whoever alters the table, and what is altered from then on waits for
// us. A snapshot that is older than a table's rewriting would find it empty.
void SnapshotReader::open_snapshot(pg::SqlSession& sql, const Task& task, const Chunk& chunk,
                                   const std::vector<pg::TransactionId>& must_see) {
  const pg::SnapshotTable& table = task.job->table;
  auto next_word = Clock::now() + say_interval;
  while (true) {
    sql.exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE " + table.from() +
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
          readable(table));
      next_word = Clock::now() + say_interval;
    }
    queue_.pause(task, look_interval);
  }
  const auto now =
      pg::snapshot_table(sql, table.relation.schema, table.relation.name, settings_.publications);
  if (!now || !now->same_as(table)) {
    queue_.report(task, {.kind = Trouble::Kind::changed, .what = "", .hint = ""});
    throw SnapshotQueue::Dropped();
  }
}

// False when the chunk was cut before its end.
bool SnapshotReader::copy(pg::SqlSession& sql, const Task& task, const Chunk& chunk) {
  const SnapshotQueue::Job& job = *task.job;
  sql.begin_copy(job.table.copy(chunk->lower, chunk->upper, job.where));
  const std::size_t limit = chunk_bytes();
  const std::size_t most_of_a_piece = limit / pieces_a_chunk;
  const auto hand_over = [&](std::string text) {
    pass(Failpoint::snapshot_piece);
    queue_.hand_over(task, chunk, std::move(text));
  };
  std::size_t bytes = 0;
  std::uint64_t rows = 0;
  std::string piece;
  std::size_t last_row = 0;  // where it begins in `piece`
  while (const auto line = sql.copied()) {
    if (!chunk->whole && bytes >= limit) {
      sql.abandon_copy();
      const auto row = std::string_view(piece).substr(last_row);
      pg::Key last = key_in(job.table, row.substr(0, row.size() - 1));
      hand_over(std::move(piece));
      queue_.cut(task, chunk, std::move(last), rows);
      return false;
    }
    if (!piece.empty() && piece.size() + line->size() > most_of_a_piece) {
      hand_over(std::exchange(piece, {}));
      piece.reserve(most_of_a_piece);
    }
    last_row = piece.size();
    piece += *line;
    bytes += line->size();
    ++rows;
  }
  if (!piece.empty()) hand_over(std::move(piece));
  return true;
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
