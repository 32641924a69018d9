// An application on the four tables of snapshot_kills.cc: its changes hit rows anywhere in them, so
// that they meet chunks that were read, are being read, and will be.
#pragma once

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/servers/pg_session.h"
#include "tests/servers/wait.h"

namespace scenarios {

// big (id, v, n) · names (country, name, v), a key of text under a language's collation ·
// docs (id, n, doc), where doc is out of line · heap (a, v), without a key
struct TableSizes {
  int big = 0;
  int names = 0;
  int docs = 0;
  int heap = 0;
  int all() const { return big + names + docs + heap; }
};

std::string sql_to_fill_big(int rows);
std::string sql_to_fill_names(int rows);
std::string sql_to_fill_docs(int rows);
std::string sql_to_fill_heap(int rows);

class SnapshotWriters {
 public:
  struct Options {
    int writers = 4;
    servers::Milliseconds pause{3};  // of each between two transactions
    bool truncates = false;          // of names, docs and heap, which are filled again
    std::string session = {};        // "SET synchronous_commit = remote_apply"
  };

  SnapshotWriters(std::string conninfo, TableSizes sizes, Options options);
  ~SnapshotWriters() { stop(); }
  SnapshotWriters(const SnapshotWriters&) = delete;
  SnapshotWriters& operator=(const SnapshotWriters&) = delete;

  void stop();  // waits for them
  int transactions() const { return transactions_; }

 private:
  void write(unsigned seed);
  std::string change(std::mt19937& random) const;
  std::string change_of_big(std::mt19937& random) const;
  std::string change_of_names(std::mt19937& random) const;
  std::string change_of_docs(std::mt19937& random) const;
  std::string change_of_heap(std::mt19937& random) const;
  std::string truncate(std::mt19937& random) const;

  const std::string conninfo_;
  const TableSizes sizes_;
  const Options options_;
  std::atomic<bool> stop_{false};
  std::atomic<int> transactions_{0};
  std::vector<std::thread> threads_;
};

}  // namespace scenarios
