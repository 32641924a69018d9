// What the catalog says now: the server, the slot, the tables. Never trusted to be of the time of a
// change that is read from WAL.
//
// Every function takes an open libpqxx connection, runs a transaction of its own, and throws
// pqxx::sql_error or pqxx::broken_connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "pg/change.h"
#include "pg/replication.h"
#include "pg/types.h"
#include "pg/visibility.h"

namespace pg {

struct ServerInfo {
  int version = 0;  // server_version_num: 150018
  std::string version_text;
  std::string wal_level;
  std::string encoding;  // of the database
  std::string database;
  std::string user;
  bool in_recovery = false;
  bool may_replicate = false;              // the role has REPLICATION or is a superuser
  bool may_create_publication = false;     // CREATE on the database
  int free_slots = 0;                      // below max_replication_slots
  int free_senders = 0;                    // below max_wal_senders
  std::uint64_t sender_timeout_ms = 0;     // wal_sender_timeout; 0: never
  std::int64_t max_slot_wal_keep_mb = -1;  // -1: no limit
};

struct SlotInfo {
  std::string plugin;  // empty for a physical slot
  std::string database;
  bool active = false;
  int active_pid = 0;
  std::optional<Lsn> confirmed;
  std::optional<Lsn> restart;
  std::string wal_status;  // reserved, extended, unreserved, lost
  std::optional<std::uint64_t> safe_wal_bytes;
  std::uint64_t retained_bytes = 0;  // WAL from the restart position to the server's end
  bool temporary = false;
  bool two_phase = false;
};

struct TableInfo {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  bool partitioned = false;
  bool partition = false;
  bool owned = false;  // by the session's role, directly or through membership
  bool readable = false;
  char persistence = 'p';  // permanent, unlogged, temporary
  char kind = 'r';
  bool has_identity = false;  // UPDATE and DELETE can be published (for all partitions)
  char identity = 'd';
};

std::unique_ptr<pqxx::connection> connect_sql(const std::string& dsn);

ServerInfo server_info(pqxx::connection& sql);
// As IDENTIFY_SYSTEM says, for a role without REPLICATION; on a standby too.
SystemIdentity system_identity(pqxx::connection& sql);
// Whether the session with that pid, of this server, holds that advisory lock.
bool holds_advisory_lock(pqxx::connection& sql, int pid, std::int64_t key);
std::optional<SlotInfo> slot_info(pqxx::connection& sql, const std::string& slot);
// The slots whose names begin so, by name.
std::map<std::string, SlotInfo> slots_beginning(pqxx::connection& sql, const std::string& prefix);
// Another permanent slot at the confirmed position of `from`; returns that position. A session that
// reads `from` is not disturbed.
Lsn copy_slot(pqxx::connection& sql, const std::string& from, const std::string& to);
// The server's WAL position. Not the insert position, which may stand behind a page's header that
// no record has reached yet.
Lsn flushed_wal_lsn(pqxx::connection& sql);
// What a transaction that begins now sees.
Visibility current_visibility(pqxx::connection& sql);

// Ordinary and partitioned tables of a schema; a partition only when asked for by its own name.
std::vector<TableInfo> tables_in_schema(pqxx::connection& sql, const std::string& schema);
std::optional<TableInfo> table(pqxx::connection& sql, const std::string& schema,
                               const std::string& name);

// The primary key's columns, in their order; empty without one, or when the table is gone.
std::vector<std::string> primary_key(pqxx::connection& sql, RelationId relation);

// The columns' types as Postgres prints them ("numeric(12,2)"), one a column; empty where a type is
// gone.
std::vector<std::string> column_types(pqxx::connection& sql, const Relation& relation);

void drop_slot(pqxx::connection& sql, const std::string& slot);

}  // namespace pg
