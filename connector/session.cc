#include "connector/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "connector/cloud_event.h"
#include "connector/coverage.h"
#include "connector/failpoint.h"
#include "connector/marks.h"
#include "connector/outbox_router.h"
#include "connector/preconditions.h"
#include "connector/remedy.h"
#include "connector/resume.h"
#include "connector/server_choice.h"
#include "connector/snapshot_store.h"
#include "connector/stop.h"
#include "connector/stream_setup.h"
#include "connector/subject.h"
#include "connector/subject_template.h"
#include "pg/conninfo.h"
#include "pg/error.h"
#include "publisher/error.h"

namespace connector {
namespace {

using std::chrono::milliseconds;

enum class Waited { not_at_all, briefly, stood_by, interrupted };

// Until nobody holds the slot, a stop is requested, or, of a standby, a look at the configuration.
Waited wait_for_slot(pqxx::connection& sql, const std::string& name, const Wakeup& wakeup) {
  using Clock = std::chrono::steady_clock;
  const auto since = Clock::now();
  Waited waited = Waited::not_at_all;
  while (!wakeup.stop_requested()) {
    const auto slot = pg::slot_info(sql, name);
    if (!slot || !slot->active) {
      if (waited == Waited::stood_by) spdlog::info("slot \"{}\" is free: taking over", name);
      return waited;
    }
    // Our own last session may take a moment to end.
    const bool short_wait = Clock::now() - since < std::chrono::seconds(2);
    if (!short_wait && waited != Waited::stood_by) {
      spdlog::info("standing by: slot \"{}\" is in use by the session with pid {}", name,
                   slot->active_pid);
    }
    waited = short_wait ? Waited::briefly : Waited::stood_by;
    if (waited == Waited::stood_by && wakeup.reload_requested()) break;
    wakeup.wait_for(short_wait ? milliseconds(25) : milliseconds(200));
  }
  return Waited::interrupted;
}

void create_slot(const Config& config, Session& session, const Resume& plan, bool first) {
  if (plan.drop_slot) pg::drop_slot(*session.sql, config.source.slot);
  if (first) {
    SavedPosition intent;
    intent.intent = true;
    session.revision = session.key.put(*session.nats, to_json(intent), session.revision);
  }
  pass(Failpoint::after_intent);
  pg::Lsn start;
  if (plan.copy_of) {
    start = pg::copy_slot(*session.sql, *plan.copy_of, config.source.slot);
  } else {
    spdlog::info("creating slot \"{}\" (this waits for the transactions that are open now)",
                 config.source.slot);
    start = session.replication.create_slot(config.source.slot);
  }
  spdlog::info("created slot \"{}\" at {}", config.source.slot, to_string(start));
  pass(Failpoint::after_slot_created);
  session.saved = plan.saved;
  if (!plan.copy_of) session.saved.origin = start;
  session.saved.confirmed = start;
  session.slot_confirmed = start;
}

// What no slot can read from any more needs no place.
void load_joined(const Config& config, Session& session) {
  pqxx::connection& sql = *session.sql;
  const auto slot = pg::slot_info(sql, config.source.slot);
  pg::Lsn oldest = slot && slot->restart ? *slot->restart : pg::Lsn();
  for (const Mark& mark : marks_of(sql, config.source.slot)) {
    oldest = std::min(oldest, mark.info.restart.value_or(pg::Lsn()));
  }
  session.joined.load(*session.nats, oldest);
}

// A leader that was just elected may not have applied the newest entry yet, though the stream has
// its schema record: then it is asked again. Where entries are lost for good, what is stored can be
// compared with WAL by order and existence only.
void load_shapes(Session& session, const Observed& seen, Resume& plan, const Wakeup& wakeup) {
  const bool same_stream = seen.saved && seen.saved->stream_created == seen.stream.created;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  bool complete = false;
  while (true) {
    const publisher::KeyValueEntry entry = session.shapes_key.get(*session.nats);
    session.shapes_revision = entry.revision;
    session.shapes = entry.value && same_stream ? ShapeLog::parse(*entry.value) : ShapeLog();
    complete = std::all_of(
        plan.known.stored.begin(), plan.known.stored.end(), [&](const StoredRecord& record) {
          return !record.position || record.position->part != MessagePosition::schema ||
                 session.shapes.has(record.position->change);
        });
    if (complete || seen.stream.replicas <= 1 || wakeup.stop_requested() ||
        std::chrono::steady_clock::now() >= deadline) {
      break;
    }
    wakeup.wait_for(milliseconds(250));
  }
  if (!complete) {
    spdlog::warn(
        "which shapes of tables have been announced is not known any more ({}): each is "
        "announced once more",
        session.shapes_key.name());
    plan.known.strict_from = publisher::StreamSequence(plan.known.last.value + 1);
  }
  session.shapes.drop_after(plan.held.value_or(plan.known.anchor));
}

// What of a [[table]] shapes its records, less the defaults.
nlohmann::json choice_settings(const TableConfig& table) {
  nlohmann::json choice = nlohmann::json::object();
  if (!table.columns.empty()) choice["columns"] = table.columns;
  if (!table.exclude.empty()) choice["exclude"] = table.exclude;
  for (const auto& [column, mask] : table.mask) {
    choice["mask"][column] = mask == Mask::hash ? "hash" : "redact";
  }
  if (table.ops != Operations{}) {
    choice["ops"] = {table.ops.insert, table.ops.update, table.ops.remove, table.ops.truncate};
  }
  if (!table.where.empty()) choice["where"] = table.where;
  if (!table.key.empty()) choice["key"] = table.key;
  return choice;
}

}  // namespace

std::unique_ptr<Session> resync(const Config& config, Start& start, Wakeup& wakeup) {
  // The replication connection comes first: it alone can tell why a connection is refused.
  pg::ReplicationStream replication = pg::ReplicationStream::open(config.source.dsn);
  auto sql = pg::connect_sql(config.source.dsn);
  const pg::ServerInfo server = pg::server_info(*sql);
  if (start.reached && server.in_recovery) {
    throw pg::Error("PostgreSQL is in recovery: waiting until it is promoted", "57P03");
  }
  require(server_findings(server));
  start.reached = true;
  if (start.first) {
    const Findings spill = spill_findings(config);
    require(spill);
    warn(spill);
  }
  if (!start.wal_end) start.wal_end = pg::flushed_wal_lsn(*sql);
  const auto slot_now = pg::slot_info(*sql, config.source.slot);
  if (slot_now) require(slot_findings(config.source.slot, *slot_now, server));
  // Before the wait: a standby must not stop at what has changed behind the worker's back.
  std::optional<Coverage> before;
  if (start.first) {
    before = coverage_of(config, *sql);
    require(before->findings);
    require(filter_findings(config, *sql, before->resolved));
  }
  const Waited waited = wait_for_slot(*sql, config.source.slot, wakeup);
  const bool looks = waited == Waited::interrupted && !wakeup.stop_requested();
  if (waited == Waited::stood_by || looks) start.first = false;
  if (waited == Waited::interrupted) return nullptr;
  const pg::SystemIdentity identity = replication.identify();

  auto nats = std::make_unique<publisher::Connection>(nats_settings(config),
                                                      [&wakeup] { wakeup.notify(); });
  std::optional<publisher::StreamInfo> info = require_stream(config, *nats);
  Session session{.replication = std::move(replication),
                  .sql = std::move(sql),
                  .nats = std::move(nats),
                  .key = position_key(config),
                  .saved = {},
                  .shapes_key = shapes_key(config),
                  .shapes = {},
                  .joined = JoinedTables(joined_key(config)),
                  .snapshots_key = snapshots_key(config),
                  .snapshots = {},
                  .publications = {},
                  .reread = Reread({}),
                  .last = {},
                  .slot_confirmed = {},
                  .spool = {}};
  const bool as_before = before && waited == Waited::not_at_all;
  const Coverage coverage = as_before ? *before : coverage_of(config, *session.sql);
  if (!info || (start.first && !coverage.plan.statements.empty())) {
    // Where positions are lost, nothing may be made in the place of what they depend on.
    decide(observe(config, start.permissions, *session.sql, session.replication, identity,
                   *session.nats, wakeup)
               .seen);
    if (!info) info = require_stream(config, *session.nats);  // a leader may have caught up
  }
  if (!info) info = create_stream(config, *session.nats);
  const int replicas = ensure_bucket(session.key, *session.nats, *info, start.first);
  load_joined(config, session);
  if (start.first) {
    cover(config, session, coverage, true);
  } else {
    refresh_publications(config, session);
  }
  const std::vector<std::string>& publications = coverage.plan.publications;
  pass(Failpoint::after_publication);

  Observation observation = observe(config, start.permissions, *session.sql, session.replication,
                                    identity, *session.nats, wakeup);
  Observed& seen = observation.seen;
  session.revision = observation.revision;
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
  // A leader that was just elected may not have applied all that was agreed on before: once it has
  // acknowledged this, it has, and what is read from it below is the newest.
  if (!seen.saved || session.saved != *seen.saved || replicas > 1) {
    session.revision = session.key.put(*session.nats, to_json(session.saved), session.revision);
  }
  load_joined(config, session);
  load_shapes(session, seen, plan, wakeup);
  load_snapshots(config, session, seen, plan);
  session.publications = publications;
  session.last = seen.stream.last;
  const MessagePosition tail = plan.known.anchor;
  session.reread = Reread(std::move(plan.known));
  if (server.sender_timeout_ms > 0) {
    session.status_interval =
        std::min<milliseconds>(milliseconds(1000), milliseconds(server.sender_timeout_ms) / 2);
  }
  if (config.source.streaming == "on" && !std::exchange(start.without_streaming, false)) {
    session.spool = spool_settings(config);
  }
  session.replication.start(config.source.slot, plan.start, publications,
                            session.spool.has_value());
  spdlog::info("streaming from slot \"{}\" ({}) to stream {} after message {}{}",
               config.source.slot, to_string(std::max(plan.start, session.slot_confirmed)),
               config.stream.name, session.last.value,
               tail == MessagePosition{} ? "" : fmt::format(", position {}", to_string(tail)));
  return std::make_unique<Session>(std::move(session));
}

void Session::announce(ShapeLog::Entries& of_table, ShapeLog::Entry entry) {
  ShapeLog::add(of_table, std::move(entry), slot_confirmed);
  if (replay) return;
  shapes_revision = shapes_key.put(*nats, shapes.to_json(), shapes_revision);
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

std::vector<std::string> stream_subjects(const Config& config) {
  std::vector<std::string> subjects{config.stream.subject_prefix + ".>"};
  const auto add = [&](const std::string& subject) {
    const bool covered = std::any_of(subjects.begin(), subjects.end(), [&](const auto& other) {
      return subject_covers(other, subject);
    });
    if (covered) return;
    std::erase_if(subjects, [&](const auto& other) { return subject_covers(subject, other); });
    subjects.push_back(subject);
  };
  for (const OutboxConfig& outbox : config.outboxes) add(outbox_filter(outbox));
  for (const std::string& subject : config.stream.subjects) add(subject);
  return subjects;
}

publisher::StreamSettings stream_settings(const Config& config) {
  const StreamConfig& stream = config.stream;
  publisher::StreamSettings settings{.name = stream.name,
                                     .subjects = stream_subjects(config),
                                     .storage = stream.storage,
                                     .discard = stream.discard,
                                     .compression = stream.compression,
                                     .replicas = stream.replicas,
                                     .max_age = stream.max_age,
                                     .max_bytes = stream.max_bytes,
                                     .duplicate_window = stream.duplicate_window,
                                     .placement_tags = stream.placement_tags,
                                     .largest_message = static_cast<std::int64_t>(
                                         config.publish.max_message + header_room(config))};
  return settings;
}

std::uint64_t header_room(const Config& config) {
  constexpr std::uint64_t always = 2048;
  return always +
         (config.publish.format == "cloudevents" ? CloudEvent::most_header_bytes
                                                 : std::uint64_t()) +
         (config.outboxes.empty() ? std::uint64_t() : OutboxRouter::most_header_bytes);
}

publisher::KeyValue position_key(const Config& config) {
  return {"walferry", config.stream.name + "." + config.source.slot};
}

publisher::KeyValue shapes_key(const Config& config) {
  return {"walferry", config.stream.name + "." + config.source.slot + ".shapes"};
}

publisher::KeyValue joined_key(const Config& config) {
  return {"walferry", config.stream.name + "." + config.source.slot + ".joined"};
}

publisher::KeyValue snapshots_key(const Config& config) {
  return {"walferry", config.stream.name + "." + config.source.slot + ".snapshots"};
}

pg::SpoolSettings spool_settings(const Config& config) {
  const SourceConfig& source = config.source;
  return {.dir = source.spill_dir.empty() ? pg::default_spill_dir() : source.spill_dir,
          .max_bytes = source.spill_max};
}

std::string record_settings(const Config& config, const std::vector<std::string>& publications) {
  std::vector<std::string> tables;
  nlohmann::json choices = nlohmann::json::object();
  for (const TableConfig& table : config.tables) {
    tables.push_back(table.pattern ? quoted_name(table.schema, "") + "*"
                                   : quoted_name(table.schema, table.table));
    if (nlohmann::json choice = choice_settings(table); !choice.empty()) {
      choices[tables.back()] = std::move(choice);
    }
  }
  std::sort(tables.begin(), tables.end());
  nlohmann::json settings{{"format", config.publish.format},
                          {"prefix", config.stream.subject_prefix},
                          {"publications", publications},
                          {"tables", tables},
                          {"exclude", config.source.exclude_tables}};
  // Only where they shape records, so that nothing changes for those who have not set them.
  const PublishConfig& publish = config.publish;
  if (!config.source.messages.empty()) settings["messages"] = config.source.messages;
  if (publish.pack != "none") settings["pack"] = publish.pack;
  if (publish.oversize != "stop") settings["oversize"] = publish.oversize;
  if (publish.pack != "none" || publish.oversize != "stop") {
    settings["max_message"] = publish.max_message;
  }
  if (!choices.empty()) settings["choices"] = std::move(choices);
  for (const OutboxConfig& outbox : config.outboxes) {
    settings["outboxes"].push_back(outbox_settings(outbox));
  }
  if (config.source.origin != "any") settings["origin"] = config.source.origin;
  return settings.dump();
}

}  // namespace connector
