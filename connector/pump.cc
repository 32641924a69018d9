#include "connector/pump.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "connector/coverage.h"
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
constexpr std::chrono::nanoseconds longest_wake_interval{2'000'000};
constexpr std::chrono::nanoseconds wake_interval_a_message{1'000};  // in flight
constexpr seconds save_interval{1};
constexpr seconds refresh_interval{60};
constexpr seconds drain_limit{4};  // and finish() may take one more
constexpr seconds silence_limit{30};
// While a position is waited for, the server is asked for it this often when nothing arrives.
constexpr milliseconds until_interval{50};

}  // namespace

Pump::Pump(const Config& config, Session& session, Wakeup& wakeup, std::optional<pg::Lsn> until,
           std::function<bool()> reload)
    : config_(config),
      session_(session),
      wakeup_(wakeup),
      reload_(std::move(reload)),
      selection_(config),
      until_(until),
      transactions_(session.spool),
      types_([this](pg::TypeId type) { return pg::type_row(*session_.sql, type); },
             [this] { pg::wait_until_visible(*session_.sql, xid_); }),
      format_(session.replay ? session.replay->published : config, session.sql->dbname(), types_),
      writer_(
          config,
          [this](std::string& body, bool last) { format_.finish(body, transaction_, last); },
          [this](const HeldRecord& held, const char* id) {
            return format_.headers(held.op, id, held.event_subject);
          },
          [this](const Message& message) { send(message); }),
      publisher_(
          nats_settings(config), session.last,
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
      progress_(until, Clock::now()) {
  const MessagePosition tail = session.reread.anchor();
  pg::Position stored = tail.change;
  if (tail.part != MessagePosition::whole && stored.ordinal > 0) --stored.ordinal;
  writer_.cut_after(stored);
}

Pump::Ended Pump::run() {
  try {
    return loop();
  } catch (const Stop&) {
    store_what_is_before();
    throw;
  }
}

// A change that cannot be published holds up none before it (but what waits to learn whether it is
// its transaction's last).
void Pump::store_what_is_before() {
  const auto deadline = Clock::now() + drain_limit;
  std::string why = "the stream is slow";
  try {
    for (auto now = Clock::now(); publisher_.in_flight() > 0 && now < deadline;
         now = Clock::now()) {
      settle(now);
      publisher_.flush();
      pollfd acks{.fd = publisher_.socket(), .events = publisher_.events(), .revents = 0};
      if (publisher_.in_flight() > 0) poll(&acks, 1, 50);
    }
  } catch (const std::exception& failure) {
    why = failure.what();
  }
  if (publisher_.in_flight() == 0) return;
  spdlog::warn("{} messages are still without an ack, and will be sent again: {}",
               publisher_.in_flight(), why);
}

Pump::Ended Pump::loop() {
  std::optional<Clock::time_point> drain_deadline;
  while (true) {
    const auto now = Clock::now();
    settle(now);
    const bool to_end = wakeup_.stop_requested() || reloaded_;
    if (to_end && !drain_deadline) drain_deadline = now + drain_limit;
    const bool ending = until_reached_ || drain_deadline;
    save_if_due(now, ending);
    const bool for_reload = reloaded_ && !wakeup_.stop_requested();
    const Ended drained = for_reload ? Ended::reloaded : Ended::stopped;
    if (ending && settled_and_saved()) {
      return finish(until_reached_ ? Ended::until_reached : drained);
    }
    if (drain_deadline && now >= *drain_deadline) {
      spdlog::warn("{} messages are still without an ack: they will be sent again next time",
                   publisher_.in_flight());
      return finish(drained);
    }
    if (now >= next_status_) send_status(now, true);
    refresh_tables_if_due(now);
    tend_snapshots(now);
    if (ending || !(publication_ ? publish_snapshot() : read_some())) wait(now);
    if (publisher_.has_room() && !publication_) warn_of_silence(now);
    progress_.report(now, stored_, std::max(frontier_.stored(), stored_tail_.commit_lsn()),
                     [this] { return pg::flushed_wal_lsn(*session_.sql); });
  }
}

bool Pump::read_some() {
  bool any = false;
  for (int i = 0; i < reads_per_turn && publisher_.has_room() && !until_reached_ && !publication_;
       ++i) {
    const pg::Arrival arrival = transactions_.next(session_.replication);
    if (const auto* data = std::get_if<pg::WalData>(&arrival)) {
      handle(*data);
    } else if (const auto* keepalive = std::get_if<pg::Keepalive>(&arrival)) {
      handle(*keepalive);
    } else if (const auto* aside = std::get_if<pg::SetAside>(&arrival)) {
      received_ = std::max(received_, aside->lsn);
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
  std::visit(
      [this](const auto& change) {
        if (!session_.replay || !before_replay(change)) on(change);
      },
      decoder_.decode(data.message));
}

template <class Change>
bool Pump::before_replay(const Change& change) {
  if constexpr (std::is_same_v<Change, pg::Begin>) {
    passing_over_ = change.commit_lsn < session_.replay->from;
  } else if constexpr (std::is_same_v<Change, pg::Commit>) {
    return std::exchange(passing_over_, false);
  } else if constexpr (std::is_same_v<Change, pg::Message>) {
    if (!change.transactional) return change.lsn < session_.replay->from;
  } else if constexpr (std::is_same_v<Change, pg::RelationSeen> ||
                       std::is_same_v<Change, pg::TypeSeen>) {
    return false;
  }
  return passing_over_;
}

void Pump::handle(const pg::Keepalive& keepalive) {
  received_ = std::max(received_, keepalive.wal_end);
  if (!frontier_.transaction_open()) {
    session_.reread.passed(keepalive.wal_end);
    if (session_.reread.done()) frontier_.keepalive(keepalive.wal_end);
    look_for_until(keepalive.wal_end);
  }
  if (keepalive.reply_requested) answer();
}

void Pump::on(const pg::Begin& begin) {
  session_.reread.passed(begin.commit_lsn);
  if (is_over(begin.commit_lsn)) return;
  frontier_.begin();
  transaction_.begin(begin);
  format_.begin(begin);
  commit_time_ = begin.commit_time;
  xid_ = begin.xid;
  replicated_ = false;
  ordinal_ = 0;
}

void Pump::on(const pg::Commit& commit) {
  writer_.commit();
  received_ = std::max(received_, commit.end_lsn);
  close_transaction(commit.end_lsn);
  is_over(commit.end_lsn);
}

// What begins at `lsn` is behind the end, and so not published. Where the stream is as far already,
// what it holds must be compared before all is known to be there.
bool Pump::is_over(pg::Lsn lsn) {
  behind_until_ = until_ && lsn > *until_;
  if (behind_until_ && session_.reread.done()) until_reached_ = true;
  return until_reached_;
}

void Pump::settle(Clock::time_point now) {
  if (session_.nats->lost()) {
    throw publisher::Error(publisher::Failure::unavailable, "the connection to NATS was lost");
  }
  session_.nats->check_permissions();
  const publisher::Publisher::Settled settled = publisher_.settle(now);
  while (stored_ < settled.stored) {
    pass(Failpoint::stored_unacked);
    frontier_.acked(++stored_);
    stored_tail_ = in_flight_.front();
    stored_last_ = publisher_.sequence_of(stored_);
    in_flight_.pop_front();
    // Transaction by transaction: one step for all that was acknowledged at once would have to be
    // held, or let go, as a whole.
    replay_window_.observe(frontier_, now);
  }
  if (session_.reread.done()) report_accepted();
  replay_window_.observe(frontier_, now);
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
  if (session_.replay || publisher_.saving() || (now < next_save_ && !at_once)) return;
  SavedPosition next = session_.saved;
  next.tail = stored_tail_;
  next.last = stored_last_;
  next.stored = std::max(next.stored, frontier_.stored());
  std::optional<pg::SafeLsn> safe = replay_window_.safe(now);
  if (safe && safe->lsn() > next.confirmed) {
    next.confirmed = safe->lsn();
    next.rests_on = publisher_.sequence_of(safe->rests_on());
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

// A server that shuts down asks, and waits until what was sent is flushed: for C that is a whole
// replay_window. An answer that names no flushed position leaves the slot as it is, and the server
// content with what has arrived.
void Pump::answer() {
  session_.replication.send_status(received_, std::nullopt, false);
  unsent_status_ = true;
}

void Pump::refresh_tables_if_due(Clock::time_point now) {
  const bool asked = reload_ && !reloaded_ && wakeup_.take_reload();
  if (asked) reloaded_ = reload_();
  if ((!asked && now < next_refresh_) || reloaded_) return;
  next_refresh_ = now + refresh_interval;
  if (!session_.replay) refresh_publications(config_, session_);
  if (snapshots_) snapshots_->look();
  types_.refresh_composites();
}

void Pump::look_for_until(pg::Lsn wal_end) {
  if (!until_ || until_reached_ || wal_end < *until_ || !session_.reread.done()) return;
  // At exactly that position a commit record may begin that the walsender has not read yet.
  until_reached_ = wal_end > *until_ || pg::flushed_wal_lsn(*session_.sql) <= *until_;
}

bool Pump::settled_and_saved() { return publisher_.in_flight() == 0 && !publisher_.saving(); }

// The walsender flushes each row on its own. Read as they come, rows cost a wake-up and a few
// system calls each, on a machine that has the walsender and nats-server to feed too. So while data
// flows, two wake-ups are at least this far apart, and what has gathered meanwhile is read at once.
// Where the window is full, the oldest record in flight has waited for longer than that anyway, and
// of a snapshot nobody waits for the next row: then they are further apart, the more is in flight.
void Pump::gather() {
  const auto since = Clock::now() - last_wake_;
  auto interval = wake_interval;
  if (publication_ || !publisher_.has_room()) {
    interval = std::clamp<std::chrono::nanoseconds>(
        wake_interval_a_message * publisher_.in_flight(), wake_interval, longest_wake_interval);
  }
  if (since < interval) {
    const timespec left{.tv_sec = 0, .tv_nsec = (interval - since).count()};
    ppoll(nullptr, 0, &left, nullptr);
  }
}

void Pump::wait(Clock::time_point now) {
  publisher_.flush();
  gather();
  if (unsent_status_) unsent_status_ = !session_.replication.flush();
  const bool reading = publisher_.has_room() && !until_reached_ && !reloaded_ &&
                       !wakeup_.stop_requested() && !publication_;
  short events = reading ? POLLIN : 0;
  if (unsent_status_) events |= POLLOUT;
  const auto next = std::min({next_status_, next_refresh_, now + milliseconds(200)});
  const auto left = std::max<Clock::duration>(next - Clock::now(), Clock::duration::zero());
  pollfd waiting[3] = {
      {.fd = wakeup_.fd(), .events = POLLIN, .revents = 0},
      {.fd = events == 0 ? -1 : session_.replication.socket(), .events = events, .revents = 0},
      {.fd = publisher_.socket(), .events = publisher_.events(), .revents = 0}};
  if (poll(waiting, 3, static_cast<int>(std::chrono::ceil<milliseconds>(left).count())) > 0 &&
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
