// What the scenarios of snapshot-diff stand on: rounds by `run --once`, and a reader of the stream
// that folds it, which has nothing to do with walferry's code.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/scenarios/rig.h"
#include "tests/servers/temp_dir.h"

namespace scenarios {

using Rows = std::map<std::string, int>;  // a row's JSON, and how often it is there

// A table as the stream says it is.
class DiffFold {
 public:
  explicit DiffFold(const std::vector<Stored>& stored) {
    for (const Stored& message : stored) add(message);
  }

  Rows rows(const std::string& table) const {
    Rows rows;
    const auto found = tables_.find(table);
    if (found == tables_.end()) return rows;
    for (const auto& [key, row] : found->second.by_key) ++rows[row];
    for (const auto& [row, count] : found->second.heap) rows[row] += count;
    return rows;
  }
  int restarts(const std::string& table) const { return counted(table, "restart"); }
  int counted(const std::string& table, const std::string& op) const {
    const auto found = ops_.find(table + " " + op);
    return found == ops_.end() ? 0 : found->second;
  }

 private:
  struct Table {
    std::map<std::string, std::string> by_key;
    std::map<std::string, int> heap;
  };

  [[noreturn]] static void fail(const std::string& what, const Stored& message) {
    throw std::runtime_error(what + " at message " + std::to_string(message.sequence) + ": " +
                             message.payload);
  }

  void add(const Stored& message) {
    if (!ids_.insert(header(message, "Nats-Msg-Id")).second)
      fail("an id for the 2nd time", message);
    if (message.subject.starts_with("cdc._schema.")) return;
    if (message.subject.starts_with("cdc._snapshot.")) {
      const std::string table = message.subject.substr(14);
      if (header(message, "Walferry-Restart") != "true") return;
      tables_[table] = {};
      ++ops_[table + " restart"];
      return;
    }
    const auto record = nlohmann::json::parse(message.payload);
    const std::string name =
        record.at("schema").get<std::string>() + "." + record.at("table").get<std::string>();
    const auto op = record.at("op").get<std::string>();
    ++ops_[name + " " + op];
    Table& table = tables_[name];
    const bool gone = op == "delete";
    const std::string row = gone ? "" : record.at("after").dump();
    if (record.at("key").is_null()) {
      if (op == "update") fail("an update without a key", message);
      if (!gone) {
        ++table.heap[row];
      } else if (const auto before = record.at("before").dump(); table.heap[before] == 0) {
        fail("a delete of a row that is not there", message);
      } else if (--table.heap[before] == 0) {
        table.heap.erase(before);
      }
      return;
    }
    const std::string key = record.at("key").dump();
    // What a baseline had may be changed, though it is not in the stream.
    if (op == "insert" && table.by_key.contains(key)) {
      fail("an insert of a row that is there", message);
    }
    if (gone) {
      table.by_key.erase(key);
    } else {
      table.by_key[key] = row;
    }
  }

  static std::string header(const Stored& message, const std::string& name) {
    for (const auto& [key, value] : message.headers) {
      if (key == name) return value;
    }
    return "";
  }

  std::map<std::string, Table> tables_;
  std::map<std::string, int> ops_;
  std::set<std::string> ids_;
};

class Diff : public Scenario {
 protected:
  explicit Diff(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {
    settings().set_string("diff", "state_dir", state_.path()).set_string("log", "level", "debug");
  }

  void diff_table(const std::string& name, const std::string& columns,
                  const std::string& diff = "first = \"snapshot\"", const std::string& more = "") {
    exec("CREATE TABLE " + sql_name(name) + " (" + columns + ")");
    compare_table("public." + sql_name(name), diff, more);
  }
  void compare_table(const std::string& name, const std::string& diff = "first = \"snapshot\"",
                     const std::string& more = "") {
    settings().table(name, "capture = \"diff\"\n" + more + "\n[table.diff]\n" + diff);
  }

  // One round, to its end.
  std::string round(const std::vector<std::string>& env = {}) {
    const Finished finished = walferry_.run_to_exit({"--once"}, env);
    EXPECT_EQ(finished.exit.code, 0) << finished.err;
    return finished.err;
  }
  std::string round_fails(int code) {
    const Finished finished = walferry_.run_to_exit({"--once"});
    EXPECT_EQ(finished.exit.code, code) << finished.err;
    return finished.err;
  }

  Rows table_rows(const std::string& table) {
    Rows rows;
    for (const auto& row : postgres_.query("SELECT row_to_json(t) FROM " + table + " t")) {
      ++rows[nlohmann::json::parse(row.at(0).value()).dump()];
    }
    return rows;
  }
  DiffFold folded() { return DiffFold(js().read("CDC")); }
  void expect_folds_to(const std::vector<std::string>& tables) {
    const DiffFold fold = folded();
    for (const std::string& table : tables) {
      EXPECT_TRUE(fold.rows("public." + table) == table_rows("public." + table)) << table;
    }
  }
  std::vector<std::string> files(const std::string& ending) const {
    std::vector<std::string> found;
    const std::string folder = state_.path() + "/CDC.walferry";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().string().ends_with(ending)) found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  nlohmann::json status() {
    const Finished finished = walferry_.verb({"status", "--json"});
    EXPECT_EQ(finished.exit.code, 0) << finished.err;
    return nlohmann::json::parse(finished.out);
  }

  TempDir state_;
};

}  // namespace scenarios
