// What `run` needs of both sides, as findings: `check` prints all of them, `run` stops when one
// fails. One place decides, so that the two cannot tell different truths.
//
// No I/O: what was observed goes in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/table_selection.h"
#include "pg/catalog.h"
#include "pg/publication.h"
#include "publisher/stream.h"

namespace connector {

enum class Verdict { ok, warn, fail };

struct Finding {
  Verdict verdict = Verdict::ok;
  std::string name;    // of the thing that was looked at: "wal_level", "table public.orders"
  std::string detail;  // what it is; for a failure a whole sentence, since `run` says only that
  std::string fix;     // commands or words, a line each; empty where nothing is to be done
};
using Findings = std::vector<Finding>;

Findings server_findings(const pg::ServerInfo& server);

// Whether `slot`, which exists, can be read by walferry at all. What its position means is a
// matter of connector/resume.h.
Findings slot_findings(const std::string& name, const pg::SlotInfo& slot,
                       const pg::ServerInfo& server);

// The tables that are configured by name, where they are not what they must be.
Findings table_findings(const TableSelection::Resolved& resolved);
// The tables whose rows are to be published first, where this role may not read them.
Findings snapshot_findings(const Config& config, const TableSelection::Resolved& resolved);
// A warning for each table whose updates and deletes cannot be published.
// But for outboxes, whose inserts are all that is wanted.
Findings identity_findings(const Config& config, const TableSelection::Resolved& resolved,
                           const pg::PublicationPlan& plan);
// Why a publication that somebody else made does not fit.
Findings publication_findings(const pg::PublicationPlan& plan);
// What this role lacks to make the publications cover the tables.
Findings rights_findings(const pg::PublicationPlan& plan);

// Whether transactions in progress can be spilled; nothing with streaming off.
Findings spill_findings(const Config& config);

Findings payload_findings(const Config& config, std::int64_t max_payload);
// `info`: nothing when there is no such stream.
Findings stream_findings(const Config& config, const std::optional<publisher::StreamInfo>& info);

// Throws Stop(precondition) with every failure and its fix, when there is one.
void require(const Findings& findings);

void append(Findings& to, Findings more);

std::string quoted_identifier(const std::string& name);
// Without the quotes where a name needs none: public.orders for "public"."orders".
std::string readable_name(const std::string& quoted);

}  // namespace connector
