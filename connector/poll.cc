#include "connector/poll.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "connector/failpoint.h"
#include "connector/json_value.h"
#include "connector/poll_findings.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/stream_setup.h"
#include "connector/terminal.h"
#include "pg/error.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* channel = "walferry_outbox";
// Rows of one statement: so long it keeps the server from cleaning up.
constexpr std::uint64_t rows_at_once = 50'000;
constexpr std::uint64_t removed_at_once = 1'000;
constexpr std::size_t longest_batch_header = 1'024;
constexpr seconds removal_interval{1};
constexpr seconds report_interval{10};

std::int64_t now_ms() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<milliseconds>(since).count();
}

}  // namespace

Poll::Poll(const Config& config, SlotlessSession& session, Wakeup& wakeup)
    : config_(config),
      session_(session),
      wakeup_(wakeup),
      outboxes_(polled_outboxes(config)),
      poller_(outbox::Poller::open(config.source.dsn)),
      outlet_(config, session, wakeup),
      next_report_(Clock::now() + report_interval) {
  poller_.when_idle([this] { outlet_.keep_alive(); });
  if (!poller_.same_server(session.lock.pid(), writer_lock_key(config))) {
    throw pg::Error("the two sessions have come to different servers", "");
  }
  for (const PolledOutbox& outbox : outboxes_) {
    if (poller_.claim(outbox.table(), outbox.config().delete_after_publish)) continue;
    throw pg::Error(fmt::format("another walferry polls {}, and one of the two deletes its rows: "
                                "waiting for it to stop",
                                outbox_name(outbox.config())),
                    "");
  }
  tables_ = choose_columns(outboxes_, poller_);
  // Before the first look: what commits behind it wakes.
  session.lock.listen(channel);
  PollStart start = resume_poll(config,
                                {.resume = session.resume,
                                 .nats = *session.nats,
                                 .stream_end = session.stream.last,
                                 .accept_gap = session.accept_gap},
                                poller_, tables_);
  for (const std::string& note : start.notes) spdlog::warn("{}", note);
  work_ = std::move(start.work);
  after_ = std::move(start.after);
  known_ = std::move(start.digest);
  if (start.batch == 0) return;
  for (const PollBatch& batch : work_.batches) {
    if (batch.number >= start.batch) again_.push_back(batch.number);
  }
  if (work_.open) again_.push_back(work_.open->number);
}

SlotlessEnded Poll::run(bool once) {
  save();
  for (const std::uint64_t number : again_) {
    spdlog::info("going on with batch {}{}", number,
                 after_ ? fmt::format(", behind its event {}", after_->row) : "");
    if (!publish_batch(number, std::exchange(after_, std::nullopt))) return SlotlessEnded::stopped;
  }
  while (!leaving()) {
    remove_due();
    if (begin_batch()) {
      if (!publish_batch(work_.open->number, std::nullopt)) return SlotlessEnded::stopped;
      continue;
    }
    if (unsaved_) save();
    if (once) return SlotlessEnded::finished;
    idle();
  }
  if (unsaved_) save();
  return SlotlessEnded::stopped;
}

// True: there is something new, and what it is has been saved.
bool Poll::begin_batch() {
  std::vector<outbox::PolledTable> tables;
  std::vector<std::string> after;
  for (const PollTable& table : work_.tables) {
    const outbox::PolledTable* configured = find_table(tables_, table);
    if (configured == nullptr) continue;
    tables.push_back(*configured);
    after.push_back(work_.seen(table));
  }
  const outbox::Poller::Look look = poller_.look(tables, after);
  const auto before = pg::Visibility::parse(work_.newest());
  if (before && before->xmax() > look.now.xmax()) {
    throw pg::Error("the server has gone back to an earlier state", "");  // resuming says it
  }
  if (!look.highest) return false;
  if (*look.highest >= look.now.xmax()) {
    throw Stop(Exit::precondition,
               fmt::format("an outbox has rows of transaction {}, and the server's next one is {}: "
                           "they were restored from another server's dump",
                           *look.highest, look.now.xmax()),
               "delete those that were published, and UPDATE … SET xid = DEFAULT for the others");
  }
  poller_.make_durable(look.wal_end);
  work_.begin(outbox::trimmed(look.now, *look.highest, before), outlet_.last_stored());
  work_.wal_end = look.wal_end;
  work_.open_rows = BatchRows(poller_, tables_, work_).count(work_.open->number, {}, {});
  pass(Failpoint::before_batch);
  save();
  pass(Failpoint::batch_saved);
  return true;
}

bool Poll::publish_batch(std::uint64_t number, const std::optional<PollPlace>& after) {
  row_ = after ? after->row : 0;
  digest_ = after ? std::exchange(known_, std::nullopt) : PollDigest();
  const PollBatch* batch = work_.find(number);
  batch_header_ = batch_header_value({.after = work_.before(number), .upto = batch->snapshot});
  if (batch_header_.size() > longest_batch_header) batch_header_.clear();
  bool whole = true;
  for (std::size_t i = after ? after->table : 0; whole && i < work_.tables.size(); ++i) {
    whole = publish_table(i, number, after && i == after->table ? after->id : std::nullopt);
  }
  if (!outlet_.drain() || !whole) return false;
  pass(Failpoint::batch_stored);
  complete(number);
  return true;
}

void Poll::complete(std::uint64_t number) {
  unsaved_ = true;
  if (work_.open && work_.open->number == number) {
    work_.complete(outlet_.last_stored(), row_, now_ms(), digest_);
    return;
  }
  for (PollBatch& batch : work_.batches) {
    if (batch.number != number) continue;
    batch.end = outlet_.last_stored();
    batch.rows = row_;
    batch.at_ms = now_ms();
  }
}

const PolledOutbox* Poll::find(const PollTable& table) const {
  const auto found = std::find_if(outboxes_.begin(), outboxes_.end(), [&](const auto& outbox) {
    return outbox.is(table.schema, table.name);
  });
  return found == outboxes_.end() ? nullptr : &*found;
}

bool Poll::publish_table(std::size_t table, std::uint64_t number,
                         std::optional<std::string> after_id) {
  const PolledOutbox* outbox = find(work_.tables[table]);
  const auto range = work_.range(work_.tables[table], number);
  if (outbox == nullptr || !range) return true;
  while (true) {
    outlet_.flush();
    poller_.begin(outbox->table(), *range, after_id, rows_at_once);
    std::uint64_t rows = 0;
    while (const auto row = poller_.next()) {
      if (!publish_row(*outbox, *row, number)) return false;
      if (digest_) digest_->add(table, outbox->identity(*row));
      keep_place(table, number);
      ++rows;
    }
    if (rows < rows_at_once) return true;
    after_id = last_id_;
  }
}

// The stream's messages may expire before the batch is complete, and rows be deleted: then this
// says where to go on.
void Poll::keep_place(std::size_t table, std::uint64_t number) {
  if (row_ % 64 != 0 || Clock::now() < next_place_) return;
  next_place_ = Clock::now() + seconds(1);
  if (!work_.open || work_.open->number != number || !outlet_.drain()) return;
  work_.place = PollPlace{
      .table = table, .id = last_id_, .row = row_, .digest = digest_ ? digest_->value() : 0};
  save();
}

bool Poll::publish_row(const PolledOutbox& outbox, const pg::Row& row, std::uint64_t number) {
  if (wakeup_.stop_requested()) return false;
  try {
    last_id_ = outbox.route(row, event_);
  } catch (const BadValue& bad) {
    refuse(outbox, number, bad.what(),
           "set payload, headers or subject of its [[outbox]] so that the row fits: headers = \"\" "
           "publishes none");
  }
  if (event_.body.size() > config_.publish.max_message) {
    refuse(outbox, number,
           fmt::format("it has {} bytes, and publish.max_message is {}", event_.body.size(),
                       config_.publish.max_message),
           "raise publish.max_message (and max_payload of nats-server), or delete the row");
  }
  id_ = fmt::format("{}:{}", config_.source.slot, to_string(PollId{number, row_ + 1}));
  headers_.clear();
  headers_.push_back({event_id_header, event_.event_id.c_str()});
  headers_.push_back({outbox_header, outbox.name().c_str()});
  if (row_ == 0 && !batch_header_.empty()) {
    headers_.push_back({batch_header, batch_header_.c_str()});
  }
  for (const auto& [name, value] : event_.headers) {
    headers_.push_back({name.c_str(), value.c_str()});
  }
  if (!outlet_.publish({.subject = event_.subject.c_str(),
                        .message_id = id_.c_str(),
                        .payload = event_.body,
                        .headers = headers_})) {
    return false;
  }
  ++row_;
  // libpq keeps them in memory; what they say is looked for behind the batch anyway.
  if (row_ % 256 == 0) session_.lock.take_notifications();
  report();
  return true;
}

void Poll::refuse(const PolledOutbox& outbox, std::uint64_t number, const std::string& why,
                  const char* way_out) {
  outlet_.store_what_is_before();
  throw Stop(Exit::precondition,
             fmt::format("{}, event {} of batch {}: it cannot be published: {}",
                         outbox_name(outbox.config()), row_ + 1, number, why),
             way_out);
}

void Poll::save() {
  archive();
  session_.position().last = outlet_.last_stored();
  session_.position().work = to_json(work_);
  session_.save();
  unsaved_ = false;
}

void Poll::archive() {
  while (auto older = work_.split()) {
    const publisher::KeyValue key = archive_key(config_, older->first);
    key.put(*session_.nats, older->second, key.get(*session_.nats).revision);
  }
}

// Rows of the newest batch stay: they show a server that is promoted that it has all.
void Poll::remove_due() {
  const auto now = Clock::now();
  if (now < next_removal_) return;
  next_removal_ = now + removal_interval;
  const auto read = [&](const PollArchive& gone) {
    const publisher::KeyValue key = archive_key(config_, gone);
    auto text = key.get(*session_.nats).value;
    key.purge(*session_.nats);
    return text;
  };
  if (work_.forget_before(now_ms() - config_.source.replay_window.count(), read)) unsaved_ = true;
  if (work_.due.empty()) return;
  for (PollTable& table : work_.tables) {
    const PolledOutbox* outbox = find(table);
    const bool removes = outbox != nullptr && outbox->config().delete_after_publish;
    // Not before its first batch, which has whatever was there, is among what is due.
    if (!removes || table.removed == work_.due || work_.due_number < table.since) continue;
    session_.lock.require();
    pass(Failpoint::before_removal);
    const std::string& behind = table.removed.empty() ? table.from : table.removed;
    const auto removed =
        poller_.remove(outbox->table(), {.after = behind, .upto = work_.due}, removed_at_once);
    if (!removed.refused.empty() && now >= next_refusal_) {
      next_refusal_ = now + std::chrono::minutes(1);
      spdlog::warn(
          "{}: events that were published cannot be deleted: {}. What to do: let the "
          "table's rows be deleted, or set delete_after_publish = false",
          outbox_name(outbox->config()), removed.refused);
    }
    if (!removed.rows) continue;
    if (*removed.rows == 0) {
      table.removed = work_.due;
    } else {
      next_removal_ = now;
    }
    unsaved_ = true;
  }
}

// Until something is committed, a timer ends, or there is something else to do.
void Poll::idle() {
  session_.lock.require();
  outlet_.settle();
  milliseconds interval = seconds(10);  // a session that is alive says so
  auto deadline = Clock::time_point::max();
  for (const PolledOutbox& outbox : outboxes_) {
    interval = std::min(interval, outbox.config().poll_interval);
    if (outbox.config().delete_after_publish) deadline = next_removal_;
  }
  deadline = std::min(deadline, Clock::now() + interval);
  while (!leaving() && !session_.lock.take_notifications()) {
    outlet_.settle();
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return;
    pollfd waiting[2] = {{.fd = wakeup_.fd(), .events = POLLIN, .revents = 0},
                         {.fd = session_.lock.socket(), .events = POLLIN, .revents = 0}};
    if (poll(waiting, 2, static_cast<int>(left)) > 0 && waiting[0].revents != 0) wakeup_.clear();
  }
}

void Poll::report() {
  if (row_ % 256 != 0 || Clock::now() < next_report_) return;
  next_report_ = Clock::now() + report_interval;
  const std::uint64_t stored = outlet_.stored();
  spdlog::info(
      "{} events stored ({} a second), {} of batch {}", human_number(stored),
      human_number((stored - reported_) / static_cast<std::uint64_t>(report_interval.count())),
      human_number(row_), work_.last);
  reported_ = stored;
}

SlotlessCapture poll_capture(const Config& config) {
  return {.name = "poll",
          .reads_standbys = false,
          .settings = record_settings(config, {}),
          .look =
              [&config](pqxx::connection& sql) {
                const Findings findings = poll_findings(config, sql);
                warn(findings);
                require(findings);
              },
          .run = [&config](SlotlessSession& session, Wakeup& wakeup,
                           bool once) { return Poll(config, session, wakeup).run(once); }};
}

}  // namespace connector
