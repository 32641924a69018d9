// The run of a walferry without a slot: what polling and snapshot-diff have in common.
//
//   lock ─▶ stream, bucket ─▶ saved position + the stream's tail ─▶ decide ─▶ the capture's run()
//
// Without a slot PostgreSQL admits any number of readers. So one session-level advisory lock, keyed
// on stream and slot, says who writes; the others stand by. The lock is no fence: what keeps a
// predecessor that was stopped, and goes on, out of the stream is the chain of expected sequences,
// and out of the saved position its revision. What is no function of WAL is also written only
// while the lock's session has answered within the last second, see Outlet.
//
// As with a slot, anything unexpected drops the whole session, and a new one asks the stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "connector/cli.h"
#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/slotless_position.h"
#include "connector/wakeup.h"
#include "pg/catalog.h"
#include "pg/sql_session.h"
#include "pg/writer_lock.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"
#include "publisher/publisher.h"

namespace connector {

struct SlotlessSession {
  pg::WriterLock lock;                    // held
  std::unique_ptr<pqxx::connection> sql;  // of the same server
  bool standby = false;                   // the server is in recovery
  std::unique_ptr<publisher::Connection> nats;
  publisher::KeyValue key;
  std::uint64_t revision = 0;  // of the key
  publisher::StreamInfo stream;
  // Its position is not saved yet: run() puts its `work` right, and saves before it publishes.
  SlotlessResume resume;
  bool accept_gap = false;      // in this session
  std::uint64_t published = 0;  // by it, and acknowledged

  SlotlessPosition& position() { return resume.position; }
  // Returns when NATS keeps position() as it is; throws when another walferry has saved meanwhile.
  void save();
};

// Publishes in a session, and waits for the acks.
class Outlet {
 public:
  Outlet(const Config& config, SlotlessSession& session, const Wakeup& wakeup);

  // Sends when the window has room and the writer's lock has answered within the last second. False
  // when a stop was requested meanwhile: then nothing was sent.
  bool publish(const publisher::Envelope& envelope);
  // Until all that was sent is stored. While a stop is requested at most 4 s: false when it was not
  // enough.
  bool drain();
  // What has been acknowledged, without waiting.
  void settle();
  // Instead of settle(), where work goes on that does not need NATS.
  void keep_alive() { publisher_.keep_alive(); }
  void flush() { publisher_.flush(); }
  // drain() before a stop by what cannot be published, which holds up none before it. Says when it
  // was not enough, and does not throw.
  void store_what_is_before() noexcept;

  std::uint64_t sent() const { return publisher_.sent(); }
  std::uint64_t stored() const { return stored_; }
  publisher::StreamSequence last_stored() const { return publisher_.sequence_of(stored_); }

 private:
  void wait();

  SlotlessSession& session_;
  const Wakeup& wakeup_;
  publisher::Publisher publisher_;
  std::uint64_t stored_ = 0;
};

enum class SlotlessEnded {
  finished,  // of `run --once`
  stopped,   // a stop was requested, or a look at the configuration, and what was in flight is
             // settled
};

// What a capture brings.
struct SlotlessCapture {
  std::string name;             // "poll", "diff": as saved
  bool reads_standbys = false;  // a server in recovery will do
  std::string settings;         // that shape records
  // Whether the tables are what they must be; throws Stop(precondition), or warns.
  std::function<void(pqxx::connection&)> look;
  // The same of one that has begun with this configuration; empty: look.
  std::function<void(pqxx::connection&)> look_again = {};
  // One session's work. Returns also when wakeup.reload_requested(). Throws what remedy_for()
  // knows.
  std::function<SlotlessEnded(SlotlessSession&, Wakeup&, bool once)> run;
};

// Session after session until it is stopped, has done its work once, or meets an error that trying
// again would not mend. `capture` is asked for again when SIGHUP has brought another configuration.
// Returns the process's exit code. Logs; throws nothing.
int supervise_slotless(const Config& config, const RunCommand& command, Wakeup& wakeup,
                       const std::function<SlotlessCapture(const Config&)>& capture);

// What the server itself must be.
Findings slotless_server_findings(const pg::ServerInfo& server, bool reads_standbys);

// Server and database: what a snapshot saw, and which numbers transactions have, is of these two.
std::string slotless_system(pqxx::connection& sql);

// What a decision needs of configuration and database; what NATS has is still to be observed.
SlotlessObserved observe_database(const Config& config, const std::string& capture,
                                  const std::string& settings, pqxx::connection& sql,
                                  pg::Timeline timeline);

// The writer's lock of this configuration.
std::int64_t writer_lock_key(const Config& config);

// With several hosts in source.dsn, `reader` might have come elsewhere than where the lock is.
// Throws pg::Error.
void require_same_server(const Config& config, const SlotlessSession& session,
                         pg::SqlSession& reader);

}  // namespace connector
