// Everything that one attempt stands on: both connections, and the place to go on from. When
// anything unexpected happens the whole session is dropped, and resync() makes a new one.
#pragma once

#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/joined_tables.h"
#include "connector/observe.h"
#include "connector/reread.h"
#include "connector/saved_position.h"
#include "connector/shape_log.h"
#include "connector/snapshot_progress.h"
#include "connector/wakeup.h"
#include "pg/catalog.h"
#include "pg/change.h"
#include "pg/replication.h"
#include "pg/stream_spool.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"
#include "publisher/stream.h"

namespace connector {

// Of a session that publishes again what was published before (see replay.h): nothing is saved or
// confirmed, and no publication altered.
struct ReplayOf {
  const Config& published;  // as it was published first: records name its slot and prefix
  pg::Lsn from;             // what was committed before is left out
  ShapeLog shapes;          // as they were announced then
};

struct Session {
  pg::ReplicationStream replication;  // streaming
  std::unique_ptr<pqxx::connection> sql;
  std::unique_ptr<publisher::Connection> nats;
  publisher::KeyValue key;
  std::uint64_t revision = 0;  // of the key
  SavedPosition saved;
  publisher::KeyValue shapes_key;
  std::uint64_t shapes_revision = 0;
  ShapeLog shapes;
  JoinedTables joined;
  publisher::KeyValue snapshots_key;
  std::uint64_t snapshots_revision = 0;
  SnapshotProgress snapshots;
  std::vector<std::string> publications;  // that the slot is read through
  Reread reread;
  publisher::StreamSequence last;  // the stream's
  pg::Lsn slot_confirmed;
  std::chrono::milliseconds status_interval{1000};
  std::optional<pg::SpoolSettings> spool;  // nothing: without streaming
  std::optional<ReplayOf> replay = {};     // nothing: the daemon's

  // Adds the entry to those of `shapes`, and returns when NATS keeps it (a replay's are made again
  // each time).
  void announce(ShapeLog::Entries& of_table, ShapeLog::Entry entry);
  // Returns when NATS keeps `snapshots` as it is.
  void save_snapshots();
  // Takes the order that the message brings, if it is one of ours that was not taken before, and
  // returns when NATS keeps that. True when there is something new to do.
  bool take_order(const pg::Message& message, const std::string& slot);
};

// What a start brings that a later attempt does not have.
struct Start {
  // What is wrong with the tables stops it; later, and behind a wait as a standby, it is said, and
  // the rest goes on.
  bool first = true;
  bool reached = false;  // a fit server: one in recovery is waited for from now on
  Permissions permissions;
  // What could not be spilled is got in a session without streaming, the next one only.
  bool without_streaming = false;
  std::optional<pg::Lsn> wal_end;  // filled: the server's, when it was first reached
};

// The one procedure for start, reconnect, fail-over and every failure. While another session holds
// the slot it waits: a hot standby. Throws what remedy_for() knows; returns nothing only when a
// stop, or while it waited a look at the configuration, was requested meanwhile.
std::unique_ptr<Session> resync(const Config& config, Start& start, Wakeup& wakeup);

publisher::ConnectionSettings nats_settings(const Config& config);
publisher::StreamSettings stream_settings(const Config& config);
// What a stream has to take: records, outboxes, and what stream.subjects adds; none covers another.
std::vector<std::string> stream_subjects(const Config& config);
publisher::KeyValue position_key(const Config& config);
publisher::KeyValue shapes_key(const Config& config);
publisher::KeyValue joined_key(const Config& config);
publisher::KeyValue snapshots_key(const Config& config);
pg::SpoolSettings spool_settings(const Config& config);

// The settings that shape records, as one line of JSON; see SavedPosition::settings.
std::string record_settings(const Config& config, const std::vector<std::string>& publications);

// What the server must take of a message beside its payload: id, chain, position, part, and what a
// logical message or an event brings.
std::uint64_t header_room(const Config& config);

}  // namespace connector
