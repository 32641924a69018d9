#include "connector/pump.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <variant>

#include "connector/failpoint.h"
#include "connector/remedy.h"
#include "connector/stop.h"
#include "publisher/error.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int reads_per_turn = 128;  // between two looks at acks and deadlines
constexpr std::chrono::nanoseconds wake_interval{250'000};
constexpr seconds save_interval{1};
constexpr seconds refresh_interval{60};
constexpr seconds drain_limit{4};  // and finish() may take one more
constexpr seconds silence_limit{30};
// While a position is waited for, the server is asked for it this often when nothing arrives.
constexpr milliseconds until_interval{50};

}  // namespace

Pump::Pump(const Config& config, Session& session, Wakeup& wakeup, std::optional<pg::Lsn> until)
    : config_(config),
      session_(session),
      wakeup_(wakeup),
      selection_(config),
      until_(until),
      publisher_(
          *session.nats, session.last,
          {.messages = config.publish.max_in_flight, .bytes = config.publish.max_in_flight_bytes},
          [&wakeup] { wakeup.notify(); }),
      replay_window_(config.source.replay_window, config.source.replay_window_max,
                     session.slot_confirmed),
      stored_tail_(session.saved.tail),
      stored_last_(session.saved.last),
      next_status_(Clock::now()),
      next_save_(Clock::now()),
      next_refresh_(Clock::now() + refresh_interval),
      last_heard_(Clock::now()),
      progress_(until, Clock::now()) {}

Pump::Ended Pump::run() {
  std::optional<Clock::time_point> drain_deadline;
  while (true) {
    const auto now = Clock::now();
    settle(now);
    if (wakeup_.stop_requested() && !drain_deadline) drain_deadline = now + drain_limit;
    const bool ending = until_reached_ || drain_deadline;
    save_if_due(now, ending);
    if (ending && settled_and_saved()) {
      return finish(until_reached_ ? Ended::until_reached : Ended::stopped);
    }
    if (drain_deadline && now >= *drain_deadline) {
      spdlog::warn("{} messages are still without an ack: they will be sent again next time",
                   publisher_.in_flight());
      return finish(Ended::stopped);
    }
    if (now >= next_status_) send_status(now, true);
    refresh_tables_if_due(now);
    if (ending || !read_some()) wait(now);
    if (publisher_.has_room()) warn_of_silence(now);
    progress_.report(now, stored_, std::max(frontier_.stored(), stored_tail_.commit_lsn),
                     [this] { return pg::flushed_wal_lsn(*session_.sql); });
  }
}

bool Pump::read_some() {
  bool any = false;
  for (int i = 0; i < reads_per_turn && publisher_.has_room() && !until_reached_; ++i) {
    const pg::Arrival arrival = session_.replication.next();
    if (const auto* data = std::get_if<pg::WalData>(&arrival)) {
      handle(*data);
    } else if (const auto* keepalive = std::get_if<pg::Keepalive>(&arrival)) {
      handle(*keepalive);
    } else {
      break;
    }
    any = true;
  }
  if (any) last_heard_ = Clock::now();
  return any;
}

// A server that is busy decoding for others may say nothing for long, so silence is no error; but
// it is said.
void Pump::warn_of_silence(Clock::time_point now) {
  if (now - last_heard_ < silence_limit) return;
  spdlog::warn("PostgreSQL has sent nothing for {} s, not even an answer to a status update",
               std::chrono::duration_cast<seconds>(silence_limit).count());
  last_heard_ = now;
}

void Pump::handle(const pg::WalData& data) {
  received_ = std::max(received_, data.lsn);
  change_lsn_ = data.lsn;
  std::visit([this](const auto& change) { on(change); }, decoder_.decode(data.message));
}

void Pump::handle(const pg::Keepalive& keepalive) {
  received_ = std::max(received_, keepalive.wal_end);
  frontier_.keepalive(keepalive.wal_end);
  if (!frontier_.transaction_open()) {
    session_.reread.passed(keepalive.wal_end);
    look_for_until(keepalive.wal_end);
  }
  if (keepalive.reply_requested) send_status(Clock::now(), false);
}

void Pump::on(const pg::Begin& begin) {
  if (until_ && begin.commit_lsn > *until_) {
    until_reached_ = true;
    return;
  }
  frontier_.begin();
  transaction_.begin(begin);
  replicated_ = false;
  ordinal_ = 0;
}

void Pump::on(const pg::Commit& commit) {
  if (held_.present) release_held(true);
  received_ = std::max(received_, commit.end_lsn);
  frontier_.committed(commit.end_lsn);
  session_.reread.passed(commit.end_lsn);
  if (until_ && commit.end_lsn > *until_) until_reached_ = true;
}

void Pump::on(const pg::RelationSeen& seen) {
  tables_.erase(seen.relation->id.value);  // made anew in its new shape when a change comes
}

void Pump::on(const pg::Insert& change) { row(change); }
void Pump::on(const pg::Update& change) { row(change); }
void Pump::on(const pg::Delete& change) { row(change); }

void Pump::on(const pg::Truncate& change) {
  for (const pg::Relation* relation : change.relations) {
    record(*relation, Op::truncate,
           [](const TableEncoder& table, std::string& out) { table.truncate(out); });
  }
}

// Published with a later part; within a transaction it is a change like any other all the same.
void Pump::on(const pg::Message& message) {
  if (message.transactional) count();
}

// Row filters would cost a query for nothing there.
bool Pump::leaves_out_transaction() const { return replicated_ && config_.source.origin == "none"; }

pg::Position Pump::count() {
  const pg::Position position{transaction_.commit_lsn(), ++ordinal_};
  if (!session_.reread.done()) session_.reread.saw_change(position);
  return position;
}

template <class Change>
void Pump::row(const Change& change) {
  if (leaves_out_transaction()) {
    count();
    return;
  }
  const auto left = table_of(*change.relation)
                        .gate.pass(change, change_lsn_, {transaction_.commit_lsn(), ordinal_ + 1});
  std::visit(
      [&](const auto& one) {
        if constexpr (std::is_convertible_v<decltype(one), RowFilter::Nothing>) {
          count();
        } else {
          record(*change.relation, op_of(one),
                 [&](const TableEncoder& table, std::string& out) { encode(table, out, one); });
        }
      },
      left);
}

template <class Encode>
void Pump::record(const pg::Relation& relation, Op op, Encode encode) {
  const pg::Position position = count();
  Reread& reread = session_.reread;
  const Table& table = table_of(relation);
  if (!table.selected || leaves_out_transaction() || !table.gate.publishes(op, position)) return;
  if (!reread.done() && reread.is_stored(position)) {
    if (position > stored_tail_) {
      stored_tail_ = position;
      stored_last_ = reread.stored_up_to();
    }
    return;
  }
  if (held_.present) release_held(false);
  held_.body.clear();
  try {
    encode(*table.encoder, held_.body);
  } catch (const BadValue& bad) {
    throw Stop(Exit::precondition,
               fmt::format("table {}, position {}{}: {}", table.encoder->name(),
                           connector::to_string(position), key_for_log(held_.body), bad.what()),
               "correct the value (a database with encoding SQL_ASCII stores any bytes)");
  }
  transaction_.append_position(held_.body, change_lsn_, ordinal_);
  held_.table.assign(table.encoder->name());
  held_.subject.assign(table.encoder->subject(op));
  held_.id.clear();
  fmt::format_to(std::back_inserter(held_.id), "{}:{:016X}:{}", config_.source.slot,
                 position.commit_lsn.value, position.ordinal);
  held_.position = position;
  held_.present = true;
}

void Pump::release_held(bool last) {
  held_.present = false;
  transaction_.append_end(held_.body, last);
  if (held_.body.size() > config_.publish.max_message) {
    throw Stop(
        Exit::precondition,
        fmt::format("table {}, position {}{}: the record has {} bytes, and "
                    "publish.max_message is {}",
                    held_.table, connector::to_string(held_.position), key_for_log(held_.body),
                    held_.body.size(), config_.publish.max_message),
        "raise publish.max_message (and max_payload of nats-server), or leave the table out");
  }
  pass(Failpoint::before_publish);
  const std::uint64_t number = publisher_.publish(
      {.subject = held_.subject.c_str(), .message_id = held_.id.c_str(), .payload = held_.body},
      Clock::now());
  frontier_.sent(number);
  in_flight_.push_back(held_.position);
}

std::string Pump::key_for_log(std::string_view record) const {
  const std::string_view key = config_.log.keys ? key_in(record) : std::string_view();
  return key.empty() ? "" : fmt::format(", key {}", key);
}

Pump::Table& Pump::table_of(const pg::Relation& relation) {
  const auto found = tables_.find(relation.id.value);
  if (found != tables_.end()) return found->second;
  Table table;
  const TableConfig* config = selection_.find(relation.schema, relation.name);
  table.selected = config != nullptr;
  if (table.selected) {
    table.gate =
        TableGate(*config, relation, config_.source.publication, *session_.sql, change_lsn_);
    std::vector<std::string> key;
    if (relation.identity == pg::ReplicaIdentity::full) {
      key = pg::primary_key(*session_.sql, relation.id);
    }
    table.encoder.emplace(
        relation, key, config_.stream.subject_prefix,
        [this](pg::TypeId type) { return base_type(type); }, table.gate.choice());
  }
  return tables_.emplace(relation.id.value, std::move(table)).first->second;
}

// Types below 10000 have fixed numbers and are no domains; the others are looked up once.
pg::TypeId Pump::base_type(pg::TypeId type) {
  constexpr std::uint32_t first_unfixed = 10000;
  if (type.value < first_unfixed) return type;
  const auto found = base_types_.find(type.value);
  if (found != base_types_.end()) return found->second;
  return base_types_.emplace(type.value, pg::base_type(*session_.sql, type)).first->second;
}

void Pump::settle(Clock::time_point now) {
  if (session_.nats->lost()) {
    throw publisher::Error(publisher::Failure::unavailable, "the connection to NATS was lost");
  }
  session_.nats->check_permissions();
  const publisher::Publisher::Settled settled = publisher_.settle(now);
  if (settled.stored > stored_) pass(Failpoint::stored_unacked);
  while (stored_ < settled.stored) {
    frontier_.acked(++stored_);
    stored_tail_ = in_flight_.front();
    stored_last_ = publisher_.sequence_of(stored_);
    in_flight_.pop_front();
  }
  // Until all that is stored has been compared with WAL, a hole could still be found in it.
  if (session_.reread.done()) {
    report_accepted();
    replay_window_.observe(frontier_, now);
  }
  if (settled.revision) {
    session_.revision = *settled.revision;
    confirm();
  }
}

// What the operator accepted is not to be asked about again at the next start.
void Pump::report_accepted() {
  if (reported_) return;
  reported_ = true;
  for (const std::string& what : session_.reread.accepted()) {
    spdlog::warn("accepted: {}", what);
    session_.saved.accepted = session_.last;
    save_accepted_ = true;
  }
}

void Pump::save_if_due(Clock::time_point now, bool at_once) {
  if (publisher_.saving() || (now < next_save_ && !at_once)) return;
  SavedPosition next = session_.saved;
  next.tail = stored_tail_;
  next.last = stored_last_;
  std::optional<pg::SafeLsn> safe = replay_window_.safe(now);
  if (safe && safe->lsn() > next.confirmed) {
    next.confirmed = safe->lsn();
  } else {
    safe.reset();
  }
  if (replay_window_.cut_short() != warned_cut_short_) {
    warned_cut_short_ = replay_window_.cut_short();
    if (warned_cut_short_) {
      spdlog::warn(
          "more than source.replay_window_max of WAL was written within replay_window: less "
          "of it is kept for mending a stream that loses acknowledged messages");
    }
  }
  if (next == session_.saved && !save_accepted_) return;
  save_accepted_ = false;
  pass(Failpoint::acked_unsaved);
  publisher_.save(session_.key, to_json(next), session_.revision, now);
  session_.saved = std::move(next);
  saving_ = safe;
  next_save_ = now + save_interval;
}

void Pump::confirm() {
  if (!saving_) return;
  pass(Failpoint::saved_unconfirmed);
  confirmed_ = std::exchange(saving_, std::nullopt);
  send_status(Clock::now(), false);
}

void Pump::send_status(Clock::time_point now, bool request_reply) {
  session_.replication.send_status(received_, confirmed_, request_reply);
  unsent_status_ = true;
  const bool looking = until_ && !until_reached_;
  next_status_ = now + (looking ? until_interval : session_.status_interval);
}

void Pump::refresh_tables_if_due(Clock::time_point now) {
  const bool asked = wakeup_.take_reload();
  if (!asked && now < next_refresh_) return;
  next_refresh_ = now + refresh_interval;
  if (asked) spdlog::info("looking at the tables again");
  refresh_publications(config_, *session_.sql);
}

void Pump::look_for_until(pg::Lsn wal_end) {
  if (!until_ || until_reached_ || wal_end < *until_) return;
  // At exactly that position a commit record may begin that the walsender has not read yet.
  until_reached_ = wal_end > *until_ || pg::flushed_wal_lsn(*session_.sql) <= *until_;
}

bool Pump::settled_and_saved() { return publisher_.in_flight() == 0 && !publisher_.saving(); }

// The walsender flushes each row on its own. Read as they come, rows cost a wake-up and a few
// system calls each, on a machine that has the walsender and nats-server to feed too. So while data
// flows, two wake-ups are at least this far apart, and what has gathered meanwhile is read at once.
void Pump::gather() {
  const auto since = Clock::now() - last_wake_;
  if (since < wake_interval) {
    const timespec left{.tv_sec = 0, .tv_nsec = (wake_interval - since).count()};
    ppoll(nullptr, 0, &left, nullptr);
  }
}

void Pump::wait(Clock::time_point now) {
  gather();
  if (unsent_status_) unsent_status_ = !session_.replication.flush();
  const bool reading = publisher_.has_room() && !until_reached_ && !wakeup_.stop_requested();
  short events = reading ? POLLIN : 0;
  if (unsent_status_) events |= POLLOUT;
  const auto next = std::min({next_status_, next_refresh_, now + milliseconds(200)});
  const auto left = std::max<Clock::duration>(next - Clock::now(), Clock::duration::zero());
  pollfd waiting[2] = {
      {.fd = wakeup_.fd(), .events = POLLIN, .revents = 0},
      {.fd = events == 0 ? -1 : session_.replication.socket(), .events = events, .revents = 0}};
  if (poll(waiting, 2, static_cast<int>(std::chrono::ceil<milliseconds>(left).count())) > 0 &&
      waiting[0].revents != 0) {
    wakeup_.clear();
  }
  last_wake_ = Clock::now();
}

Pump::Ended Pump::finish(Ended how) {
  send_status(Clock::now(), false);
  session_.replication.finish(Clock::now() + seconds(1));
  return how;
}

}  // namespace connector
