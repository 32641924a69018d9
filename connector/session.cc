#include "connector/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "connector/failpoint.h"
#include "connector/preconditions.h"
#include "connector/resume.h"
#include "connector/stop.h"
#include "connector/table_selection.h"
#include "pg/conninfo.h"
#include "pg/error.h"
#include "publisher/error.h"

namespace connector {
namespace {

using std::chrono::milliseconds;

// True when nobody holds the slot, false when a stop was requested while waiting.
bool wait_for_slot(pqxx::connection& sql, const std::string& name, const Wakeup& wakeup) {
  using Clock = std::chrono::steady_clock;
  const auto since = Clock::now();
  bool said = false;
  while (!wakeup.stop_requested()) {
    const auto slot = pg::slot_info(sql, name);
    if (!slot || !slot->active) {
      if (said) spdlog::info("slot \"{}\" is free: taking over", name);
      return true;
    }
    // Our own last session may take a moment to end.
    const bool short_wait = Clock::now() - since < std::chrono::seconds(2);
    if (!short_wait && !said) {
      spdlog::info("standing by: slot \"{}\" is in use by the session with pid {}", name,
                   slot->active_pid);
      said = true;
    }
    wakeup.wait_for(short_wait ? milliseconds(25) : milliseconds(200));
  }
  return false;
}

// Nothing when it does not exist and may be created.
std::optional<publisher::StreamInfo> require_stream(const Config& config,
                                                    publisher::Connection& nats) {
  require(payload_findings(config, nats.max_payload()));
  auto info = publisher::stream_info(nats, config.stream.name);
  const Findings findings = stream_findings(config, info);
  for (const Finding& finding : findings) {
    if (finding.verdict == Verdict::warn) spdlog::warn("{}", finding.detail);
  }
  require(findings);
  return info;
}

publisher::StreamInfo create_stream(const Config& config, publisher::Connection& nats) {
  const publisher::StreamSettings wanted = stream_settings(config);
  spdlog::info("creating stream {} for {}", wanted.name, fmt::join(wanted.subjects, ", "));
  return publisher::create_stream(nats, wanted);
}

// A new leader may answer with less than the stream has.
publisher::StreamInfo settled_info(const Config& config, publisher::Connection& nats,
                                   const std::optional<SavedPosition>& saved,
                                   const Wakeup& wakeup) {
  publisher::StreamInfo info =
      publisher::stream_info(nats, config.stream.name).value_or(publisher::StreamInfo{});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  while (saved && info.replicas > 1 && info.created == saved->stream_created &&
         info.last < saved->last && std::chrono::steady_clock::now() < deadline &&
         !wakeup.stop_requested()) {
    wakeup.wait_for(milliseconds(250));
    info = publisher::stream_info(nats, config.stream.name).value_or(info);
  }
  return info;
}

void create_slot(const Config& config, Session& session, const Resume& plan, bool first) {
  if (plan.drop_slot) pg::drop_slot(*session.sql, config.source.slot);
  if (first) {
    SavedPosition intent;
    intent.intent = true;
    session.revision = session.key.put(*session.nats, to_json(intent), session.revision);
  }
  pass(Failpoint::after_intent);
  spdlog::info("creating slot \"{}\" (this waits for the transactions that are open now)",
               config.source.slot);
  const pg::Lsn start = session.replication.create_slot(config.source.slot);
  spdlog::info("created slot \"{}\" at {}", config.source.slot, to_string(start));
  pass(Failpoint::after_slot_created);
  session.saved = plan.saved;
  session.saved.origin = start;
  session.saved.confirmed = start;
  session.slot_confirmed = start;
}

// The order is part of the answer: each thing is read before those that can only be ahead of it.
// The slot is never ahead of the saved position, that never ahead of the stream, and the stream
// never ahead of the server's WAL; a walferry that works meanwhile does not make it look otherwise.
Observed observe(const Config& config, Permissions permissions, Session& session,
                 const pg::SystemIdentity& identity, const Wakeup& wakeup) {
  Observed seen;
  seen.slot = pg::slot_info(*session.sql, config.source.slot);
  seen.slot_name = config.source.slot;
  const publisher::KeyValueEntry entry = session.key.get(*session.nats);
  session.revision = entry.revision;
  if (entry.value) seen.saved = parse_saved_position(*entry.value);
  seen.stream_name = config.stream.name;
  seen.stream = settled_info(config, *session.nats, seen.saved, wakeup);
  seen.window = to_records(
      publisher::read_back(*session.nats, config.stream.name, seen.stream.first, seen.stream.last,
                           config.publish.max_in_flight, config.publish.max_in_flight_bytes),
      config.source.slot);
  seen.wal_end = pg::flushed_wal_lsn(*session.sql);
  seen.system_id = identity.system_id;
  seen.timeline = identity.timeline;
  if (seen.saved && !seen.saved->intent && seen.saved->timeline != identity.timeline) {
    seen.fork = session.replication.fork_of(seen.saved->timeline, identity.timeline);
  }
  seen.adopt = permissions.adopt;
  seen.accept_gap = permissions.accept_gap;
  return seen;
}

}  // namespace

std::unique_ptr<Session> resync(const Config& config, Permissions permissions, Wakeup& wakeup) {
  // The replication connection comes first: it alone can tell why a connection is refused.
  pg::ReplicationStream replication = pg::ReplicationStream::open(config.source.dsn);
  auto sql = pg::connect_sql(config.source.dsn);
  const pg::ServerInfo server = pg::server_info(*sql);
  require(server_findings(server));
  const auto slot_now = pg::slot_info(*sql, config.source.slot);
  if (slot_now) require(slot_findings(config.source.slot, *slot_now, server));
  if (!wait_for_slot(*sql, config.source.slot, wakeup)) return nullptr;
  const pg::SystemIdentity identity = replication.identify();

  auto nats = std::make_unique<publisher::Connection>(nats_settings(config),
                                                      [&wakeup] { wakeup.notify(); });
  std::optional<publisher::StreamInfo> info = require_stream(config, *nats);
  Session session{.replication = std::move(replication),
                  .sql = std::move(sql),
                  .nats = std::move(nats),
                  .key = position_key(config),
                  .saved = {},
                  .reread = Reread({}),
                  .last = {},
                  .slot_confirmed = {}};
  if (!info) {
    // Where a stream has gone that positions depend on, nothing may be made in its place.
    decide(observe(config, permissions, session, identity, wakeup));
    info = create_stream(config, *session.nats);
  }
  session.key.ensure_bucket(*session.nats, info->replicas);
  const auto publications = refresh_publications(config, *session.sql, true);
  pass(Failpoint::after_publication);

  Observed seen = observe(config, permissions, session, identity, wakeup);
  seen.settings = record_settings(config, publications);
  const auto slot_after = pg::slot_info(*session.sql, config.source.slot);
  if (slot_after && slot_after->active) {
    throw pg::Error("another walferry has taken the slot meanwhile", "55006");
  }
  Resume plan = decide(seen);
  for (const std::string& note : plan.notes) spdlog::warn("{}", note);
  session.saved = seen.saved.value_or(SavedPosition{});
  if (plan.create_slot) {
    create_slot(config, session, plan, !seen.saved || seen.saved->intent);
  } else {
    session.saved = plan.saved;
    session.slot_confirmed = seen.slot->confirmed.value_or(pg::Lsn());
  }
  if (!seen.saved || session.saved != *seen.saved) {
    session.revision = session.key.put(*session.nats, to_json(session.saved), session.revision);
  }
  session.last = seen.stream.last;
  const pg::Position tail = plan.known.anchor;
  session.reread = Reread(std::move(plan.known));
  if (server.sender_timeout_ms > 0) {
    session.status_interval =
        std::min<milliseconds>(milliseconds(1000), milliseconds(server.sender_timeout_ms) / 2);
  }
  session.replication.start(config.source.slot, plan.start, publications);
  spdlog::info("streaming from slot \"{}\" ({}) to stream {} after message {}{}",
               config.source.slot, to_string(std::max(plan.start, session.slot_confirmed)),
               config.stream.name, session.last.value,
               tail == pg::Position{} ? "" : fmt::format(", position {}", to_string(tail)));
  return std::make_unique<Session>(std::move(session));
}

std::vector<std::string> refresh_publications(const Config& config, pqxx::connection& sql,
                                              bool strict) {
  const TableSelection::Resolved resolved = TableSelection(config).resolve(sql);
  const pg::PublicationPlan plan =
      pg::plan_publications(sql, config.source.publication, resolved.tables);
  const auto say = [](const Finding& finding) {
    spdlog::warn("{}. What to do: {}", finding.detail, finding.fix);
  };
  Findings findings = table_findings(resolved);
  append(findings, publication_findings(plan));
  if (strict) require(findings);
  for (const Finding& finding : findings) say(finding);
  pg::apply(sql, plan);
  for (const std::string& statement : plan.statements) spdlog::info("publication: {}", statement);
  if (!plan.statements.empty() || strict) {
    for (const Finding& finding : identity_findings(resolved, plan)) say(finding);
  }
  return plan.publications;
}

publisher::ConnectionSettings nats_settings(const Config& config) {
  const NatsConfig& nats = config.nats;
  return {.url = nats.url,
          .creds = nats.creds,
          .nkey_seed_file = nats.nkey_seed_file,
          .user = nats.user,
          .password = nats.password,
          .token = nats.token,
          .tls_ca = nats.tls_ca,
          .tls_cert = nats.tls_cert,
          .tls_key = nats.tls_key,
          .domain = nats.domain,
          .name = "walferry " + config.source.slot};
}

publisher::StreamSettings stream_settings(const Config& config) {
  const StreamConfig& stream = config.stream;
  publisher::StreamSettings settings{
      .name = stream.name,
      .subjects = {stream.subject_prefix + ".>"},
      .storage = stream.storage,
      .discard = stream.discard,
      .compression = stream.compression,
      .replicas = stream.replicas,
      .max_age = stream.max_age,
      .max_bytes = stream.max_bytes,
      .duplicate_window = stream.duplicate_window,
      .placement_tags = stream.placement_tags,
      .largest_message = static_cast<std::int64_t>(config.publish.max_message + header_room)};
  settings.subjects.insert(settings.subjects.end(), stream.subjects.begin(), stream.subjects.end());
  return settings;
}

publisher::KeyValue position_key(const Config& config) {
  return {"walferry", config.stream.name + "." + config.source.slot};
}

std::string record_settings(const Config& config, const std::vector<std::string>& publications) {
  std::vector<std::string> tables;
  for (const TableConfig& table : config.tables) {
    tables.push_back(table.pattern ? quoted_name(table.schema, "") + "*"
                                   : quoted_name(table.schema, table.table));
  }
  std::sort(tables.begin(), tables.end());
  return nlohmann::json{{"format", "json"},
                        {"prefix", config.stream.subject_prefix},
                        {"publications", publications},
                        {"tables", tables},
                        {"exclude", config.source.exclude_tables}}
      .dump();
}

std::vector<StoredRecord> to_records(const std::vector<publisher::StoredMessage>& messages,
                                     const std::string& slot) {
  std::vector<StoredRecord> records;
  const std::string prefix = slot + ":";
  for (const publisher::StoredMessage& message : messages) {
    StoredRecord record{.sequence = message.sequence, .position = std::nullopt};
    const std::string* id = message.header("Nats-Msg-Id");
    if (id != nullptr && id->compare(0, prefix.size(), prefix) == 0) {
      record.position = parse_position(std::string_view(*id).substr(prefix.size()));
    }
    records.push_back(record);
  }
  return records;
}

}  // namespace connector
