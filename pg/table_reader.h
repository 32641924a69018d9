// Reads tables under one snapshot of the database.
//
//   lock all ─▶ snapshot ─▶ COPY each ─▶ end
//
// The locks (ACCESS SHARE, as pg_dump has them) come before the snapshot: a TRUNCATE or a rewrite
// that commits between the two would otherwise show as an empty table. They hold up nobody but
// ALTER and TRUNCATE, until end(). Row security is off: a policy that would hide rows is an error.
//
// One thread. Every function throws pg::Error when the server refuses or the connection is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/change.h"
#include "pg/handles.h"
#include "pg/types.h"
#include "pg/visibility.h"

namespace pg {

// A table as it is to be read.
struct ReadTable {
  RelationId id;
  std::string schema;
  std::string name;
  bool partitioned = false;  // read through its root; any other without what inherits from it
};

class TableReader {
 public:
  static TableReader open(const std::string& dsn);

  void lock(const std::vector<ReadTable>& tables);

  struct Snapshot {
    Visibility visible;
    Lsn after;  // whatever the snapshot sees was committed before this
  };
  Snapshot look();

  // The shape that pgoutput would announce, as of the snapshot: without generated columns.
  Relation shape(const ReadTable& table);

  // The table's rows in COPY's text format, one call each, with the columns of `shape`. `where`: an
  // SQL expression, or empty.
  void copy(const ReadTable& table, const Relation& shape, const std::string& where,
            const std::function<void(std::string_view line)>& row);

  void end();

 private:
  explicit TableReader(PgConnection connection) : connection_(std::move(connection)) {}
  PgResult run(const std::string& sql, ExecStatusType expected);
  [[noreturn]] void fail(const PGresult* result) const;
  [[noreturn]] void fail_filtered(const ReadTable& table, const PGresult* result) const;
  std::string quoted(const std::string& name) const;

  PgConnection connection_;
};

}  // namespace pg
