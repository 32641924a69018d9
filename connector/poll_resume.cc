#include "connector/poll_resume.h"

#include <fmt/format.h>

#include <algorithm>

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
  Resumption(const Config& config, SlotlessSession& session, outbox::Poller& poller,
             const std::vector<outbox::PolledTable>& tables)
      : config_(config), session_(session), poller_(poller), tables_(tables) {}

  PollStart make() {
    const SlotlessResume& resume = session_.resume;
    if (resume.anew) {
      begin_anew();
    } else {
      start_.work = parse_poll_work(resume.position.work);
      check_server();
      if (start_.work.last > 0 || resume.tail) find_place();
      if (resume.other_timeline) check_timeline();
      check_rows();
    }
    require_tables();
    std::vector<std::pair<std::string, std::string>> configured;
    for (const outbox::PolledTable& table : tables_)
      configured.emplace_back(table.schema, table.name);
    work().take_tables(configured);
    return std::move(start_);
  }

 private:
  PollWork& work() { return start_.work; }
  StreamSequence stream_end() const { return session_.stream.last; }

  void gap(const std::string& what, const std::string& hint = accept_hint) {
    if (!session_.accept_gap) throw Stop(Exit::position_lost, what, hint);
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
      if (!session_.accept_gap) {
        throw Stop(Exit::usage, what,
                   "put it back, `run --once`, and take it out then; `run --accept-gap` leaves its "
                   "rows out");
      }
      start_.notes.push_back("accepted: " + what);
    }
  }

  // Numbers that were given are not given again.
  void begin_anew() {
    std::uint64_t last = 0;
    try {
      last = parse_poll_work(session_.resume.former_work).last;
    } catch (const Stop&) {  // it is given up anyway
    }
    if (const auto id = parse_poll_id(session_.resume.newest_id)) last = std::max(last, id->batch);
    start_ = {};
    work().last = last;
  }

  // What a snapshot sees, a server that was put back to an earlier state gives out again.
  void check_server() {
    if (work().newest().empty()) return;
    const auto now = poller_.look({}, {}).now;
    const auto newest = pg::Visibility::parse(work().newest());
    if (newest && newest->xmax() <= now.xmax()) return;
    gap(fmt::format("the server's next transaction is {}, and events of transactions up to {} were "
                    "published: it was put back to an earlier state",
                    now.xmax(), newest ? newest->xmax() - 1 : 0),
        "`run --accept-gap` begins anew, and publishes all events that are in the tables");
    begin_anew();
  }

  void find_place() {
    const auto& tail = session_.resume.tail;
    const auto id = tail ? parse_poll_id(session_.resume.tail_id) : std::nullopt;
    if (tail && !id) {
      throw Stop(Exit::position_lost,
                 fmt::format("message {} has the id {}:{}, which is of another capture",
                             tail->sequence.value, config_.source.slot, session_.resume.tail_id),
                 "polling needs a stream and a slot name of its own");
    }
    // Messages behind it that are gone were ours too, unless the operator has accepted them.
    const bool accepted = session_.position().accepted >= stream_end();
    if (!id || (tail->sequence < stream_end() && !accepted)) return find_by_sequence();
    if (id->batch > work().last) take_from_stream(*id);
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
    const auto& tail = session_.resume.tail;
    const auto first = publisher::get_message(*session_.nats, config_.stream.name,
                                              StreamSequence(tail->sequence.value - id.row + 1));
    const std::string* snapshots = first ? first->header(batch_header) : nullptr;
    const auto blank = snapshots == nullptr ? std::string::npos : snapshots->find(' ');
    const bool good = blank != std::string::npos &&
                      pg::Visibility::parse(std::string_view(*snapshots).substr(blank + 1));
    if (!good) {
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
    work().base = snapshots->substr(0, blank);
    work().batches.clear();
    work().archives.clear();
    work().last = id.batch - 1;
    work().begin(snapshots->substr(blank + 1), StreamSequence(tail->sequence.value - id.row));
  }

  bool load_archive() {
    if (work().archives.empty()) return false;
    const auto entry = archive_key(config_, work().archives.back()).get(*session_.nats);
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
    if (work().open) go_on_in(*work().open, work().open->end.value);
  }

  void go_on_in(const PollBatch& batch, std::uint64_t begin) {
    start_.batch = batch.number;
    std::uint64_t left = stream_end().value - begin;
    if (left == 0) return;
    const std::uint64_t row = left;
    std::size_t first = 0;
    std::optional<std::string> after_id;
    const bool is_open = work().open && work().open->number == batch.number;
    if (is_open && work().place && work().place->row <= left) {
      left -= work().place->row;
      first = work().place->table;
      after_id = work().place->id;
      if (left == 0) {
        start_.after = work().place;
        return;
      }
    }
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

  // A standby that was promoted may lack the last transactions of its predecessor. Commits come
  // over in their order: when it has the rows of the newest batch, it has all before. When it has
  // the highest transaction of that batch, no number below is given to another one either.
  void check_timeline() {
    const PollBatch* newest = work().open              ? &*work().open
                              : work().batches.empty() ? nullptr
                                                       : &work().batches.back();
    if (newest == nullptr) return;
    const bool begun =
        !work().open || (start_.batch == newest->number && start_.after) || start_.batch == 0;
    const std::uint64_t number = newest->number;
    if (!begun && !has_highest(*newest)) {
      start_.notes.push_back(fmt::format(
          "the server is on another timeline, and lacks what batch {} was to publish: it is read "
          "anew",
          number));
      work().open.reset();
      for (PollTable& table : work().tables) {
        if (table.since == number) table.since = work().last + 1;
      }
      if (start_.batch == number) start_.batch = 0;
      if (!work().batches.empty()) check_timeline();
      return;
    }
    const bool part = work().open && start_.after;
    const std::uint64_t published = part ? start_.after->row : newest->rows;
    const std::uint64_t there = !begun ? published
                                : part ? count(number, {}, start_.after)
                                       : count(number, {}, {});
    const bool others =
        part ? work().place && differs(number, work().place->row, work().place->digest)
             : begun && differs(number, newest->rows, newest->digest);
    if (there < published || others || (work().open && !has_highest(*newest))) {
      gap(fmt::format("the server is on timeline {}, and of the {} events of batch {} that were "
                      "published it has {}: it was promoted without its predecessor's last "
                      "transactions, or the application has deleted them",
                      session_.position().timeline.value, published, number, there),
          "`run --accept-gap` begins anew, and publishes again all events that are in the tables");
      begin_anew();
      return;
    }
    start_.notes.emplace_back(
        "the server is on another timeline; it has all that was published last");
  }

  // Whether the first rows of the batch are others than those that were published: a server that
  // was promoted may have given their transactions' numbers to rows of its own.
  bool differs(std::uint64_t number, std::uint64_t rows, std::uint64_t digest) {
    if (digest == 0) return false;
    PollDigest there;
    for (std::size_t i = 0; i < work().tables.size() && rows > 0; ++i) {
      const outbox::PolledTable* table = find_table(tables_, work().tables[i]);
      const auto range = work().range(work().tables[i], number);
      if (table == nullptr || !range) continue;
      outbox::PolledTable ids = *table;
      ids.columns = {table->id};
      poller_.begin(ids, *range, {}, rows);
      while (const auto row = poller_.next()) {
        const auto* id = std::get_if<std::string_view>(&row->front());
        there.add(i, id == nullptr ? std::string_view() : *id);
        --rows;
      }
    }
    return rows > 0 || there.value() != digest;
  }

  bool has_highest(const PollBatch& batch) {
    const auto snapshot = pg::Visibility::parse(batch.snapshot);
    const auto before = pg::Visibility::parse(work().before(batch.number));
    if (!snapshot || (before && before->xmax() == snapshot->xmax())) return true;
    return std::any_of(tables_.begin(), tables_.end(), [&](const outbox::PolledTable& table) {
      return poller_.has(table, snapshot->xmax() - 1);
    });
  }

  // Of the batch's rows behind or up to a place.
  std::uint64_t count(std::uint64_t number, const std::optional<PollPlace>& after,
                      const std::optional<PollPlace>& upto) {
    std::uint64_t rows = 0;
    for (std::size_t i = 0; i < work().tables.size(); ++i) {
      const outbox::PolledTable* table = find_table(tables_, work().tables[i]);
      const auto range = work().range(work().tables[i], number);
      if (table == nullptr || !range || (after && i < after->table) || (upto && i > upto->table)) {
        continue;
      }
      rows += poller_.count(*table, *range, after && i == after->table ? after->id : std::nullopt,
                            upto && i == upto->table ? upto->id : std::nullopt);
    }
    return rows;
  }

  // What was complete, and is to be published again, must be there, or its numbers would name other
  // rows.
  void check_rows() {
    if (start_.batch == 0) return;
    for (const PollBatch& batch : work().batches) {
      if (batch.number < start_.batch) continue;
      const auto after = batch.number == start_.batch ? start_.after : std::nullopt;
      const std::uint64_t wanted = batch.rows - std::min(batch.rows, after ? after->row : 0);
      const std::uint64_t there = count(batch.number, after, {});
      if (there == wanted) continue;
      gap(
          fmt::format("JetStream has lost {} events of batch {} that it had acknowledged, and the "
                      "tables still hold {} of them",
                      wanted, batch.number, there));
    }
  }

  const Config& config_;
  SlotlessSession& session_;
  outbox::Poller& poller_;
  const std::vector<outbox::PolledTable>& tables_;
  PollStart start_;
};

}  // namespace

PollStart resume_poll(const Config& config, SlotlessSession& session, outbox::Poller& poller,
                      const std::vector<outbox::PolledTable>& tables) {
  return Resumption(config, session, poller, tables).make();
}

publisher::KeyValue archive_key(const Config& config, const PollArchive& archive) {
  return {"walferry",
          fmt::format("{}.{}.batches.{}", config.stream.name, config.source.slot, archive.first)};
}

const outbox::PolledTable* find_table(const std::vector<outbox::PolledTable>& tables,
                                      const PollTable& table) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const auto& one) {
    return one.schema == table.schema && one.name == table.name;
  });
  return found == tables.end() ? nullptr : &*found;
}

std::string polled_name(const std::string& schema, const std::string& table) {
  return guard_header(escape_token(schema) + "." + escape_token(table));
}

}  // namespace connector
