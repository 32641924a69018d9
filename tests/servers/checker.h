// Holds a stream against what Postgres committed. Every record must be well formed, every stream
// sequence must follow the one before, and the records must be the committed changes: each of them,
// once, in commit order, with the values that the server itself prints, each row behind a schema
// record of its table that has its columns.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/servers/oracle.h"
#include "tests/servers/record.h"

namespace servers {

struct Expected {
  Naming naming = {};
  std::uint64_t first_sequence = 1;
  bool chained = true;    // Nats-Expected-Last-Sequence on every message, of the one before
  bool announced = true;  // each row behind a schema record of its table
  bool has_gaps = false;  // messages were purged: sequences rise but need not be contiguous
  // Is a change of this op on this table ("schema.table") published? All are when empty.
  std::function<bool(const std::string& table, const std::string& op)> published = {};
  // The root under which a partition's changes are published, by "schema.table".
  std::map<std::string, std::string> root_of = {};
  // The columns of a record's key, sorted, where they are known; each_change_once() fills them in.
  Keys keys = {};
};

class Checker {
 public:
  Checker(const std::vector<TrueTransaction>& truth, Expected expected);

  void add(const Stored& stored);
  // Whether all was as it should be, and nothing is missing at the end.
  testing::AssertionResult result();

 private:
  struct Due {
    const TrueChange* change;
    std::size_t transaction;  // index into truth
    std::uint64_t ordinal;
    bool last;
  };

  std::string published_name(const TrueChange& change) const;
  void check_sequence(const Stored& stored);
  void check_position(const Record& record, const Due& due);
  void check_change(const Record& record, const Due& due);
  void check_schema(const Stored& stored);
  void check_announced(const Record& record);
  void complain(const std::string& problem);

  const std::vector<TrueTransaction>& truth_;
  Expected expected_;
  std::vector<Due> due_;
  std::size_t next_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t last_commit_lsn_ = 0;
  std::map<std::string, SchemaRecord> shapes_;  // the last of each table, by subject
  std::string announced_;                       // subject of the schema record just before
  std::size_t problem_count_ = 0;
  std::string problems_;
};

// The whole stream against all that the oracle saw.
testing::AssertionResult each_change_once(const std::vector<Stored>& stored, Oracle& oracle,
                                          const Expected& expected = {});

// A table as the stream's reader would have it: the records of a table folded by key.
using Folded = std::map<std::string, nlohmann::json>;
Folded fold(const std::vector<Record>& records, const std::string& schema,
            const std::string& table);

// The same from the table itself: `sql` selects two columns, the key and the row, as JSON.
Folded rows_of(PostgresCluster& postgres, const std::string& sql);

}  // namespace servers
