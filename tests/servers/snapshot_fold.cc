#include "tests/servers/snapshot_fold.h"

#include <stdexcept>

#include "tests/servers/pg_session.h"

namespace servers {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& what, const Stored& stored) {
  throw std::runtime_error("sequence " + std::to_string(stored.sequence) + ", " + stored.subject +
                           ": " + what);
}

std::string header(const Stored& stored, const std::string& name) {
  const auto found = stored.headers.find(name);
  return found == stored.headers.end() ? "" : found->second;
}

// The old row's key: `before` has the key's columns at least where the key changed.
json key_before(const json& record) {
  json key = record.at("key");
  if (!record.at("before").is_object()) return key;
  for (const auto& [name, value] : record.at("key").items()) {
    if (record.at("before").contains(name)) key[name] = record.at("before").at(name);
  }
  return key;
}

}  // namespace

void SnapshotFold::add_all(const std::vector<Stored>& stored) {
  for (const Stored& message : stored) add(message);
}

void SnapshotFold::add(const Stored& stored) {
  const std::string id = header(stored, "Nats-Msg-Id");
  if (id.empty() || !ids_.insert(id).second) fail("an id that was there before: " + id, stored);
  if (stored.subject.find("._snapshot.") != std::string::npos) {
    word(stored);
    return;
  }
  if (stored.subject.find("._") != std::string::npos) return;
  const json record = json::parse(stored.payload);
  const std::string name =
      record.at("schema").get<std::string>() + "." + record.at("table").get<std::string>();
  Table& table = tables_[name];
  if (record.at("op") == "snapshot") {
    ++table.snapshot_records;
    const std::uint64_t lsn = parse_lsn(record.at("lsn").get<std::string>());
    if (header(stored, "Walferry-Position") != hex16(lsn) + ":0") fail("another position", stored);
    if (record.at("commit_lsn") != record.at("lsn")) fail("two LSNs", stored);
    if (id.find(":" + std::to_string(record.at("seq").get<std::uint64_t>())) == std::string::npos) {
      fail("an id without its number", stored);
    }
  }
  if (record.at("key").is_null() && record.at("op") != "truncate") {
    heap_change(table, record);
  } else {
    change(table, record);
  }
}

// Its subject ends in schema.table, of names that need no escape here.
void SnapshotFold::word(const Stored& stored) {
  Table& table = tables_[stored.subject.substr(stored.subject.find("._snapshot.") + 11)];
  if (!stored.payload.empty()) fail("a body", stored);
  if (header(stored, "Walferry-Restart") == "true") {
    ++table.restarts;
    table.heap.clear();
    table.complete = -1;
  } else {
    table.complete = std::stol(header(stored, "Walferry-Rows"));
  }
}

void SnapshotFold::change(Table& table, const json& record) {
  const std::uint64_t lsn = parse_lsn(record.at("commit_lsn").get<std::string>());
  const auto op = record.at("op").get<std::string>();
  if (op == "truncate") {
    for (auto& [key, row] : table.rows) row.there = false;
    table.heap.clear();
    table.truncated = lsn;
    return;
  }
  Row& row = table.rows[record.at("key").dump()];
  if (op == "snapshot") {
    if (row.read) ++table.read_again;
    row.read = true;
    if (lsn < row.lsn || lsn < table.truncated) return;
    row.after = record.at("after");
    row.there = true;
  } else if (op == "delete") {
    row.there = false;
  } else {
    json after = record.at("after");
    Row& old = table.rows[key_before(record).dump()];
    if (record.contains("unchanged")) {
      for (const auto& column : record.at("unchanged")) {
        const auto name = column.get<std::string>();
        if (old.after.is_object() && old.after.contains(name)) after[name] = old.after.at(name);
      }
    }
    old.there = false;
    old.lsn = lsn;
    row.after = std::move(after);
    row.there = true;
  }
  row.lsn = lsn;
}

void SnapshotFold::heap_change(Table& table, const json& record) {
  const auto op = record.at("op").get<std::string>();
  if (op == "snapshot") ++table.heap[record.at("after").dump()];
  if (op == "insert" || op == "update") ++table.heap[record.at("after").dump()];
  if (op == "delete" || op == "update") {
    if (--table.heap[record.at("before").dump()] == 0) table.heap.erase(record.at("before").dump());
  }
}

const SnapshotFold::Table& SnapshotFold::at(const std::string& table) const {
  static const Table none;
  const auto found = tables_.find(table);
  return found == tables_.end() ? none : found->second;
}

Folded SnapshotFold::rows(const std::string& table) const {
  Folded folded;
  for (const auto& [key, row] : at(table).rows) {
    if (row.there) folded[key] = row.after;
  }
  return folded;
}

std::map<std::string, int> SnapshotFold::heap(const std::string& table) const {
  return at(table).heap;
}
long SnapshotFold::complete_with(const std::string& table) const { return at(table).complete; }
int SnapshotFold::restarts(const std::string& table) const { return at(table).restarts; }
std::uint64_t SnapshotFold::snapshot_records(const std::string& table) const {
  return at(table).snapshot_records;
}
std::uint64_t SnapshotFold::read_again(const std::string& table) const {
  return at(table).read_again;
}

}  // namespace servers
