// The publications that decide what the slot sends.
//
// A table without a usable replica identity in a publication that publishes updates makes the
// application's own UPDATE and DELETE fail. So there are two: `{name}` for tables with an identity,
// and `{name}_insert`, which publishes inserts and truncates only, for the others. A table moves
// between them in one transaction, so that no change falls between.
//
// A table may be narrowed to a column list and a row filter (PostgreSQL 15 and later). Whether that
// is harmless to the application's writes is the caller's to know. Postgres rewrites a filter's
// text, so the publication's COMMENT remembers by a mark each what was asked for: a filter with its
// mark is in force, any other is made anew. To change one, the table is taken out and put in again
// in one transaction: no change falls between.
//
// Only publications whose COMMENT says that walferry made them are altered; one that someone else
// made is used alone, as it is, and must fit.
#pragma once

#include <map>
#include <optional>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pg/catalog.h"

namespace pg {

inline constexpr const char* publication_comment = "managed by walferry";

std::string insert_publication(const std::string& publication);

// What of a table a publication takes.
struct Narrowing {
  std::vector<std::string> columns;  // empty: all
  std::string where;                 // empty: all rows
};
using Narrowings = std::map<std::pair<std::string, std::string>, Narrowing>;  // {schema, table}

struct PublicationInfo {
  bool ours = false;
  bool owned = false;  // by this role
  bool inserts = false, updates = false, deletes = false, truncates = false;
  bool via_root = false;
  // What it covers, {schema, table}, through FOR ALL TABLES and FOR TABLES IN SCHEMA too.
  std::vector<std::pair<std::string, std::string>> tables;
  // Of those, the ones that a column list or a row filter cuts; not asked of our own.
  std::vector<std::pair<std::string, std::string>> narrowed;
  // Of our own: the lists, and the tables that have a filter; and the comment's marks of these.
  std::map<std::pair<std::string, std::string>, std::set<std::string>> lists;
  std::set<std::pair<std::string, std::string>> filtered;
  std::set<std::string> filter_marks;
  bool with_generated = false;  // publish_generated_columns = stored; PostgreSQL 18 and later
};

std::optional<PublicationInfo> publication_info(pqxx::connection& sql, const std::string& name);

struct PublicationPlan {
  std::vector<std::string> publications;  // what START_REPLICATION is given
  std::vector<std::string> statements;    // what makes the publications so; empty: they are
  std::vector<std::string> problems;      // why somebody else's publication does not fit
  std::vector<std::pair<std::string, std::string>> added;    // covered by neither before
  std::vector<std::pair<std::string, std::string>> removed;  // covered by neither afterwards
  // Not covered, and not to be added by this role, which does not own them.
  std::vector<std::pair<std::string, std::string>> unowned;
  // What else this role lacks to run the statements: "has no CREATE on database app".
  std::vector<std::string> lacks;
};

// Compares what is with what the tables need. `tables` must be permanent ones. With `leave_unowned`
// the statements do what this role can, and leave the unowned ones where they are.
PublicationPlan plan_publications(pqxx::connection& sql, const std::string& name,
                                  const std::vector<TableInfo>& tables, bool leave_unowned = false,
                                  const Narrowings& narrowings = {});

// Where WAL ends now, if one of `publications`, made by walferry, has this filter on the table:
// what is written from there on is filtered by the server, until the table's next Relation message.
std::optional<Lsn> filter_in_force(pqxx::connection& sql,
                                   const std::vector<std::string>& publications,
                                   RelationId relation, const std::string& where);

// What else belongs into the transaction of the statements.
struct Alteration {
  std::string prefix, content;  // a logical message; no content: none
  // {schema, table}: those who write into them are waited for, and held up, as long as the lock
  // timeout says, so that no transaction of theirs is open when the tables join.
  std::vector<std::pair<std::string, std::string>> quiet;
};
// Runs the statements in one transaction, with a lock timeout: a table that is being altered or
// vacuumed must not hold up the caller. It is shorter than deadlock_timeout, so that where two lock
// each other's tables, it is not the application's transaction that is ended. False: writers into
// `quiet` took longer, and it was done without waiting for them.
bool apply(pqxx::connection& sql, const PublicationPlan& plan, const Alteration& with = {});

// Drops those of the two that walferry made; returns their names.
std::vector<std::string> drop_publications(pqxx::connection& sql, const std::string& name);

}  // namespace pg
