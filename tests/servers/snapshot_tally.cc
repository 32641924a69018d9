// A record's key is the text between `"key":` and `,"before":`; the names of tables that are
// tallied need no escape in subjects.
#include "tests/servers/snapshot_tally.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string_view>

namespace servers {
namespace {

std::size_t hash_of(std::string_view text) { return std::hash<std::string_view>()(text); }

std::uint64_t repeated(std::vector<std::size_t>& hashes) {
  std::sort(hashes.begin(), hashes.end());
  std::uint64_t count = 0;
  for (std::size_t i = 1; i < hashes.size(); ++i) count += hashes[i] == hashes[i - 1] ? 1 : 0;
  return count;
}

std::string_view key_of(std::string_view record) {
  constexpr std::string_view begin = "\"key\":";
  const std::size_t from = record.find(begin);
  const std::size_t to = record.find(",\"before\":");
  if (from == std::string_view::npos || to == std::string_view::npos || to < from) {
    throw std::runtime_error("a snapshot record without a key's place");
  }
  return record.substr(from + begin.size(), to - from - begin.size());
}

}  // namespace

// Subjects: cdc.{schema}.{table}.{op} and cdc._snapshot.{schema}.{table}.
void SnapshotTally::add(const Stored& stored) {
  const auto id = stored.headers.find("Nats-Msg-Id");
  if (id == stored.headers.end()) {
    throw std::runtime_error("sequence " + std::to_string(stored.sequence) + " has no id");
  }
  ids_.push_back(hash_of(id->second));
  constexpr std::string_view word = "._snapshot.";
  constexpr std::string_view row = ".snapshot";
  const std::string& subject = stored.subject;
  if (const std::size_t at = subject.find(word); at != std::string::npos) {
    Table& table = tables_[subject.substr(at + word.size())];
    ++(stored.headers.count("Walferry-Restart") > 0 ? table.restarts : table.completions);
  } else if (subject.ends_with(row)) {
    const std::size_t prefix = subject.find('.') + 1;
    const std::string name = subject.substr(prefix, subject.size() - prefix - row.size());
    tables_[name].keys.push_back(hash_of(key_of(stored.payload)));
  }
}

std::uint64_t SnapshotTally::ids_that_came_twice() { return repeated(ids_); }

std::uint64_t SnapshotTally::snapshot_records(const std::string& table) {
  return tables_[table].keys.size();
}

std::uint64_t SnapshotTally::read_again(const std::string& table) {
  return repeated(tables_[table].keys);
}

}  // namespace servers
