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

constexpr std::size_t most_window_bytes = 16U << 20;
constexpr int most_faults = 10;
constexpr std::size_t most_watched = 10'000;
using State = TableSnapshot::State;

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

}  // namespace

Snapshots::Snapshots(const Config& config, Session& session, const TableSelection& selection,
                     Wakeup& wakeup)
    : config_(config),
      session_(session),
      selection_(selection),
      wakeup_(wakeup),
      session_name_(random_name()),
      thin_watched_at_(most_watched) {}

void Snapshots::ordered() {
  more_ = true;
  stopped();
  if (!table_) return;
  const TableSnapshot* reading = session_.snapshots.find(job_);
  if (reading != nullptr && reading->state == State::running) return;
  spdlog::info("snapshot of table {}: {} {} rows", readable_name(name_),
               reading == nullptr ? "left" : name_of(reading->state), rows_);
  leave_table();
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
  if (!table_ && more_) {
    if (const auto job = next_job()) {
      begin(*job);
    } else {
      more_ = !steps_.empty();  // one that is paused and resumed waits for its own
    }
  }
  if (!table_ && !more_) {
    reader_.reset();
    sql_.reset();
  }
  say_how_far(now);
}

bool Snapshots::has_step_of(const SnapshotJob& job) const {
  return std::any_of(steps_.begin(), steps_.end(),
                     [&](const Step& step) { return step.job == job; });
}

void Snapshots::stopped() {
  unsettled_ = true;
  unsettled_to_.reset();
}

void Snapshots::save() {
  session_.snapshots.tell_joined();
  session_.save_snapshots();
}

// Of a table's first reading, until the next session, or until there is such a table again.
void Snapshots::give_up(const SnapshotJob& job, const std::string& why) {
  spdlog::error(
      "the snapshot of table {} cannot go on, changes of it are published all the same: {}",
      readable_name(job.name()), why);
  if (TableSnapshot* reading = session_.snapshots.find(job)) reading->stop(State::failed, why);
  stopped();
  save();
  if (table_ && job_ == job) leave_table();
}

void Snapshots::begin_reading() {
  ++shape_number_;
  open_.clear();
  if (reader_ == nullptr) {
    session_name_ = random_name();  // its chunks are counted from one again
    reader_ = std::make_unique<SnapshotReader>(
        SnapshotReader::Settings{.dsn = config_.source.dsn,
                                 .slot = config_.source.slot,
                                 .session = session_name_,
                                 .publications = session_.publications,
                                 .workers = config_.snapshot.workers,
                                 .chunk_rows = config_.snapshot.chunk_rows},
        [this] { wakeup_.notify(); });
  }
  const TableSnapshot& reading = *session_.snapshots.find(job_);
  const std::string where = where_of(job_);
  moved_to_read_ = all_read_ ? reading.moved.size() : 0;
  if (all_read_) {
    const std::string moved = table_->among(reading.moved);
    reader_->begin(*table_, where.empty() ? moved : fmt::format("({}\n) AND {}", where, moved),
                   std::nullopt, true);
  } else {
    reader_->begin(*table_, where, published_to_);
  }
}

// The table may have changed since it was described.
void Snapshots::rewind() {
  reread_due_ = false;
  if (!table_) return;
  auto now = describe(job_);
  const std::string why = obstacle(job_, now);
  if (!why.empty()) {
    give_up(job_, why);
    return;
  }
  const bool forgotten = session_.snapshots.find(job_)->key_of.empty();
  if (forgotten || now->relation.id != table_->relation.id || now->key != table_->key) {
    spdlog::warn("table {} {}: its snapshot begins again", readable_name(name_),
                 forgotten ? "has had too many rows moved to other keys"
                           : "has another key than before, or was made anew");
    watched_.clear();
    // What is not acknowledged yet is of the table, or of the key, that was.
    std::erase_if(steps_, [&](const Step& step) { return step.job == job_; });
    begin_anew(*session_.snapshots.find(job_), *now);
    save();
  }
  table_ = std::move(now);
  begin_reading();
}

void Snapshots::leave_table() {
  if (reader_ != nullptr) reader_->end();
  table_.reset();
  job_ = {};
  name_.clear();
  open_.clear();
  watched_.clear();
  reread_due_ = false;
  retry_at_.reset();
  faults_ = 0;
  more_ = true;
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
  if (job_.request.empty()) failed_.insert(name_);
  give_up(job_, fmt::format("{}{}{}", trouble.what.empty() ? "it keeps changing" : trouble.what,
                            trouble.hint.empty() ? "" : ". What to do: ", trouble.hint));
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

void Snapshots::published(const pg::Relation& table, Op op, pg::Row row, pg::Row old,
                          pg::TransactionId xid) {
  if (open_.empty() || table.id != table_->relation.id) return;
  if (!table_->same_shape(table)) {
    for (auto& [id, open] : open_) open.other_shape = true;
    return;
  }
  std::size_t bytes = 0;
  for (auto& [id, open] : open_) {
    if (open.other_shape) continue;
    open.window.change(op, row, old, xid);
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

void Snapshots::moved() {
  if (!table_ || !session_.snapshots.find(job_)->key_of.empty()) return;
  open_.clear();
  reread_due_ = true;
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
  const bool none_left = session_.snapshots.find(job_)->moved.size() == moved_to_read_;
  return SnapshotPart{.mark = at,
                      .chunk = chunk,
                      .window = std::move(open.window),
                      .last = !chunk->upper && none_left,
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
  if (!all_read_) published_to_ = part.chunk->upper;
  const bool to_the_end = !part.chunk->upper;
  Step step{.number = number,
            .job = job_,
            .rows = rows_,
            .after = published_to_,
            .end = all_read_ || to_the_end,
            .complete = part.last,
            .whole = std::nullopt};
  if (part.chunk->whole) {
    step.whole = TableSnapshot::Whole{
        .mark = part.mark, .wal_end = part.chunk->wal_end, .sees = *part.chunk->sees};
  }
  steps_.push_back(std::move(step));
  reader_->published(part.chunk);
  if (part.last) {
    leave_table();
  } else if (to_the_end) {
    all_read_ = true;
    begin_reading();
  }
}

bool Snapshots::wants(const SnapshotPart& part) {
  return table_ && reader_ != nullptr && reader_->wants(part.chunk);
}

void Snapshots::stored(std::uint64_t number, const publisher::Publisher& publisher) {
  while (!steps_.empty() && steps_.front().number <= number) {
    Step step = std::move(steps_.front());
    steps_.pop_front();
    TableSnapshot* const reading = session_.snapshots.find(step.job);
    if (reading == nullptr) continue;
    reading->add({.rests_on = publisher.sequence_of(step.number),
                  .rows = step.rows,
                  .after = std::move(step.after),
                  .end = step.end});
    if (step.job == job_) reading->rate = rate_.at(step.rows, Clock::now());
    if (step.complete) {
      // Also where it was to be paused, or cancelled, when its last row was out already.
      reading->state = State::complete;
      reading->note.clear();
      reading->unsettled = false;
      reading->whole = std::move(step.whole);
      session_.snapshots.whole_changed();
      spdlog::info("snapshot of table {}: complete, {} rows", readable_name(step.job.name()),
                   step.rows);
    }
    pass(Failpoint::chunk_stored);
    save();
    pass(Failpoint::progress_saved);
  }
  settle(number, publisher);
}

// A reading that was stopped may have rows in the stream behind its last step: once all that was
// sent by then is acknowledged, it is known where they end.
void Snapshots::settle(std::uint64_t number, const publisher::Publisher& publisher) {
  if (!unsettled_) return;
  if (!unsettled_to_) unsettled_to_ = publisher.sent();
  if (number < *unsettled_to_) return;
  unsettled_ = false;
  if (session_.snapshots.settle(publisher.sequence_of(*unsettled_to_))) save();
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
