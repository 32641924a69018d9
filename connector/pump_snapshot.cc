// The pump's way from a snapshot's chunk to messages. What is published here is no function of WAL;
// its place in the stream is: behind all changes before the chunk's mark, before all others. So
// nothing is read from the slot until a chunk is out; status updates go on.
//
// A row that a stopped walferry publishes when it goes on could slip between those of its
// successor. So rows go out only while the server has just said that the slot is ours.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include <iterator>

#include "connector/failpoint.h"
#include "connector/omission.h"
#include "connector/pump.h"
#include "connector/schema_record.h"
#include "connector/stop.h"
#include "connector/subject.h"
#include "pg/error.h"

namespace connector {
namespace {

constexpr int rows_per_turn = 256;  // between two looks at acks and deadlines
constexpr std::chrono::milliseconds slot_check_interval{500};

std::string_view take_line(const std::string& piece, std::size_t& at) {
  const std::size_t end = piece.find('\n', at);
  const std::string_view line = std::string_view(piece).substr(at, end - at);
  at = end + 1;
  return line;
}

}  // namespace

void Pump::tend_snapshots(Clock::time_point now) {
  if (session_.replay || !session_.reread.done() || wakeup_.stop_requested()) return;
  if (!snapshots_) {
    // A run that ends at a position ends before any mark that is still to come.
    if (until_) return;
    snapshots_.emplace(config_, session_, selection_, wakeup_);
    snapshots_->look();
  }
  snapshots_->stored(stored_, publisher_);
  snapshots_->tend(now);
}

void Pump::on_mark(const pg::Message& message) {
  const pg::Position position{message.lsn, 0};
  if (is_over(message.lsn)) return;
  session_.reread.saw_change(position);
  frontier_.begin();
  if (snapshots_) {
    if (auto part = snapshots_->mark(message)) {
      publication_.emplace();
      publication_->part = std::move(*part);
      return;
    }
  }
  close_transaction(message.lsn);
}

// It is saved before the frontier passes it, so that WAL keeps it until it is taken.
void Pump::on_order(const pg::Message& message) {
  if (is_over(message.lsn)) return;
  session_.reread.saw_change({message.lsn, 0});
  frontier_.begin();
  if (!session_.replay && session_.take_order(message, config_.source.slot)) {
    if (until_) spdlog::info("snapshots were asked for: they are left to a run without an end");
    if (snapshots_) snapshots_->ordered();
  }
  close_transaction(message.lsn);
}

bool Pump::publish_snapshot() {
  SnapshotPublication& publication = *publication_;
  if (publication.sent) {
    // What a table without a key holds must be known for good before the first change after it.
    if (publication.part.chunk->whole && !snapshots_->settled()) return false;
    publication_.reset();
    return true;
  }
  if (!snapshots_->wants(publication.part)) {
    // Its reader met a fault. What has gone out stays, and is read again.
    close_transaction(publication.part.mark);
    publication_.reset();
    return true;
  }
  if (!publisher_.has_room()) return false;
  if (!publication.opened) open_publication();
  int published = 0;
  while (published < rows_per_turn && publisher_.has_room() && publish_next_row()) ++published;
  return published > 0 || publication.sent;
}

void Pump::open_publication() {
  SnapshotPublication& publication = *publication_;
  SnapshotPart& part = publication.part;
  publication.opened = true;
  if (snapshot_shape_ != snapshots_->shape_number()) {
    snapshot_table_ = make_table(snapshots_->table().relation, {part.mark, 0});
    snapshot_shape_ = snapshots_->shape_number();
  }
  mark_.begin_snapshot(part.mark);
  const pg::Relation& relation = snapshots_->table().relation;
  publication.id = guard_header(
      fmt::format("snapshot:{}.{}:", escape_schema(relation.schema), escape_token(relation.name)));
  require_slot();
  // What came before of such a table, changes and an earlier attempt's rows, is in these rows too,
  // and nothing would tell them apart.
  if (part.chunk->whole) word_of_snapshot(0, "Walferry-Restart", "true");
  if (!part.window || !part.window->has_incomplete()) return;
  part.window->chunk_sees(*part.chunk->sees);
  for (const std::string& piece : part.chunk->pieces) {
    for (std::size_t at = 0; at < piece.size();) {
      const std::string_view line = take_line(piece, at);
      part.window->fill_from(copy_row_.parse(line, relation.columns.size()));
    }
  }
  publication.completed = part.window->complete();
}

// False when there is none now, or none left.
bool Pump::publish_next_row() {
  SnapshotPublication& publication = *publication_;
  const SnapshotPart& part = publication.part;
  while (publication.at >= publication.piece.size()) {
    auto piece = snapshots_->reader().take_piece(*part.chunk);
    if (!piece) {
      if (!snapshots_->reader().drained(*part.chunk)) return false;
      if (publication.next_completed < publication.completed.size()) {
        publish_completed_row(publication.completed[publication.next_completed++]);
        return true;
      }
      close_publication();
      return false;
    }
    publication.piece = std::move(*piece);
    publication.at = 0;
  }
  const std::string_view line = take_line(publication.piece, publication.at);
  const pg::Row row = copy_row_.parse(line, snapshots_->table().relation.columns.size());
  if (part.window && (part.window->truncated() || part.window->touched(row))) return true;
  publish_row(row);
  return true;
}

// Where walferry filters rows, this one has to match too.
void Pump::publish_completed_row(pg::Row row) {
  const auto left = snapshot_table_.gate.pass(pg::Insert{&snapshots_->table().relation, row},
                                              pg::Lsn(), {publication_->part.mark, 0});
  if (std::holds_alternative<pg::Insert>(left)) publish_row(row);
}

void Pump::hold_alone(std::uint64_t number) {
  alone_.position = {publication_->part.mark, 0};
  alone_.source = snapshot_table_.source;
  alone_.op = Op::snapshot;
  alone_.raw = false;
  alone_.body.clear();
  alone_.headers.clear();
  alone_.snapshot = publication_->id;
  fmt::format_to(std::back_inserter(alone_.snapshot), "{}", number);
}

void Pump::publish_row(pg::Row row) {
  require_slot_if_due();
  pass(Failpoint::mid_chunk);
  SnapshotPublication& publication = *publication_;
  Table& table = snapshot_table_;
  // Not before: of a table that is read whole the time is known with the first piece.
  if (publication.number == 0) format_.begin_snapshot(publication.part.chunk->read_at);
  hold_alone(++publication.number);
  if (!table.announced) announce_snapshot(table);
  alone_.subject = table.encoder->subject(Op::snapshot);
  alone_.event_subject = table.format.event_subject;
  try {
    write_row(table, row);
  } catch (const BadValue& bad) {
    throw Stop(Exit::precondition,
               fmt::format("{}, snapshot at {}{}: {}", table.source,
                           to_string(publication.part.mark), key_for_log(alone_.body), bad.what()),
               "correct the value (a database with encoding SQL_ASCII stores any bytes)");
  }
  if (types_.has_warnings()) log_type_warnings();
  writer_.alone(alone_);
}

// With `omit`, without its largest columns, as few of them as it takes.
void Pump::write_row(const Table& table, pg::Row row) {
  const auto write_it = [&](pg::Row what) {
    alone_.body.clear();
    format_.write_snapshot(alone_.body, table.format, *table.encoder, mark_, what,
                           publication_->number);
  };
  write_it(row);
  if (alone_.body.size() <= config_.publish.max_message) return;
  if (config_.publish.oversize != "omit") return;
  Omission omission(row, {});
  const auto no_key = [&](std::size_t column) {
    return table.encoder->shows(column) && !table.encoder->is_key(column);
  };
  while (alone_.body.size() > config_.publish.max_message && omission.take_largest(no_key)) {
    write_it(omission.row());
  }
}

void Pump::announce_snapshot(Table& table) {
  table.announced = true;
  const pg::Position position = alone_.position;
  const auto known = ShapeLog::ask(*table.announcements, position, table.shape);
  if (known == ShapeLog::Row::announced) return;
  session_.announce(*table.announcements, {position, table.shape, table.full_key});
  pass(Failpoint::shape_saved);
  const pg::Relation& relation = snapshots_->table().relation;
  writer_.schema_alone(alone_, schema_subject(config_.stream.subject_prefix, relation),
                       schema_record(table.shown, pg::column_types(*session_.sql, table.shown),
                                     position.commit_lsn));
}

// `{prefix}._snapshot.{schema}.{table}`, without a body.
void Pump::word_of_snapshot(std::uint64_t number, const char* header, const std::string& value) {
  require_slot_if_due();
  const pg::Relation& relation = snapshots_->table().relation;
  hold_alone(number);
  alone_.raw = true;
  alone_.subject = fmt::format("{}._snapshot.{}.{}", config_.stream.subject_prefix,
                               escape_schema(relation.schema), escape_token(relation.name));
  alone_.headers.emplace_back(header, value);
  const std::string& id = snapshots_->job().request;
  if (!id.empty()) alone_.headers.emplace_back("Walferry-Request", id);
  const auto& requests = session_.snapshots.requests();
  const bool partial = std::any_of(requests.begin(), requests.end(), [&](const auto& request) {
    return request.id == id && !request.where.empty();
  });
  if (partial) alone_.headers.emplace_back("Walferry-Partial", "true");
  writer_.alone(alone_);
}

void Pump::close_publication() {
  SnapshotPublication& publication = *publication_;
  const SnapshotPart& part = publication.part;
  if (part.last) {
    word_of_snapshot(publication.number + 1, "Walferry-Rows",
                     std::to_string(part.rows_before + publication.number));
  }
  publication.sent = true;
  snapshots_->sent(part, publisher_.sent(), publication.number);
  close_transaction(part.mark);
}

void Pump::require_slot_if_due() {
  if (Clock::now() - slot_checked_ > slot_check_interval) require_slot();
}

void Pump::require_slot() {
  const auto now = Clock::now();
  const auto slot = pg::slot_info(*session_.sql, config_.source.slot);
  if (!slot || slot->active_pid != session_.replication.backend_pid()) {
    throw pg::Error(
        fmt::format("slot \"{}\" is no longer read by this session", config_.source.slot), "55006");
  }
  slot_checked_ = now;
}

// Changes that the table's rows, read under one snapshot, have in them already.
bool Pump::is_in_snapshot(const pg::Relation& relation) const {
  return session_.snapshots.contains_any(transaction_.commit_lsn()) &&
         session_.snapshots.contains(quoted_name(relation.schema, relation.name),
                                     transaction_.commit_lsn(), transaction_.xid());
}

}  // namespace connector
