// What can be said of a stream with snapshots without keeping it: whether an id came twice, how
// many rows of which table were read again, which words there are. It holds eight bytes an id and
// eight a row that was read (hashes, of which two among ten million are equal once in 300,000
// streams), and looks no further into a record than to its key. Has nothing to do with walferry's
// code.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/servers/jetstream.h"

namespace servers {

class SnapshotTally {
 public:
  // Throws std::runtime_error at a message without an id, and a record without a key's place.
  void add(const Stored& stored);

  std::uint64_t messages() const { return ids_.size(); }
  std::uint64_t ids_that_came_twice();
  // Of "public.t".
  std::uint64_t snapshot_records(const std::string& table);
  std::uint64_t read_again(const std::string& table);  // rows of keys that were read before
  int restarts(const std::string& table) { return tables_[table].restarts; }
  int completions(const std::string& table) { return tables_[table].completions; }

 private:
  struct Table {
    std::vector<std::size_t> keys;  // of its snapshot records
    int restarts = 0;
    int completions = 0;
  };

  std::vector<std::size_t> ids_;
  std::map<std::string, Table> tables_;
};

}  // namespace servers
