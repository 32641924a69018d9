// The Postgres side of `check`: server, role, slot, tables, publications.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "connector/attach.h"
#include "connector/check.h"
#include "connector/marks.h"
#include "connector/server_choice.h"
#include "connector/table_selection.h"
#include "pg/conninfo.h"

namespace connector {
namespace {

constexpr std::uint64_t mebibyte = 1ULL << 20;

Findings wal_findings(const Config& config, const pg::ServerInfo& server) {
  Findings found;
  if (server.max_slot_wal_keep_mb < 0) {
    found.push_back({Verdict::warn, "wal_retention",
                     "max_slot_wal_keep_size is unlimited: while walferry is stopped, the WAL that "
                     "its slot holds can fill the server's disk",
                     "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';  SELECT pg_reload_conf();  "
                     "(a slot that falls further behind is lost instead)"});
    return found;
  }
  const auto keep = static_cast<std::uint64_t>(server.max_slot_wal_keep_mb) * mebibyte;
  const std::uint64_t window =
      config.source.replay_window.count() > 0 ? config.source.replay_window_max : 0;
  if (window > 0 && keep <= window) {
    found.push_back(
        {Verdict::warn, "wal_retention",
         fmt::format("max_slot_wal_keep_size is {}, and walferry holds up to {} itself, "
                     "for replay_window: under load the slot may be lost",
                     human_bytes(keep), human_bytes(window)),
         "raise max_slot_wal_keep_size, or lower source.replay_window_max"});
    return found;
  }
  found.push_back(
      {Verdict::ok, "wal_retention", "max_slot_wal_keep_size is " + human_bytes(keep), ""});
  return found;
}

Findings capacity_findings(const Config& config, const pg::ServerInfo& server,
                           const std::optional<pg::SlotInfo>& slot) {
  Findings found;
  if (server.encoding == "SQL_ASCII") {
    found.push_back(
        {Verdict::warn, "encoding",
         "the database is SQL_ASCII: it may hold bytes that are not UTF-8, and walferry "
         "stops at the first",
         "dump it and restore it into a database WITH ENCODING 'UTF8'"});
  } else {
    found.push_back({Verdict::ok, "encoding", server.encoding, ""});
  }
  append(found, wal_findings(config, server));
  const bool sender = server.free_senders > 0;
  found.push_back({sender ? Verdict::ok : Verdict::fail, "wal_senders",
                   sender ? fmt::format("{} free", server.free_senders) : "no WAL sender is free",
                   sender ? "" : "ALTER SYSTEM SET max_wal_senders = …;  then restart PostgreSQL"});
  if (!slot && server.free_slots <= 0) {
    found.push_back({Verdict::fail, "replication_slots", "no replication slot is free",
                     "drop one that nobody uses: SELECT slot_name, active FROM "
                     "pg_replication_slots;\n"
                     "or ALTER SYSTEM SET max_replication_slots = …;  then restart PostgreSQL"});
  } else if (!slot) {
    found.push_back(
        {Verdict::ok, "replication_slots", fmt::format("{} free", server.free_slots), ""});
  }
  return found;
}

Findings slot_state(const Config& config, const pg::SlotInfo& slot, const pg::ServerInfo& server) {
  Findings found = slot_findings(config.source.slot, slot, server);
  if (!found.empty()) return found;
  Finding finding{
      Verdict::ok, "slot",
      fmt::format("{}, {}, confirmed {}, wal_status {}, holds {} of WAL", config.source.slot,
                  slot.active
                      ? fmt::format("in use by pid {} (run would stand by)", slot.active_pid)
                      : "not in use",
                  to_string(slot.confirmed.value_or(pg::Lsn())), slot.wal_status,
                  human_bytes(slot.retained_bytes)),
      ""};
  if (slot.wal_status == "lost" || slot.wal_status == "unreserved") {
    finding.verdict = Verdict::warn;
    finding.fix =
        slot.wal_status == "lost"
            ? "the WAL that it needs is gone: see position"
            : "start walferry, or raise max_slot_wal_keep_size, at once: a checkpoint may "
              "take away the WAL that it needs";
  }
  found.push_back(std::move(finding));
  return found;
}

// Unlogged tables under a pattern are passed over, and so would be temporary ones, which are in
// their session's own schema.
Findings pattern_findings(const Config& config, pqxx::connection& sql,
                          const std::vector<pg::TableInfo>& unfit) {
  const TableSelection selection(config);
  Findings found;
  for (const TableConfig& table : config.tables) {
    if (!table.pattern) continue;
    const auto there = pg::tables_in_schema(sql, table.schema);
    std::size_t taken = 0;
    for (const pg::TableInfo& info : there) {
      if (!selection.matches(info.schema, info.name)) continue;
      if (info.persistence == 'p') {
        ++taken;
        continue;
      }
      const std::string name = quoted_name(info.schema, info.name);
      const bool said = std::any_of(unfit.begin(), unfit.end(), [&](const pg::TableInfo& other) {
        return other.oid == info.oid;
      });
      if (said) continue;
      found.push_back(
          {Verdict::warn, "table " + readable_name(name),
           fmt::format("table {} is unlogged or temporary: it has no WAL, and {}.* passes "
                       "it over",
                       readable_name(name), table.schema),
           fmt::format("ALTER TABLE {} SET LOGGED;", name)});
    }
    if (taken == 0) {
      found.push_back({Verdict::warn, fmt::format("tables {}.*", table.schema),
                       fmt::format("no table matches {}.* yet", table.schema),
                       "correct the name in [[table]] if there should be some"});
    }
  }
  return found;
}

// Of the tables whose changes alone are published: the others are snapshot_findings()'s.
Findings readable_findings(const Config& config, const std::vector<pg::TableInfo>& tables,
                           const std::string& role) {
  const TableSelection selection(config);
  std::vector<std::string> names;
  std::vector<std::string> shown;
  std::set<std::string> schemas;
  for (const pg::TableInfo& table : tables) {
    const TableConfig* chosen = selection.find(table.schema, table.name);
    if (table.readable || (chosen != nullptr && chosen->snapshot)) continue;
    names.push_back(quoted_name(table.schema, table.name));
    shown.push_back(readable_name(names.back()));
    schemas.insert(quoted_identifier(table.schema));
  }
  if (names.empty()) return {};
  return {{Verdict::warn, "select",
           fmt::format("{} may not read {}; changes come from WAL all the same, but whatever reads "
                       "tables will need it",
                       role, fmt::join(shown, ", ")),
           fmt::format("GRANT USAGE ON SCHEMA {0} TO {2};\nGRANT SELECT ON {1} TO {2};",
                       fmt::join(schemas, ", "), fmt::join(names, ", "), quoted_identifier(role))}};
}

// What the role lacks to run the plan's statements itself.
std::vector<std::string> missing_rights(const pg::PublicationPlan& plan) {
  std::vector<std::string> missing = plan.lacks;
  for (const auto& [schema, table] : plan.unowned) {
    missing.push_back("does not own table " + readable_name(quoted_name(schema, table)));
  }
  return missing;
}

Findings publication_state(const PostgresView& seen, const pg::PublicationPlan& plan,
                           const std::vector<pg::TableInfo>& tables) {
  Findings found = publication_findings(plan);
  if (!found.empty()) return found;
  const std::string names = fmt::format("{}", fmt::join(plan.publications, ", "));
  if (plan.statements.empty()) {
    return {
        {Verdict::ok, "publication",
         fmt::format("{}: {} table{} covered", names, tables.size(), tables.size() == 1 ? "" : "s"),
         ""}};
  }
  const auto missing = missing_rights(plan);
  if (missing.empty()) {
    return {{Verdict::ok, "publication",
             fmt::format("run will:\n{};", fmt::join(plan.statements, ";\n")), ""}};
  }
  return {{Verdict::fail, "publication",
           fmt::format("{} cannot make the publications fit: it {}", seen.server->user,
                       fmt::join(missing, "; it ")),
           fmt::format("give it what it lacks, or let an administrator run:\nBEGIN;\n{};\nCOMMIT;",
                       fmt::join(plan.statements, ";\n"))}};
}

// "inserts, updates, deletes and truncates", or those that are chosen.
std::string operations_of(const Config& config, const pg::TableInfo& table) {
  const TableSelection selection(config);
  const TableConfig* chooser = selection.find(table.schema, table.name);
  const Operations ops = chooser == nullptr ? Operations{} : chooser->ops;
  std::vector<std::string> names;
  if (ops.insert) names.emplace_back("inserts");
  if (ops.update) names.emplace_back("updates");
  if (ops.remove) names.emplace_back("deletes");
  if (ops.truncate) names.emplace_back("truncates");
  if (names.size() == 1) return names[0];
  const std::string last = std::move(names.back());
  names.pop_back();
  return fmt::format("{} and {}", fmt::join(names, ", "), last);
}

Findings table_state(const Config& config, PostgresView& seen) {
  const TableSelection selection(config);
  const TableSelection::Resolved resolved = selection.resolve(*seen.sql);
  Chosen chosen = choose(config, *seen.sql, resolved);
  const pg::PublicationPlan plan = pg::plan_publications(*seen.sql, config.source.publication,
                                                         resolved.tables, false, chosen.narrowings);
  Findings found = table_findings(resolved);
  append(found, snapshot_findings(config, resolved));
  append(found, std::move(chosen.problems));
  append(found, pattern_findings(config, *seen.sql, resolved.unfit));
  append(found, identity_findings(config, resolved, plan));
  for (const pg::TableInfo& table : resolved.tables) {
    const std::string name = "table " + readable_name(quoted_name(table.schema, table.name));
    const bool said = std::any_of(found.begin(), found.end(),
                                  [&](const Finding& finding) { return finding.name == name; });
    if (said) continue;
    const TableConfig* chooser = selection.find(table.schema, table.name);
    if (chooser != nullptr && chooser->outbox) {
      found.push_back({Verdict::ok, name,
                       "an outbox: each insert is an event for " + chooser->outbox->subject, ""});
      continue;
    }
    const bool first = chooser != nullptr && chooser->snapshot;
    found.push_back(
        {Verdict::ok, name,
         operations_of(config, table) + (first ? ", its rows first (snapshot = \"initial\")" : ""),
         ""});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Finding& a, const Finding& b) { return a.name < b.name; });
  append(found, std::move(chosen.notes));
  append(found, filter_findings(config, *seen.sql, resolved));
  for (const pg::TableInfo& table : resolved.tables) {
    append(found, generated_findings(table, pg::table_columns(*seen.sql, table.oid),
                                     {.version = seen.server->version}));
  }
  append(found, readable_findings(config, resolved.tables, seen.server->user));
  if (plan.problems.empty()) seen.publications = plan.publications;
  append(found, publication_state(seen, plan, resolved.tables));
  return found;
}

}  // namespace

Findings check_postgres(const Config& config, PostgresView& seen) {
  Findings found;
  const auto attempt = [&](const char* name, const auto& look) {
    try {
      look();
      return true;
    } catch (const std::exception& error) {
      found.push_back(failed(name, error));
      return false;
    }
  };
  if (!attempt("postgres", [&] {
        seen.sql = attach_postgres(config);
        found.push_back({Verdict::ok, "postgres", pg::describe(config.source.dsn), ""});
      })) {
    return found;
  }
  attempt("postgres", [&] {
    const pg::ServerInfo server = pg::server_info(*seen.sql);
    append(found, server_findings(server));
    const bool sound = std::none_of(found.begin(), found.end(), [](const Finding& finding) {
      return finding.verdict == Verdict::fail;
    });
    append(found, spill_findings(config));
    seen.server = server;
    seen.slot = pg::slot_info(*seen.sql, config.source.slot);
    append(found, capacity_findings(config, server, seen.slot));
    if (seen.slot) append(found, slot_state(config, *seen.slot, server));
    append(found,
           mark_findings(marks_of(*seen.sql, config.source.slot), server.max_slot_wal_keep_mb));
    append(found, table_state(config, seen));
    if (!sound) return;
    attempt("replication", [&] {
      seen.replication = pg::ReplicationStream::open(config.source.dsn);
      seen.identity = seen.replication->identify();
      found.push_back({Verdict::ok, "replication",
                       fmt::format("a replication connection works (system {}, timeline {})",
                                   seen.identity->system_id, seen.identity->timeline.value),
                       ""});
    });
  });
  return found;
}

}  // namespace connector
