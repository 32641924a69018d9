#include "connector/snapshots.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <random>

#include "connector/failpoint.h"
#include "connector/preconditions.h"
#include "connector/terminal.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds say_interval{10};
constexpr std::size_t most_window_bytes = 16U << 20;
constexpr int most_faults = 10;
constexpr std::size_t most_watched = 10'000;

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

// "{slot} {session} {low|high} {chunk}"
struct Mark {
  bool high = false;
  std::uint64_t chunk = 0;
};
std::optional<Mark> parse_mark(std::string_view content, const std::string& ours) {
  if (content.substr(0, ours.size()) != ours) return std::nullopt;
  content.remove_prefix(ours.size());
  Mark mark;
  mark.high = content.substr(0, 5) == "high ";
  content.remove_prefix(std::min<std::size_t>(content.size(), mark.high ? 5 : 4));
  std::from_chars(content.data(), content.data() + content.size(), mark.chunk);
  return mark;
}

std::string key_of_table(const pg::SnapshotTable& table) {
  std::string text = std::to_string(table.relation.id.value);
  for (const auto& column : table.key) {
    text += fmt::format(" {} {} {}", column.expression, column.type, column.less);
  }
  return text;
}

}  // namespace

Snapshots::Snapshots(const Config& config, Session& session, const TableSelection& selection,
                     Wakeup& wakeup)
    : config_(config),
      session_(session),
      selection_(selection),
      wakeup_(wakeup),
      session_name_(random_name()),
      thin_watched_at_(most_watched) {}

void Snapshots::look() {
  for (const pg::TableInfo& table : selection_.resolve(*session_.sql).tables) {
    const TableConfig* config = selection_.find(table.schema, table.name);
    if (config == nullptr || !config->snapshot) continue;
    const std::string name = quoted_name(table.schema, table.name);
    const bool known = name == name_ || failed_.count(name) > 0 ||
                       std::find(waiting_.begin(), waiting_.end(), name) != waiting_.end();
    if (known || session_.snapshots.complete(name)) continue;
    names_[name] = {table.schema, table.name};
    waiting_.push_back(name);
  }
}

void Snapshots::tend(Clock::time_point now) {
  if (reader_ != nullptr) {
    if (const auto trouble = reader_->trouble()) mend(*trouble, now);
  }
  if (retry_at_ && now >= *retry_at_) {
    retry_at_.reset();
    rewind();
  }
  if (reread_due_) rewind();
  thin_watched();
  if (!table_ && !waiting_.empty()) begin_next();
  if (!table_ && waiting_.empty() && steps_.empty()) {
    reader_.reset();
    sql_.reset();
  }
  say_how_far(now);
}

std::optional<pg::SnapshotTable> Snapshots::describe(const std::string& name) {
  if (!sql_) sql_.emplace(pg::SqlSession::open(config_.source.dsn));
  const auto& [schema, table] = names_.at(name);
  // Under one snapshot: an ALTER TABLE that commits in between would leave a table without its key.
  sql_->exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  auto described = pg::snapshot_table(*sql_, schema, table, session_.publications);
  sql_->exec("COMMIT");
  return described;
}

void Snapshots::begin_next() {
  const std::string name = waiting_.front();
  waiting_.pop_front();
  auto table = describe(name);
  if (!table) {
    spdlog::warn("table {} is gone: there is nothing left to read for its snapshot",
                 readable_name(name));
    session_.snapshots.tables().erase(name);
    return;
  }
  if (!table->published) {
    spdlog::warn("table {} is in no publication yet: its snapshot waits for that",
                 readable_name(name));
    return;  // look() finds it again
  }
  auto& tables = session_.snapshots.tables();
  const auto known = tables.find(name);
  const bool begun = known != tables.end();
  TableSnapshot& progress = begun ? known->second : tables[name];
  const std::string key_of = key_of_table(*table);
  const bool same_key = begun && progress.key_of == key_of;
  if (!same_key) {
    progress.steps.clear();
    progress.key_of = key_of;
  }
  published_to_.reset();
  rows_ = 0;
  if (!table->key.empty() && !progress.steps.empty()) {
    published_to_ = progress.steps.back().after;
    rows_ = progress.rows();
  }
  if (!same_key) session_.save_snapshots();
  name_ = name;
  table_ = std::move(table);
  said_rows_ = rows_;
  next_word_ = Clock::now() + say_interval;
  spdlog::info("snapshot of table {}: {}", readable_name(name_),
               table_->key.empty() ? "begins; without a key it is read in one go, and no changes "
                                     "are published meanwhile"
               : published_to_     ? fmt::format("goes on behind {} rows", rows_)
                                   : std::string("begins"));
  watched_.clear();
  begin_reading();
}

void Snapshots::begin_reading() {
  ++shape_number_;
  open_.clear();
  if (reader_ == nullptr) {
    reader_ = std::make_unique<SnapshotReader>(
        SnapshotReader::Settings{.dsn = config_.source.dsn,
                                 .slot = config_.source.slot,
                                 .session = session_name_,
                                 .publications = session_.publications,
                                 .workers = config_.snapshot.workers,
                                 .chunk_rows = config_.snapshot.chunk_rows},
        [this] { wakeup_.notify(); });
  }
  const TableConfig* config = selection_.find(table_->relation.schema, table_->relation.name);
  reader_->begin(*table_, config->where, published_to_);
}

// The table may have changed since it was described.
void Snapshots::rewind() {
  reread_due_ = false;
  if (!table_) return;
  auto now = describe(name_);
  if (!now) {
    spdlog::warn("table {} was dropped in the middle of its snapshot", readable_name(name_));
    session_.snapshots.tables().erase(name_);
    session_.save_snapshots();
    leave_table();
    return;
  }
  if (now->relation.id != table_->relation.id || now->key != table_->key) {
    spdlog::warn(
        "table {} has another key than before, or was made anew: its snapshot begins "
        "again",
        readable_name(name_));
    published_to_.reset();
    rows_ = 0;
    watched_.clear();
    TableSnapshot& progress = session_.snapshots.tables()[name_];
    progress.steps.clear();
    progress.key_of = key_of_table(*now);
    session_.save_snapshots();
  }
  table_ = std::move(now);
  begin_reading();
}

void Snapshots::leave_table() {
  if (reader_ != nullptr) reader_->end();
  table_.reset();
  name_.clear();
  open_.clear();
  watched_.clear();
  reread_due_ = false;
  retry_at_.reset();
  faults_ = 0;
}

void Snapshots::mend(const SnapshotReader::Trouble& trouble, Clock::time_point now) {
  using Kind = SnapshotReader::Trouble::Kind;
  open_.clear();
  ++faults_;
  if (trouble.kind == Kind::changed && faults_ < most_faults) {
    reread_due_ = true;
    return;
  }
  if (trouble.kind == Kind::again) {
    const milliseconds delay(std::min(30'000, 250 << std::min(faults_, 7)));
    spdlog::warn("the snapshot of table {}: {}; trying again in {} ms", readable_name(name_),
                 trouble.what, delay.count());
    retry_at_ = now + delay;
    return;
  }
  spdlog::error(
      "the snapshot of table {} cannot go on, changes of it are published all the same: "
      "{}{}{}",
      readable_name(name_), trouble.what.empty() ? "it keeps changing" : trouble.what,
      trouble.hint.empty() ? "" : ". What to do: ", trouble.hint);
  failed_.insert(name_);
  leave_table();
}

// While an old writer is waited for, no chunk tells what is visible by now.
void Snapshots::thin_watched() {
  if (watched_.size() < thin_watched_at_) return;
  const auto sees = pg::current_visibility(*session_.sql);
  std::erase_if(watched_, [&](std::uint32_t xid) { return sees.sees(pg::TransactionId(xid)); });
  thin_watched_at_ = std::max(most_watched, 2 * watched_.size());
}

std::vector<pg::TransactionId> Snapshots::watched() const {
  std::vector<pg::TransactionId> xids;
  xids.reserve(watched_.size());
  for (const std::uint32_t xid : watched_) xids.emplace_back(xid);
  return xids;
}

void Snapshots::published(const pg::Relation& table, Op op, pg::Row row, pg::Row old) {
  if (open_.empty() || table.id != table_->relation.id) return;
  if (!table_->same_shape(table)) {
    for (auto& [id, open] : open_) open.other_shape = true;
    return;
  }
  std::size_t bytes = 0;
  for (auto& [id, open] : open_) {
    if (open.other_shape) continue;
    open.window.change(op, row, old);
    bytes += open.window.size();
  }
  if (bytes <= most_window_bytes) return;
  reader_->end();
  mend({.kind = SnapshotReader::Trouble::Kind::again,
        .what = fmt::format("more was changed between the marks of a chunk than fits into {} MiB",
                            most_window_bytes >> 20),
        .hint = ""},
       Clock::now());
}

void Snapshots::shape_seen(const pg::Relation& relation) {
  if (open_.empty() || relation.id != table_->relation.id || table_->same_shape(relation)) return;
  for (auto& [id, open] : open_) open.other_shape = true;
}

std::optional<SnapshotPart> Snapshots::mark(const pg::Message& message) {
  if (!table_ || reader_ == nullptr || reread_due_ || retry_at_) return std::nullopt;
  const auto mark =
      parse_mark(message.content, fmt::format("{} {} ", config_.source.slot, session_name_));
  if (!mark) return std::nullopt;
  if (mark->high) return high_mark(mark->chunk, message.lsn);
  const SnapshotReader::Chunk chunk = reader_->low_mark(mark->chunk, watched());
  if (chunk == nullptr) return std::nullopt;
  if (chunk->whole) {
    return SnapshotPart{.mark = message.lsn,
                        .chunk = chunk,
                        .window = std::nullopt,
                        .last = true,
                        .rows_before = 0};
  }
  std::vector<std::size_t> places;
  for (const auto& column : table_->key) places.push_back(column.place);
  open_.emplace(
      mark->chunk,
      Open{.window = SnapshotWindow(std::move(places)), .before = watched(), .other_shape = false});
  return std::nullopt;
}

std::optional<SnapshotPart> Snapshots::high_mark(std::uint64_t id, pg::Lsn at) {
  const auto found = open_.find(id);
  const SnapshotReader::Chunk chunk = reader_->high_mark(id);
  if (found == open_.end() || chunk == nullptr) return std::nullopt;
  Open open = std::move(found->second);
  open_.erase(found);
  if (open.other_shape || open.window.ambiguous() || !sees_all(*chunk, open.before)) {
    ++faults_;
    open_.clear();
    reread_due_ = true;
    return std::nullopt;
  }
  // What one chunk of the table sees, all later ones do.
  for (const pg::TransactionId xid : open.before) watched_.erase(xid.value);
  return SnapshotPart{.mark = at,
                      .chunk = chunk,
                      .window = std::move(open.window),
                      .last = !chunk->upper,
                      .rows_before = rows_};
}

bool Snapshots::sees_all(const SnapshotChunk& chunk,
                         const std::vector<pg::TransactionId>& xids) const {
  return std::all_of(xids.begin(), xids.end(),
                     [&](pg::TransactionId xid) { return chunk.sees->sees(xid); });
}

void Snapshots::sent(const SnapshotPart& part, std::uint64_t number, std::uint64_t rows) {
  faults_ = 0;
  rows_ = part.rows_before + rows;
  published_to_ = part.chunk->upper;
  Step step{.number = number,
            .table = name_,
            .rows = rows_,
            .after = part.chunk->upper,
            .complete = part.last,
            .whole = std::nullopt};
  if (part.chunk->whole) {
    step.whole = TableSnapshot::Whole{
        .mark = part.mark, .wal_end = part.chunk->wal_end, .sees = *part.chunk->sees};
  }
  steps_.push_back(std::move(step));
  reader_->published(part.chunk);
  if (part.last) leave_table();
}

bool Snapshots::wants(const SnapshotPart& part) {
  return table_ && reader_ != nullptr && reader_->wants(part.chunk);
}

void Snapshots::stored(std::uint64_t number, const publisher::Publisher& publisher) {
  while (!steps_.empty() && steps_.front().number <= number) {
    Step step = std::move(steps_.front());
    steps_.pop_front();
    TableSnapshot& table = session_.snapshots.tables()[step.table];
    table.add({.rests_on = publisher.sequence_of(step.number),
               .rows = step.rows,
               .after = std::move(step.after)});
    if (step.complete) {
      table.state = TableSnapshot::State::complete;
      table.whole = std::move(step.whole);
      session_.snapshots.whole_changed();
      spdlog::info("snapshot of table {}: complete, {} rows", readable_name(step.table), step.rows);
    }
    pass(Failpoint::chunk_stored);
    session_.save_snapshots();
    pass(Failpoint::progress_saved);
  }
}

void Snapshots::say_how_far(Clock::time_point now) {
  if (!table_ || now < next_word_) return;
  next_word_ = now + say_interval;
  const std::uint64_t news = rows_ > said_rows_ ? rows_ - said_rows_ : 0;
  spdlog::info("snapshot of table {}: {} rows ({} a second)", readable_name(name_),
               human_number(rows_),
               human_number(news / static_cast<std::uint64_t>(say_interval.count())));
  said_rows_ = rows_;
}

}  // namespace connector
