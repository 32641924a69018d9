#include "connector/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "connector/session.h"
#include "pg/catalog.h"
#include "pg/error.h"
#include "publisher/key_value.h"

namespace connector {
namespace {

// A leader that was just elected answers with less than it has agreed to, until it has applied it:
// the stream's with fewer messages, the cluster's without the stream.
bool may_be_behind(const Observed& seen, bool there, int configured_replicas, bool adopt) {
  if (!there && seen.saved && !seen.saved->intent && configured_replicas > 1) return true;
  if (seen.stream.replicas <= 1) return false;
  if (!seen.saved) return seen.slot && !adopt;
  const bool same_stream = seen.stream.created == seen.saved->stream_created;
  const bool slot_ahead =
      seen.slot && seen.slot->confirmed && *seen.slot->confirmed > seen.saved->confirmed;
  return !seen.saved->intent &&
         ((same_stream && seen.stream.last < seen.saved->last) || slot_ahead);
}

}  // namespace

// The order is part of the answer: each thing is read before those that can only be ahead of it.
// The slot is never ahead of the saved position, that never ahead of the stream, and the stream
// never ahead of the server's WAL; a walferry that works meanwhile does not make it look otherwise.
Observation observe(const Config& config, Permissions permissions, pqxx::connection& sql,
                    pg::ReplicationStream& replication, const pg::SystemIdentity& identity,
                    publisher::Connection& nats, const Wakeup& wakeup) {
  Observation observation;
  Observed& seen = observation.seen;
  seen.slot_name = config.source.slot;
  seen.stream_name = config.stream.name;
  seen.slot = pg::slot_info(sql, config.source.slot);
  if (seen.slot && !seen.slot->confirmed && seen.slot->wal_status != "lost") {
    throw pg::Error(fmt::format("slot \"{}\" is just being made", seen.slot_name), "55006");
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  while (true) {
    const publisher::KeyValueEntry entry = position_key(config).get(nats);
    observation.revision = entry.revision;
    seen.saved.reset();
    if (entry.value) seen.saved = parse_saved_position(*entry.value);
    const auto info = publisher::stream_info(nats, config.stream.name);
    seen.stream = info.value_or(seen.stream);
    if (!may_be_behind(seen, info.has_value(), config.stream.replicas, permissions.adopt) ||
        wakeup.stop_requested() || std::chrono::steady_clock::now() >= deadline) {
      break;
    }
    wakeup.wait_for(std::chrono::milliseconds(250));
  }
  // Saved after the slot was looked for: it was not gone, but yet to be made.
  const bool seems_gone = !seen.slot && seen.saved && !seen.saved->intent;
  if (seems_gone && pg::slot_info(sql, config.source.slot)) {
    throw pg::Error(fmt::format("slot \"{}\" has just been made", seen.slot_name), "55006");
  }
  // All that can have been in flight at once, and the message before: without it, nothing would
  // tell what a foreign message took the place of that came just before all of them.
  const PublishConfig& publish = config.publish;
  seen.window =
      to_records(publisher::read_back(nats, config.stream.name, seen.stream.first, seen.stream.last,
                                      std::uint64_t{publish.max_in_flight} + 1,
                                      publish.max_in_flight_bytes + 2 * publish.max_message),
                 config.source.slot);
  seen.wal_end = pg::flushed_wal_lsn(sql);
  seen.system_id = identity.system_id;
  seen.timeline = identity.timeline;
  if (seen.saved && !seen.saved->intent && seen.saved->timeline != identity.timeline) {
    seen.fork = replication.fork_of(seen.saved->timeline, identity.timeline);
  }
  seen.adopt = permissions.adopt;
  seen.accept_gap = permissions.accept_gap;
  seen.renew_slot = permissions.renew_slot;
  seen.from_lsn = permissions.from_lsn;
  if (seen.from_lsn) {
    seen.points = replay_points(seen.slot_name, seen.slot, marks_of(sql, seen.slot_name));
  }
  return observation;
}

std::vector<StoredRecord> to_records(const std::vector<publisher::StoredMessage>& messages,
                                     const std::string& slot) {
  std::vector<StoredRecord> records;
  const std::string prefix = slot + ":";
  for (const publisher::StoredMessage& message : messages) {
    StoredRecord record{.sequence = message.sequence, .position = std::nullopt};
    const std::string* id = message.header("Nats-Msg-Id");
    if (id != nullptr && id->compare(0, prefix.size(), prefix) == 0) {
      record.position = stored_position(std::string_view(*id).substr(prefix.size()),
                                        message.header(position_header),
                                        message.header(part_header), message.header(parts_header));
    }
    records.push_back(record);
  }
  return records;
}

}  // namespace connector
