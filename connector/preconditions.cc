#include "connector/preconditions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "connector/session.h"
#include "connector/stop.h"
#include "pg/error.h"

namespace connector {
namespace {

constexpr int oldest_version = 140000;

// A name that SQL reads the same without quotes.
bool is_simple(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto is_rest = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), is_rest);
}

}  // namespace

Findings server_findings(const pg::ServerInfo& server) {
  Findings found;
  const auto need = [&](bool met, const char* name, const std::string& is, const std::string& wrong,
                        const std::string& fix) {
    found.push_back({met ? Verdict::ok : Verdict::fail, name, met ? is : wrong, met ? "" : fix});
  };
  need(server.version >= oldest_version, "version", "PostgreSQL " + server.version_text,
       fmt::format("PostgreSQL {} is too old", server.version_text),
       "walferry reads PostgreSQL 14 and later");
  need(server.wal_level == "logical", "wal_level", "logical",
       fmt::format("wal_level is {}", server.wal_level),
       "ALTER SYSTEM SET wal_level = 'logical';  then restart PostgreSQL");
  need(server.may_replicate, "role", fmt::format("{} may replicate", server.user),
       fmt::format("the role {} may not replicate", server.user),
       fmt::format("ALTER ROLE {} REPLICATION;", quoted_identifier(server.user)));
  need(!server.in_recovery, "primary", "the server is no standby",
       "the server is a standby in recovery",
       "point source.dsn at the primary (several hosts with target_session_attrs=read-write)");
  return found;
}

Findings slot_findings(const std::string& name, const pg::SlotInfo& slot,
                       const pg::ServerInfo& server) {
  Findings found;
  const auto refuse = [&](const std::string& what) {
    found.push_back({Verdict::fail, "slot", fmt::format("slot \"{}\" {}", name, what),
                     "name another one in source.slot"});
  };
  if (slot.plugin != "pgoutput") {
    refuse(slot.plugin.empty() ? "is a physical one"
                               : fmt::format("is of plugin {}, not pgoutput", slot.plugin));
  }
  if (!slot.plugin.empty() && slot.database != server.database) {
    refuse(fmt::format("belongs to database {}, not {}", slot.database, server.database));
  }
  if (slot.two_phase) refuse("decodes two-phase transactions at PREPARE");
  return found;
}

Findings table_findings(const TableSelection::Resolved& resolved) {
  Findings found;
  for (const std::string& name : resolved.missing) {
    found.push_back(
        {Verdict::fail, "table " + readable_name(name),
         fmt::format("table {} does not exist in this database (a view, a foreign table and a "
                     "temporary one have no WAL, and do not count)",
                     readable_name(name)),
         "create it, or take its [[table]] out"});
  }
  for (const pg::TableInfo& table : resolved.unfit) {
    const std::string name = quoted_name(table.schema, table.name);
    const bool temporary = table.persistence == 't';
    found.push_back({Verdict::fail, "table " + readable_name(name),
                     fmt::format("table {} is {}: it has no WAL", readable_name(name),
                                 temporary ? "temporary" : "unlogged"),
                     temporary ? "take its [[table]] out, or create a table that is not temporary"
                               : fmt::format("ALTER TABLE {} SET LOGGED;", name)});
  }
  return found;
}

Findings snapshot_findings(const Config& config, const TableSelection::Resolved& resolved) {
  const TableSelection selection(config);
  Findings found;
  for (const pg::TableInfo& table : resolved.tables) {
    const TableConfig* chosen = selection.find(table.schema, table.name);
    if (table.readable || chosen == nullptr || !chosen->snapshot) continue;
    const std::string name = quoted_name(table.schema, table.name);
    found.push_back(
        {Verdict::fail, "table " + readable_name(name),
         fmt::format("table {} cannot be read by walferry's role, and its snapshot needs that",
                     readable_name(name)),
         fmt::format("GRANT USAGE ON SCHEMA {0} TO …;\nGRANT SELECT ON {1} TO …;\n"
                     "or snapshot = \"never\" in its [[table]], for its changes alone",
                     quoted_identifier(table.schema), name)});
  }
  return found;
}

Findings identity_findings(const Config& config, const TableSelection::Resolved& resolved,
                           const pg::PublicationPlan& plan) {
  const TableSelection selection(config);
  // A publication of somebody else's stands alone, and takes the table with its updates.
  const bool alone = plan.publications.size() == 1;
  Findings found;
  for (const pg::TableInfo& table : resolved.tables) {
    const TableConfig* chooser = selection.find(table.schema, table.name);
    const bool inserts_alone = chooser != nullptr && chooser->outbox && !alone;
    if (table.has_identity || inserts_alone) continue;
    const std::string name = quoted_name(table.schema, table.name);
    found.push_back(
        {Verdict::warn, "table " + readable_name(name),
         fmt::format("table {} has no usable replica identity: {}", readable_name(name),
                     alone
                         ? "where a publication that publishes updates covers it, the "
                           "application's own UPDATE and DELETE fail"
                         : "its updates and deletes are not published (publishing them would make "
                           "the application's fail)"),
         fmt::format(
             "ALTER TABLE {0} ADD PRIMARY KEY (…);  or ALTER TABLE {0} REPLICA IDENTITY FULL;",
             name)});
  }
  return found;
}

Findings publication_findings(const pg::PublicationPlan& plan) {
  Findings found;
  for (const std::string& problem : plan.problems) {
    found.push_back({Verdict::fail, "publication", problem,
                     "make it fit, or name another one in source.publication"});
  }
  return found;
}

Findings rights_findings(const pg::PublicationPlan& plan) {
  Findings found;
  for (const std::string& lack : plan.lacks) {
    found.push_back({Verdict::fail, "publication",
                     fmt::format("the publications cannot be made: the role {}", lack),
                     "grant what it lacks: `walferry check` prints the commands"});
  }
  for (const auto& [schema, table] : plan.unowned) {
    const std::string name = quoted_name(schema, table);
    found.push_back({Verdict::fail, "table " + readable_name(name),
                     fmt::format("table {} cannot be published: only its owner may do that",
                                 readable_name(name)),
                     fmt::format("grant its owner's role to walferry's, or leave it out: "
                                 "source.exclude_tables = ['{}']",
                                 name)});
  }
  return found;
}

Findings spill_findings(const Config& config) {
  if (config.source.streaming != "on") return {};
  const pg::SpoolSettings spool = spool_settings(config);
  try {
    const pg::SpoolFile probe(spool.dir);
    if (!probe.in_memory()) return {{Verdict::ok, "spill_dir", spool.dir, ""}};
    return {
        {Verdict::warn, "spill_dir",
         fmt::format("{} is in memory, not on a disk: large transactions would fill it", spool.dir),
         "name a folder on a disk in source.spill_dir"}};
  } catch (const pg::SpillError& error) {
    return {{Verdict::fail, "spill_dir", error.what(),
             "name a folder in source.spill_dir that walferry's user may write to"}};
  }
}

Findings payload_findings(const Config& config, std::int64_t max_payload) {
  const std::int64_t wanted = stream_settings(config).largest_message;
  if (max_payload >= wanted) {
    return {{Verdict::ok, "max_payload",
             fmt::format("{} bytes, of which {} are needed", max_payload, wanted), ""}};
  }
  return {{Verdict::fail, "max_payload",
           fmt::format("nats-server takes messages of at most {} bytes, and publish.max_message is "
                       "{} (and {} bytes of headers)",
                       max_payload, config.publish.max_message, header_room(config)),
           "raise max_payload of nats-server, or lower publish.max_message"}};
}

Findings stream_findings(const Config& config, const std::optional<publisher::StreamInfo>& info) {
  const publisher::StreamSettings wanted = stream_settings(config);
  if (!info && config.stream.create) {
    return {{Verdict::ok, "stream",
             fmt::format("{} does not exist yet: run creates it for {}", wanted.name,
                         fmt::join(wanted.subjects, ", ")),
             ""}};
  }
  if (!info) {
    return {{Verdict::fail, "stream", fmt::format("stream {} does not exist", wanted.name),
             "create it, or set stream.create = true"}};
  }
  Findings found;
  const publisher::StreamFindings findings = publisher::check_stream(*info, wanted);
  for (const std::string& problem : findings.fails) {
    found.push_back({Verdict::fail, "stream",
                     fmt::format("stream {} does not fit: {}", wanted.name, problem),
                     fmt::format("`nats stream edit {}` where that can be changed, or name another "
                                 "one in stream.name",
                                 wanted.name)});
  }
  for (const std::string& warning : findings.warns) {
    found.push_back({Verdict::warn, "stream", fmt::format("stream {}: {}", wanted.name, warning),
                     fmt::format("`nats stream edit {}`, or change [stream] in the configuration",
                                 wanted.name)});
  }
  if (found.empty()) {
    found.push_back({Verdict::ok, "stream",
                     fmt::format("{} fits: {} messages, the last is {}", wanted.name,
                                 info->messages, info->last.value),
                     ""});
  }
  return found;
}

void require(const Findings& findings) {
  std::vector<std::string> what;
  std::vector<std::string> fixes;
  for (const Finding& finding : findings) {
    if (finding.verdict != Verdict::fail) continue;
    what.push_back(finding.detail);
    if (std::find(fixes.begin(), fixes.end(), finding.fix) == fixes.end()) {
      fixes.push_back(finding.fix);
    }
  }
  if (what.empty()) return;
  throw Stop(Exit::precondition, fmt::format("{}", fmt::join(what, "; ")),
             fmt::format("{}", fmt::join(fixes, "; ")));
}

std::string quoted_identifier(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string readable_name(const std::string& quoted) {
  std::string bare = quoted;
  bare.erase(std::remove(bare.begin(), bare.end(), '"'), bare.end());
  const auto dot = bare.find('.');
  if (dot == std::string::npos) return quoted;
  const std::string schema = bare.substr(0, dot);
  const std::string table = bare.substr(dot + 1);
  const bool simple = is_simple(schema) && is_simple(table) && quoted_name(schema, table) == quoted;
  return simple ? bare : quoted;
}

void append(Findings& to, Findings more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace connector
