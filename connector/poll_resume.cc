#include "connector/poll_resume.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/poll_server.h"
#include "connector/polled_outbox.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/subject.h"
#include "publisher/tail.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr const char* accept_hint = "`run --accept-gap` goes on with what is there";

class Resumption {
 public:
  Resumption(const Config& config, PollSides sides, outbox::Poller& poller,
             const std::vector<outbox::PolledTable>& tables)
      : config_(config),
        sides_(sides),
        poller_(poller),
        tables_(tables),
        rows_(poller, tables, start_.work) {}

  PollStart make() {
    const SlotlessResume& resume = sides_.resume;
    if (resume.anew) {
      begin_anew();
    } else {
      start_.work = parse_poll_work(resume.position.work);
      work().identify(identity_of(tables_));
      const bool same_timeline = !resume.other_timeline;
      give_up(lacks_transactions(work(), poller_.look({}, {}), same_timeline));
      if (!anew_ && (work().last > 0 || resume.tail)) find_place();
      if (!anew_) {
        give_up(same_timeline ? has_other_rows(start_, rows_)
                              : lacks_rows(start_, rows_, sides_.resume.position.timeline));
      }
      check_rows();
      know_digest();
    }
    require_tables();
    std::vector<std::pair<std::string, std::string>> configured;
    for (const outbox::PolledTable& table : tables_)
      configured.emplace_back(table.schema, table.name);
    work().take_tables(configured);
    work().identify(identity_of(tables_));
    return std::move(start_);
  }

 private:
  PollWork& work() { return start_.work; }
  StreamSequence stream_end() const { return sides_.stream_end; }

  void gap(const std::string& what, const std::string& hint = accept_hint) {
    if (!sides_.accept_gap) throw Stop(Exit::position_lost, what, hint);
    start_.notes.push_back("accepted: " + what);
  }

  // What is still to be published of a batch cannot be without one of its tables.
  void require_tables() {
    for (const PollTable& table : work().tables) {
      const bool in_open = work().open && work().range(table, work().open->number);
      const bool again = start_.batch != 0 && work().range(table, start_.batch);
      if ((!in_open && !again) || find_table(tables_, table) != nullptr) continue;
      const std::string name = table.schema + "." + table.name;
      const std::string what = fmt::format(
          "outbox {} is not in the configuration any more, and batch {}, which has rows "
          "of it, is not wholly published",
          name, in_open ? work().open->number : start_.batch);
      if (!sides_.accept_gap) {
        throw Stop(Exit::usage, what,
                   "put it back, `run --once`, and take it out then; `run --accept-gap` leaves its "
                   "rows out");
      }
      start_.notes.push_back("accepted: " + what);
    }
  }

  void give_up(const std::string& what) {
    if (what.empty()) return;
    gap(what,
        "`run --accept-gap` begins anew, and publishes again all events that are in the tables");
    begin_anew();
  }

  // Numbers that were given are not given again, and what the stream holds tells no place any more.
  void begin_anew() {
    anew_ = true;
    sides_.resume.position.accepted = stream_end();
    std::uint64_t last = 0;
    try {
      last = parse_poll_work(sides_.resume.former_work).last;
    } catch (const Stop&) {  // it is given up anyway
    }
    if (const auto id = parse_poll_id(sides_.resume.newest_id)) last = std::max(last, id->batch);
    start_ = {};
    work().last = last;
  }

  void find_place() {
    const auto& tail = sides_.resume.tail;
    const auto id = tail ? parse_poll_id(sides_.resume.tail_id) : std::nullopt;
    if (tail && !id) {
      throw Stop(Exit::position_lost,
                 fmt::format("message {} has the id {}:{}, which is of another capture",
                             tail->sequence.value, config_.source.slot, sides_.resume.tail_id),
                 "polling needs a stream and a slot name of its own");
    }
    // Messages behind it that are gone were ours too, unless the operator has accepted them.
    const bool accepted = sides_.resume.position.accepted >= stream_end();
    if (!id || (tail->sequence < stream_end() && !accepted)) return find_by_sequence();
    if (id->batch > work().last) take_from_stream(*id);
    if (anew_) return;
    while (work().find(id->batch) == nullptr && load_archive()) {
    }
    const PollBatch* batch = work().find(id->batch);
    if (batch == nullptr) return behind_what_is_known(id->batch);
    const bool open = work().open && work().open->number == id->batch;
    if (!open && id->row >= batch->rows) {
      start_.batch = following(id->batch);
      return;
    }
    start_.batch = id->batch;
    start_.after = place_of(*tail, *id);
    // Counted from the tail, whatever has come between: it may be all that is left to go by.
    if (open) work().open->end = StreamSequence(stream_end().value - id->row);
  }

  std::uint64_t following(std::uint64_t number) {
    for (const PollBatch& batch : work().batches) {
      if (batch.number > number) return batch.number;
    }
    return work().open && work().open->number > number ? work().open->number : 0;
  }

  // The saved position has gone back beyond the stream. Every batch's first message says what it
  // is.
  void take_from_stream(const PollId& id) {
    const auto& tail = sides_.resume.tail;
    const auto first = publisher::get_message(sides_.nats, config_.stream.name,
                                              StreamSequence(tail->sequence.value - id.row + 1));
    const std::string* snapshots = first ? first->header(batch_header) : nullptr;
    const auto batch = snapshots == nullptr ? std::nullopt : parse_batch_header(*snapshots);
    // When a table joined is in the saved position alone.
    const bool joined =
        std::any_of(tables_.begin(), tables_.end(), [&](const outbox::PolledTable& table) {
          return std::none_of(work().tables.begin(), work().tables.end(), [&](const auto& known) {
            return known.schema == table.schema && known.name == table.name;
          });
        });
    if (!batch || joined) {
      gap(fmt::format("stream {} holds batch {}, and the saved position knows only those up to {}",
                      config_.stream.name, id.batch, work().last),
          "`run --accept-gap` begins anew, and may publish again what the stream holds");
      begin_anew();
      return;
    }
    start_.notes.push_back(
        fmt::format("JetStream has lost a saved position that it had acknowledged: it knew batches "
                    "up to {}; going on with {}, which the stream holds",
                    work().last, id.batch));
    work().base = batch->after;
    work().batches.clear();
    work().archives.clear();
    work().last = id.batch - 1;
    work().begin(batch->upto, StreamSequence(tail->sequence.value - id.row));
  }

  bool load_archive() {
    if (work().archives.empty()) return false;
    const auto entry = archive_key(config_, work().archives.back()).get(sides_.nats);
    if (!entry.value) return false;
    work().join(*entry.value);
    work().archives.pop_back();
    return true;
  }

  // Nothing of ours to go by in the stream: what counts is how many messages it has had.
  void find_by_sequence() {
    const auto begins = [&] {
      if (work().batches.empty()) return work().open ? work().open->end : StreamSequence();
      return StreamSequence(work().batches.front().end.value - work().batches.front().rows);
    };
    while (stream_end() < begins() && load_archive()) {
    }
    if (stream_end() < begins()) return behind_what_is_known(0);
    for (const PollBatch& batch : work().batches) {
      if (stream_end() < batch.end) {
        return go_on_in(batch, batch.end.value - batch.rows);
      }
    }
    if (work().open) return go_on_in(*work().open, work().open->end.value);
    const StreamSequence known =
        std::max(sides_.resume.saved_last, sides_.resume.position.accepted);
    if (stream_end() <= known) return;
    gap(fmt::format("stream {} has had {} messages, of which the saved position knows {}, and the "
                    "others are gone: which events they were is not known",
                    config_.stream.name, stream_end().value, known.value),
        "restore the key in the bucket `walferry`; `run --accept-gap` goes on behind what the "
        "saved "
        "position knows, and may publish events again");
  }

  void go_on_in(const PollBatch& batch, std::uint64_t begin) {
    start_.batch = batch.number;
    std::uint64_t left = stream_end().value - begin;
    if (left == 0) return;
    const std::uint64_t row = left;
    const bool is_open = work().open && work().open->number == batch.number;
    PollPlace known;
    if (is_open && work().place && work().place->row <= left) known = *work().place;
    left -= known.row;
    if (left == 0) {
      start_.after = known;
      return;
    }
    if (is_open && rows_are_gone(known)) {
      gap(fmt::format(
              "{} of the {} events of batch {} were published and are no longer in the "
              "stream, and rows of it are no longer in the tables: which of the others were "
              "published is not known",
              row, work().open_rows, batch.number),
          "`run --accept-gap` publishes all that the tables still have of it, some for the second "
          "time");
      known.row = row;
      start_.after = known;
      return;
    }
    const std::size_t first = known.table;
    std::optional<std::string> after_id = known.id;
    for (std::size_t i = first; i < work().tables.size(); ++i, after_id.reset()) {
      const outbox::PolledTable* table = find_table(tables_, work().tables[i]);
      const auto range = work().range(work().tables[i], batch.number);
      if (table == nullptr || !range) continue;
      const std::uint64_t rows = poller_.count(*table, *range, after_id, {}, left);
      if (rows == left) {
        start_.after = {
            .table = i, .id = poller_.id_at(*table, *range, after_id, left), .row = row};
        return;
      }
      left -= rows;
    }
    gap(fmt::format("{} events of batch {} were published, and the tables hold fewer of it", row,
                    batch.number));
    start_.after = {.table = work().tables.size(), .id = {}, .row = row};
  }

  // Of the open batch, behind a place: then its rows cannot be counted off.
  bool rows_are_gone(const PollPlace& known) {
    const PollBatch& open = *work().open;
    if (work().open_rows == 0 || !rows_.covers(open.number)) return false;
    return rows_.count(open.number, known, {}) < work().open_rows - known.row;
  }

  void behind_what_is_known(std::uint64_t number) {
    const auto first = work().first();
    gap(
        fmt::format("stream {} ends at message {}{}, and what batches before {} were is no longer "
                    "known: it has gone back by more than source.replay_window",
                    config_.stream.name, stream_end().value,
                    number == 0 ? "" : fmt::format(" (batch {})", number), first.value_or(0)));
    start_.batch = first.value_or(0);
  }

  PollPlace place_of(const publisher::StoredMessage& tail, const PollId& id) {
    const std::string* name = tail.header(outbox_header);
    const std::string* event = tail.header(event_id_header);
    for (std::size_t i = 0; i < work().tables.size(); ++i) {
      const PollTable& table = work().tables[i];
      if (name == nullptr || event == nullptr) break;
      if (*name != polled_name(table.schema, table.name)) continue;
      return {.table = i, .id = unescape_token(*event), .row = id.row};
    }
    throw Stop(Exit::position_lost,
               fmt::format("message {} of stream {} does not say which row it was made of",
                           tail.sequence.value, config_.stream.name),
               "find out who writes into the stream; restore it");
  }

  // What the open batch was published from so far, so that it can be compared when it is complete.
  void know_digest() {
    constexpr std::uint64_t most = 100'000;  // it holds up the start
    const auto published = start_.of_open();
    if (!published || published->row > most) return;
    start_.digest = rows_.digest(start_.batch, published->row, published);
  }

  // What was complete, and is to be published again, must be there, or its numbers would name other
  // rows.
  void check_rows() {
    if (start_.batch == 0) return;
    for (const PollBatch& batch : work().batches) {
      if (batch.number < start_.batch) continue;
      const auto after = batch.number == start_.batch ? start_.after : std::nullopt;
      const std::uint64_t wanted = batch.rows - std::min(batch.rows, after ? after->row : 0);
      const std::uint64_t there = rows_.count(batch.number, after, {});
      if (there == wanted) continue;
      gap(
          fmt::format("JetStream has lost {} events of batch {} that it had acknowledged, and the "
                      "tables still hold {} of them",
                      wanted, batch.number, there));
    }
  }

  const Config& config_;
  PollSides sides_;
  outbox::Poller& poller_;
  const std::vector<outbox::PolledTable>& tables_;
  PollStart start_;
  BatchRows rows_;
  bool anew_ = false;
};

}  // namespace

PollStart resume_poll(const Config& config, PollSides sides, outbox::Poller& poller,
                      const std::vector<outbox::PolledTable>& tables) {
  return Resumption(config, sides, poller, tables).make();
}

publisher::KeyValue archive_key(const Config& config, const PollArchive& archive) {
  return {"walferry",
          fmt::format("{}.{}.batches.{}", config.stream.name, config.source.slot, archive.first)};
}

}  // namespace connector
