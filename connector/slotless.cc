#include "connector/slotless.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "connector/failpoint.h"
#include "connector/log.h"
#include "connector/reload.h"
#include "connector/retry.h"
#include "connector/session.h"
#include "connector/stop.h"
#include "connector/stream_setup.h"
#include "pg/catalog.h"
#include "pg/error.h"
#include "publisher/error.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr seconds drain_limit{4};

// What a start brings that a later attempt does not have.
struct SlotlessStart {
  bool first = true;
  bool changed = false;  // the configuration, since the last session
  bool reached = false;
  bool accept_gap = false;
};

enum class Waited { no, stood_by, interrupted };

Waited wait_for_lock(pg::WriterLock& lock, pqxx::connection& sql, std::int64_t key,
                     const Wakeup& wakeup) {
  const auto since = Clock::now();
  bool said = false;
  while (!wakeup.stop_requested()) {
    if (lock.try_acquire(key)) {
      if (said) spdlog::info("the writer's lock is free: taking over");
      return said ? Waited::stood_by : Waited::no;
    }
    // Our own last session may take a moment to end.
    const bool short_wait = Clock::now() - since < seconds(2);
    if (!short_wait && !std::exchange(said, true)) {
      const auto holder = pg::advisory_lock_holder(sql, key);
      spdlog::info("standing by: the writer's lock is held by the session with pid {}",
                   holder ? holder->pid : 0);
    }
    if (said && wakeup.reload_requested()) break;
    wakeup.wait_for(short_wait ? milliseconds(25) : milliseconds(200));
  }
  return Waited::interrupted;
}

void require_server(const pg::ServerInfo& server, const SlotlessCapture& capture,
                    const SlotlessStart& start) {
  if (server.in_recovery && !capture.reads_standbys && start.reached) {
    throw pg::Error("PostgreSQL is in recovery: waiting until it is promoted", "57P03");
  }
  require(slotless_server_findings(server, capture.reads_standbys));
}

// A leader that was just elected answers with less than it has agreed to, until it has applied it.
bool may_be_behind(const SlotlessObserved& seen, bool there, int configured_replicas) {
  if (!there) return seen.saved && configured_replicas > 1;
  if (seen.stream.replicas <= 1) return false;
  if (!seen.saved) return seen.stream.last.value > 0;
  return seen.stream.created == seen.saved->stream_created && seen.stream.last < seen.saved->last;
}

// The saved position first: it is never ahead of the stream.
void observe_nats(const Config& config, SlotlessSession& session, SlotlessObserved& seen,
                  const Wakeup& wakeup) {
  const auto deadline = Clock::now() + seconds(15);
  while (true) {
    const publisher::KeyValueEntry entry = session.key.get(*session.nats);
    session.revision = entry.revision;
    seen.saved.reset();
    if (entry.value) seen.saved = parse_slotless_position(*entry.value, seen.capture);
    const auto info = publisher::stream_info(*session.nats, config.stream.name);
    seen.stream = info.value_or(seen.stream);
    if (!may_be_behind(seen, info.has_value(), config.stream.replicas) || wakeup.stop_requested() ||
        Clock::now() >= deadline) {
      break;
    }
    wakeup.wait_for(milliseconds(250));
  }
  const PublishConfig& publish = config.publish;
  seen.window = publisher::read_back(*session.nats, config.stream.name, seen.stream.first,
                                     seen.stream.last, std::uint64_t{publish.max_in_flight} + 1,
                                     publish.max_in_flight_bytes + 2 * publish.max_message);
}

std::unique_ptr<SlotlessSession> resync(const Config& config, const SlotlessCapture& capture,
                                        SlotlessStart& start, Wakeup& wakeup) {
  const std::int64_t key = writer_lock_key(config);
  pg::WriterLock lock = pg::WriterLock::open(config.source.dsn);
  auto sql = pg::connect_sql(config.source.dsn);
  const pg::ServerInfo server = pg::server_info(*sql);
  require_server(server, capture, start);
  start.reached = true;
  if (start.first) capture.look(*sql);  // a standby too says at once what is wrong
  const Waited waited = wait_for_lock(lock, *sql, key, wakeup);
  if (waited == Waited::interrupted) return nullptr;
  if (!start.first || waited == Waited::stood_by) {
    const bool again = capture.look_again && !start.changed;
    (again ? capture.look_again : capture.look)(*sql);
  }
  if (!pg::holds_advisory_lock(*sql, lock.pid(), key)) {
    throw pg::Error("the two sessions have come to different servers", "");
  }
  const pg::SystemIdentity identity = pg::system_identity(*sql);

  auto nats = std::make_unique<publisher::Connection>(nats_settings(config),
                                                      [&wakeup] { wakeup.notify(); });
  std::optional<publisher::StreamInfo> info = require_stream(config, *nats);
  auto session = std::make_unique<SlotlessSession>(SlotlessSession{.lock = std::move(lock),
                                                                   .sql = std::move(sql),
                                                                   .standby = server.in_recovery,
                                                                   .nats = std::move(nats),
                                                                   .key = position_key(config),
                                                                   .stream = {},
                                                                   .resume = {},
                                                                   .accept_gap = start.accept_gap});
  SlotlessObserved seen =
      observe_database(config, capture.name, capture.settings, *session->sql, identity.timeline);
  seen.accept_gap = start.accept_gap;
  if (!info) {
    // Where positions are lost, nothing may be made in the place of what they depend on.
    observe_nats(config, *session, seen, wakeup);
    decide_slotless(seen);
    info = require_stream(config, *session->nats);  // a leader may have caught up
  }
  if (!info) info = create_stream(config, *session->nats);
  ensure_bucket(session->key, *session->nats, *info, start.first);
  observe_nats(config, *session, seen, wakeup);
  session->stream = seen.stream;
  session->resume = decide_slotless(seen);
  for (const std::string& note : session->resume.notes) spdlog::warn("{}", note);
  return session;
}

class SlotlessSupervisor {
 public:
  SlotlessSupervisor(const Config& config, const RunCommand& command, Wakeup& wakeup,
                     const std::function<SlotlessCapture(const Config&)>& capture)
      : config_(config),
        wakeup_(wakeup),
        make_(capture),
        once_(command.once || command.until_current),
        start_{.accept_gap = command.accept_gap} {}

  int run() {
    while (!wakeup_.stop_requested()) {
      try {
        take_changes();
        if (attempt()) break;
      } catch (const std::exception& error) {
        if (go_back(error)) continue;
        const auto code = retry_.after(error, retry_.judge(error), wakeup_);
        if (code) return static_cast<int>(*code);
      }
    }
    spdlog::info("stopped");
    return static_cast<int>(Exit::done);
  }

 private:
  void take_changes() {
    if (!wakeup_.take_reload()) return;
    const auto next = reload(config_);
    if (!next) return;
    running_ = std::exchange(config_, *next);
    configure_logging(config_.log);
    spdlog::info("{} has changed: going on with it", config_.file);
  }

  // One that could not start does not replace one that runs.
  bool go_back(const std::exception& error) {
    const auto* stop = dynamic_cast<const Stop*>(&error);
    if (stop == nullptr || !running_) return false;
    spdlog::error("the changed configuration is not taken, the old one stays: {}. What to do: {}",
                  stop->what(), stop->hint());
    config_ = *std::exchange(running_, std::nullopt);
    configure_logging(config_.log);
    return true;
  }

  // True when the work is over.
  bool attempt() {
    const SlotlessCapture capture = make_(config_);
    start_.changed = running_.has_value();
    const auto session = resync(config_, capture, start_, wakeup_);
    if (!session) return wakeup_.stop_requested();
    start_.first = false;
    // What the operator allowed was for the gap that was there, not for one to come.
    start_.accept_gap = false;
    running_.reset();
    retry_.reached();
    const auto began = Clock::now();
    const auto worked = [&] {
      if (session->published > 0 || Clock::now() - began > std::chrono::minutes(1)) retry_.worked();
    };
    try {
      const SlotlessEnded ended = capture.run(*session, wakeup_, once_);
      worked();
      return ended == SlotlessEnded::finished;
    } catch (...) {
      worked();
      throw;
    }
  }

  Config config_;
  std::optional<Config> running_;  // the one before, until config_ has shown that it can run
  Wakeup& wakeup_;
  const std::function<SlotlessCapture(const Config&)>& make_;
  bool once_;
  SlotlessStart start_;
  Retry retry_;
};

}  // namespace

void SlotlessSession::save() { revision = key.put(*nats, to_json(position()), revision); }

Outlet::Outlet(const Config& config, SlotlessSession& session, const Wakeup& wakeup)
    : session_(session),
      wakeup_(wakeup),
      publisher_(
          nats_settings(config), session.stream.last,
          {.messages = config.publish.max_in_flight, .bytes = config.publish.max_in_flight_bytes},
          [&wakeup] { wakeup.notify(); }) {}

bool Outlet::publish(const publisher::Envelope& envelope) {
  while (!publisher_.has_room()) {
    settle();
    if (wakeup_.stop_requested()) return false;
    if (!publisher_.has_room()) wait();
  }
  session_.lock.require();
  pass(Failpoint::before_publish);
  publisher_.publish(envelope, Clock::now());
  return true;
}

bool Outlet::drain() {
  std::optional<Clock::time_point> deadline;
  while (true) {
    settle();
    if (publisher_.in_flight() == 0) return true;
    if (wakeup_.stop_requested() && !deadline) deadline = Clock::now() + drain_limit;
    if (deadline && Clock::now() >= *deadline) {
      spdlog::warn("{} messages are still without an ack: they will be sent again next time",
                   publisher_.in_flight());
      return false;
    }
    wait();
  }
}

void Outlet::store_what_is_before() noexcept {
  try {
    drain();
  } catch (const std::exception& failure) {
    spdlog::warn("{} messages are without an ack: {}", publisher_.in_flight(), failure.what());
  }
}

void Outlet::settle() {
  if (session_.nats->lost()) {
    throw publisher::Error(publisher::Failure::unavailable, "the connection to NATS was lost");
  }
  session_.nats->check_permissions();
  const auto settled = publisher_.settle(Clock::now());
  for (; stored_ < settled.stored; ++stored_) pass(Failpoint::stored_unacked);
  session_.published = stored_;
}

void Outlet::wait() {
  pollfd waiting[2] = {{.fd = wakeup_.fd(), .events = POLLIN, .revents = 0},
                       {.fd = publisher_.socket(), .events = publisher_.events(), .revents = 0}};
  if (poll(waiting, 2, 200) > 0 && waiting[0].revents != 0) wakeup_.clear();
}

int supervise_slotless(const Config& config, const RunCommand& command, Wakeup& wakeup,
                       const std::function<SlotlessCapture(const Config&)>& capture) {
  return SlotlessSupervisor(config, command, wakeup, capture).run();
}

Findings slotless_server_findings(const pg::ServerInfo& server, bool reads_standbys) {
  constexpr int oldest = 140000;
  Findings found;
  if (server.version < oldest) {
    found.push_back({Verdict::fail, "version",
                     fmt::format("the server is PostgreSQL {}, and walferry needs 14 or newer",
                                 server.version_text),
                     "upgrade PostgreSQL"});
  }
  if (server.in_recovery && !reads_standbys) {
    found.push_back({Verdict::fail, "primary",
                     "PostgreSQL is in recovery, and polling needs the primary",
                     "name the primary in source.dsn (several hosts, with "
                     "target_session_attrs=read-write)"});
  }
  if (server.encoding != "UTF8") {
    found.push_back(
        {Verdict::fail, "encoding",
         fmt::format("the database's encoding is {}, and messages are UTF-8", server.encoding),
         "use a database whose encoding is UTF8"});
  }
  return found;
}

std::string slotless_system(pqxx::connection& sql) {
  const std::string server = pg::system_identity(sql).system_id;
  pqxx::nontransaction work(sql);
  return server + "/" +
         work.exec("SELECT oid FROM pg_database WHERE datname = current_database()")[0][0].c_str();
}

SlotlessObserved observe_database(const Config& config, const std::string& capture,
                                  const std::string& settings, pqxx::connection& sql,
                                  pg::Timeline timeline) {
  return {.saved = {},
          .capture = capture,
          .slot = config.source.slot,
          .stream_name = config.stream.name,
          .stream = {},
          .window = {},
          .system_id = slotless_system(sql),
          .timeline = timeline,
          .settings = settings};
}

// FNV-1a, 64 bits.
std::int64_t writer_lock_key(const Config& config) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : "walferry " + config.stream.name + "." + config.source.slot) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return static_cast<std::int64_t>(hash);
}

void require_same_server(const Config& config, const SlotlessSession& session,
                         pg::SqlSession& reader) {
  const pg::PgResult held = reader.exec(
      fmt::format("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = {0} "
                  "AND objsubid = 1 AND classid::bigint = ({1}::bigint >> 32) & 4294967295 "
                  "AND objid::bigint = {1}::bigint & 4294967295",
                  session.lock.pid(), writer_lock_key(config)));
  if (PQntuples(held.get()) == 0) {
    throw pg::Error("the two sessions have come to different servers", "");
  }
}

}  // namespace connector
