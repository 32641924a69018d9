// A stream's reader as CONTRACT.md describes it for snapshots: folds all tables by key, a
// `snapshot` record counts unless its LSN is below the last one seen for its key. A table without a
// key is a heap of rows. Has nothing to do with walferry's code.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/servers/checker.h"
#include "tests/servers/jetstream.h"

namespace servers {

class SnapshotFold {
 public:
  // Throws std::runtime_error at what a reader could not understand, an id that came before too.
  void add(const Stored& stored);
  void add_all(const std::vector<Stored>& stored);

  // By the key's JSON, of "public.t".
  Folded rows(const std::string& table) const;
  // Each row's JSON with how often it is there, of a table without a key.
  std::map<std::string, int> heap(const std::string& table) const;
  // What `_snapshot` said of the table: the rows, once it is complete (else -1).
  long complete_with(const std::string& table) const;
  int restarts(const std::string& table) const;

  std::uint64_t snapshot_records(const std::string& table) const;
  // Snapshot records of keys that had one before.
  std::uint64_t read_again(const std::string& table) const;

 private:
  struct Row {
    nlohmann::json after;
    bool there = false;
    std::uint64_t lsn = 0;
    bool read = false;  // in a snapshot record
  };
  struct Table {
    std::map<std::string, Row> rows;
    std::map<std::string, int> heap;
    std::uint64_t truncated = 0;
    long complete = -1;
    int restarts = 0;
    std::uint64_t snapshot_records = 0;
    std::uint64_t read_again = 0;
  };
  void word(const Stored& stored);
  void change(Table& table, const nlohmann::json& record);
  void heap_change(Table& table, const nlohmann::json& record);
  const Table& at(const std::string& table) const;

  std::map<std::string, Table> tables_;
  std::set<std::string> ids_;
};

}  // namespace servers
