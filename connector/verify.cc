// Folds the stream by key and compares it, row by row, with the tables, while the daemon runs and
// writers write.
//
//   tables ─(COPY under one snapshot)─▶ file ─▶ encoded ─▶ sorted ─┐
//                                                                  ├─▶ merged by key: equal?
//   stream ─(messages 1 to L)─▶ records ─▶ entries of rows ─▶ sorted ─┘
//
// 1. The tables are locked (ACCESS SHARE), then a snapshot S of the database is taken, then WAL's
//    end E is asked for. Whatever S sees was committed before E.
// 2. The tables are read under S, and the transaction ends: nothing is held any longer.
// 3. L is a message such that all that was committed before E is in the stream up to L.
// 4. Of the messages up to L, the records of those transactions count that S sees.
//
// Why that subset folds to what S sees, though commits become visible in another order than that of
// their records in WAL: of two transactions that touch the same row the later one waits for the
// lock of the earlier, which is let go after the earlier has become visible. So a snapshot that
// sees the later sees the earlier; of each row's history S sees a beginning, and all of that is in
// the stream, by 3. A unique key orders the transactions that use the same value for different
// rows in the same way, a TRUNCATE those before and behind it, and counts of rows without a key
// do not depend on an order.
//
// Rows of a walferry snapshot count when their mark H is before WAL's end of a moment before S:
// they were read before H, so S sees all that they show. Rows with a later mark are left out; a
// table whose snapshot is not complete at that moment is not verified, unless --partial. A chunk
// leaves out what was changed between its marks, for the change has it; where that change was
// written before S and is not visible to it yet (its commit waits for a standby), the row is
// missing: such rows are told apart, and reported as not settled.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>

#include "connector/attach.h"
#include "connector/diff_verbs.h"
#include "connector/interrupt.h"
#include "connector/row_entries.h"
#include "connector/row_fold.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/table_selection.h"
#include "connector/verbs.h"
#include "connector/verify_compare.h"
#include "connector/verify_position.h"
#include "connector/verify_report.h"
#include "connector/verify_stream.h"
#include "connector/verify_tables.h"
#include "connector/wakeup.h"
#include "connector/work_progress.h"
#include "pg/catalog.h"
#include "pg/copy_text.h"
#include "pg/error.h"
#include "pg/stream_spool.h"
#include "pg/table_reader.h"
#include "publisher/error.h"
#include "publisher/stream.h"

namespace connector {
namespace {

constexpr std::uint64_t progress_every = 1024;  // rows, or messages
constexpr const char* stopped_before = "stopped before the comparison was done";

class Verification {
 public:
  Verification(const Config& config, const VerifyCommand& command, const Wakeup& wakeup)
      : config_(config),
        command_(command),
        wakeup_(wakeup),
        dir_(config.source.spill_dir.empty() ? pg::default_spill_dir() : config.source.spill_dir),
        nats_(attach_nats(config)),
        sql_(attach_postgres(config)),
        types_([this](pg::TypeId type) { return pg::type_row(*sql_, type); }) {}

  Exit run() {
    const pg::ServerInfo server = pg::server_info(*sql_);
    if (server.in_recovery) {
      throw Stop(Exit::precondition,
                 config_.is_diff() ? "PostgreSQL is in recovery, and verify needs the primary"
                                   : "PostgreSQL is in recovery, and the slot is elsewhere",
                 "give source.dsn the primary");
    }
    if (!publisher::stream_info(*nats_, config_.stream.name)) {
      throw Stop(Exit::precondition, fmt::format("stream {} does not exist", config_.stream.name),
                 "`walferry run` creates it; or correct stream.name");
    }
    if (config_.is_diff()) find_newest_round();
    read_tables(tables_to_verify(config_, command_, *sql_));
    const auto last = config_.is_diff()
                          ? last_of_rounds()
                          : last_before(config_, *sql_, *nats_, names(), end_, [this] { go_on(); });
    ExternalSort stream_rows(dir_);
    StreamFolder folder(config_, tables_, *view_, stream_rows);
    read_stream(folder, last);
    stream_rows.finish();
    ExternalSort table_rows(dir_);
    encode_rows(folder.histories(), table_rows);
    table_rows.finish();
    std::unique_ptr<ExternalSort> taken_along;
    if (folder.any_taken_along()) {
      taken_along = values_taken_along({.tables = tables_,
                                        .histories = folder.histories(),
                                        .view = *view_,
                                        .hides_unknown = hides_unknown(),
                                        .dir = dir_,
                                        .go_on = [this] { go_on(); }},
                                       stream_rows);
    }
    return compare(folder.histories(), stream_rows, taken_along.get(), table_rows);
  }

 private:
  // A comparison that is not done says nothing.
  void go_on() const {
    if (wakeup_.stop_requested()) throw Stop(Exit::failed, stopped_before, "");
  }

  // What has changed since the last round differs: the next one publishes it.
  publisher::StreamSequence last_of_rounds() {
    spdlog::info(
        "the stream is as of the round at {}; what has changed since then differs, until "
        "the next round publishes it",
        to_string(newest_round_));
    return publisher::stream_info(*nats_, config_.stream.name)->last;
  }

  void find_newest_round() {
    for (const auto& [name, table] : saved_diff_work(position_key(config_).get(*nats_)).tables) {
      newest_round_ = std::max(newest_round_, table.lsn);
    }
  }

  TableNames names() const {
    TableNames names;
    for (const VerifiedTable& table : tables_) {
      names.insert({table.shape().schema, table.shape().name});
    }
    return names;
  }

  void read_tables(const std::vector<pg::TableInfo>& chosen) {
    const TableSelection selection(config_);
    std::vector<pg::ReadTable> reads;
    reads.reserve(chosen.size());
    for (const pg::TableInfo& table : chosen) {
      reads.push_back({.id = pg::RelationId(table.oid),
                       .schema = table.schema,
                       .name = table.name,
                       .partitioned = table.partitioned});
    }
    pg::TableReader reader = pg::TableReader::open(config_.source.dsn);
    reader.lock(reads);
    pg::Lsn before = pg::flushed_wal_lsn(*sql_);
    pg::TableReader::Snapshot snapshot = reader.look();
    // A round's place is that of its snapshot, or a little above.
    if (config_.is_diff()) before = std::max(snapshot.after, newest_round_);
    end_ = snapshot.after;
    view_.emplace(std::move(snapshot.visible), before, next_xid(*sql_));
    for (const pg::ReadTable& table : reads) {
      pg::Relation shape = reader.shape(table);
      if (config_.is_diff()) as_compared(shape);
      std::vector<std::string> key;
      if (shape.identity == pg::ReplicaIdentity::full) key = pg::primary_key(*sql_, table.id);
      tables_.emplace_back(config_, *selection.find(table.schema, table.name), table, shape, key,
                           values_, debezium_);
    }
    WorkProgress progress("reading tables", "rows", 0);
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      reader.copy(tables_[i].table(), tables_[i].shape(), tables_[i].where(),
                  [&](std::string_view line) {
                    go_on();
                    lines_.add({.key = {}, .order = i, .value = line});
                    if (++rows_ % progress_every == 0) progress.report(rows_);
                  });
    }
    reader.end();
    lines_.rewind();
  }

  // Without a usable identity, snapshot-diff tells rows apart by the primary key, or whole.
  static void as_compared(pg::Relation& shape) {
    const bool keyed = std::any_of(shape.columns.begin(), shape.columns.end(),
                                   [](const pg::Column& column) { return column.key; });
    if (keyed) return;
    shape.identity = pg::ReplicaIdentity::full;
    for (pg::Column& column : shape.columns) column.key = true;
  }

  void read_stream(StreamFolder& folder, publisher::StreamSequence last) {
    const auto info = publisher::stream_info(*nats_, config_.stream.name);
    if (!info) throw publisher::Error(publisher::Failure::unavailable, "the stream is gone");
    if (last.value > 0 && info->first.value > 1 && !command_.partial) {
      throw Stop(Exit::precondition,
                 fmt::format("the beginning of stream {} is gone: its first message is {}",
                             config_.stream.name, info->first.value),
                 "verify --partial compares the rows that occur in what is left");
    }
    spdlog::info("comparing {} with stream {} up to message {}",
                 tables_.size() == 1 ? "1 table" : fmt::format("{} tables", tables_.size()),
                 config_.stream.name, last.value);
    const std::uint64_t from = std::max<std::uint64_t>(info->first.value, 1);
    WorkProgress progress("reading stream " + config_.stream.name, "messages",
                          last.value >= from ? last.value - from + 1 : 0);
    std::uint64_t looked = 0;
    folder.read(*nats_, publisher::StreamSequence(from), last, [&](publisher::StreamSequence at) {
      go_on();
      if (++looked % progress_every == 0) progress.report(at.value - from);
    });
  }

  void encode_rows(const std::vector<TableHistory>& histories, ExternalSort& sorted) {
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      tables_[i].require_names(histories[i].json, histories[i].debezium);
    }
    WorkProgress progress("sorting the tables' rows", "rows", rows_);
    std::vector<pg::Value> row;
    std::string buffer, name, value, after, other;
    for (std::uint64_t done = 1; lines_.next(); ++done) {
      go_on();
      const std::size_t table = lines_.item().order;
      const VerifiedTable& verified = tables_[table];
      const bool json = histories[table].json || !histories[table].debezium;
      pg::split_copy_line(lines_.item().value, verified.shape().columns.size(), buffer, row);
      name = table_prefix(table);
      value.clear();
      after.clear();
      verified.read(json ? ChangeFormat::json : ChangeFormat::debezium, row, name, after);
      if (!verified.keyless()) {
        TableRow::append(value, json ? ChangeFormat::json : ChangeFormat::debezium, after);
        if (json && histories[table].debezium) {
          other.clear();
          after.clear();
          verified.read(ChangeFormat::debezium, row, other, after);
          TableRow::append(value, ChangeFormat::debezium, after);
        }
      }
      sorted.add({.key = name, .order = done, .value = value});
      if (done % progress_every == 0) progress.report(done);
    }
    for (const std::string& warning : types_.take_warnings()) spdlog::warn("{}", warning);
  }

  bool hides_unknown() const { return config_.publish.oversize == "omit"; }

  Exit compare(const std::vector<TableHistory>& histories, ExternalSort& stream_rows,
               ExternalSort* taken_along, ExternalSort& table_rows) {
    std::size_t width = 0;
    for (const VerifiedTable& table : tables_) width = std::max(width, table.name().size());
    VerifyReport report(command_.json, std::min<std::size_t>(width, 60), stdout,
                        palette_for_stdout());
    Comparison comparison(tables_, histories, *view_,
                          {.partial = command_.partial,
                           .hides_unknown = hides_unknown(),
                           .go_on = [this] { go_on(); }},
                          stream_rows, taken_along, table_rows);
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      TableResult result;
      result.unverified = why_unverified(tables_[i], histories[i]);
      comparison.compare(i, result, report);
      add_notes(tables_[i], histories[i], result);
      report.table(tables_[i].name(), result);
    }
    if (std::ferror(stdout) != 0) {
      throw Stop(Exit::failed, "standard output could not be written: the report is not whole", "");
    }
    return report.code();
  }

  std::string why_unverified(const VerifiedTable& table, const TableHistory& history) const {
    if (history.snapshot_begun && !history.snapshot_complete && !command_.partial) {
      return "its snapshot is not complete in the stream: verify again when it is, or --partial "
             "compares the rows that are there";
    }
    if (table.keyless() && history.unfollowed > 0 &&
        history.last_unfollowed >= history.floor(*view_).order) {
      return fmt::format(
          "it has no key, and {} of its records in the stream do not tell a whole row (a column "
          "was "
          "added later, a value was left out for its size, or the row before an update is not "
          "told), so that its rows cannot be followed (the first: message {})",
          history.unfollowed, history.first_unfollowed);
    }
    if (table.keyless() && command_.partial && history.floor(*view_).order == 0) {
      return "it has no key, and so nothing can be said without the stream's beginning";
    }
    return "";
  }

  // What explains differences, for the one who looks at them.
  void add_notes(const VerifiedTable& table, const TableHistory& history,
                 TableResult& result) const {
    if (!table.keyless() && history.unfollowed > 0) {
      result.notes.push_back(fmt::format(
          "{} records do not have the columns of the table's key ({}), and were left out: it had "
          "another key then (the first: message {})",
          history.unfollowed, fmt::join(table.key(), ", "), history.first_unfollowed));
    }
    if (command_.partial) {
      result.notes.push_back(
          fmt::format("partial: {} rows that occur in the stream were compared", result.compared));
    }
    for (const auto& named : history.types) {
      const std::string& column = named.first;
      const auto& columns = table.shape().columns;
      const bool there = std::any_of(columns.begin(), columns.end(),
                                     [&](const pg::Column& one) { return one.name == column; });
      if (there) continue;
      result.notes.push_back(fmt::format(
          "column {} of the stream not compared: the table has none of that name, or generates it",
          printable(column)));
    }
    if (result.different() == 0) return;
    if (table.insert_only()) {
      result.notes.emplace_back(
          table.keyless()
              ? "it has neither key nor replica identity: what was updated or deleted is not in "
                "the stream, and differs for that"
              : "its updates or deletes are not published: what they changed differs for that");
    }
    if (result.missing > 0 && !history.snapshot_complete) {
      result.notes.emplace_back(
          "rows from before the table was captured are in the stream only after a snapshot, and "
          "it has none; --partial compares the rows that occur");
    }
    for (const pg::Column& column : table.shape().columns) {
      const auto then = history.types.find(column.name);
      if (then == history.types.end() || then->second == column.type.value) continue;
      result.notes.push_back(fmt::format(
          "the type of column {} has changed since the stream announced it last", column.name));
    }
  }

  const Config& config_;
  const VerifyCommand& command_;
  const Wakeup& wakeup_;
  const std::string dir_;
  std::unique_ptr<publisher::Connection> nats_;
  std::unique_ptr<pqxx::connection> sql_;
  pg::TypeCatalog types_;
  StructuredValues values_{types_};
  DebeziumValues debezium_;
  std::vector<VerifiedTable> tables_;
  std::optional<FoldView> view_;
  pg::Lsn newest_round_;  // of snapshot-diff
  pg::Lsn end_;
  ScratchFile lines_{dir_};
  std::uint64_t rows_ = 0;
};

}  // namespace

int verify(const Config& config, const VerifyCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup, stopped_before, std::chrono::seconds(1));
  try {
    return static_cast<int>(Verification(config, command, wakeup).run());
  } catch (const pg::SpillError& error) {
    throw Stop(Exit::failed, error.what(),
               "make room there, or set source.spill_dir (else TMPDIR) to another folder");
  }
}

}  // namespace connector
