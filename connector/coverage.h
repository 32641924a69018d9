// The configured tables, the publications that must cover them, and how these are made to: at a
// start under the eyes of who starts it, later with a word in the log about what cannot be done.
#pragma once

#include <pqxx/pqxx>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/table_selection.h"
#include "pg/publication.h"

namespace connector {

struct Session;

struct Coverage {
  TableSelection::Resolved resolved;
  pg::PublicationPlan plan;
  Findings findings;  // what cannot be covered, or not as it is chosen
  Findings notes;     // how the choice of rows and columns is made
  bool has_slot = false;
};
Coverage coverage_of(const Config& config, pqxx::connection& sql);

// Says what cannot be covered, and covers the rest. `always`: tables without an identity are named
// even where nothing has changed.
void cover(const Config& config, Session& session, const Coverage& coverage, bool always);

// Looks at the tables again and makes the publications cover them. What cannot be done now (a lock
// that somebody holds, a table that belongs to somebody else) is logged: the tables that are
// captured already go on. Throws pqxx::broken_connection only.
void refresh_publications(const Config& config, Session& session);

}  // namespace connector
