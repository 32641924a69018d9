// What the scenarios of snapshots stand on.
#pragma once

#include <map>
#include <string>

#include "tests/scenarios/rig.h"
#include "tests/servers/snapshot_fold.h"

namespace scenarios {

// Rows by their text, with how often they are there.
inline std::map<std::string, int> heap_of(PostgresCluster& postgres, const std::string& table) {
  std::map<std::string, int> heap;
  for (const auto& row : postgres.query("SELECT row_to_json(t) FROM " + table + " t")) {
    ++heap[nlohmann::json::parse(row.at(0).value()).dump()];
  }
  return heap;
}

class Snapshot : public Scenario {
 protected:
  explicit Snapshot(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {
    settings().set("snapshot", "chunk_rows", "100").set("source", "replay_window", "\"0\"");
  }

  void table_to_read(const std::string& name, const std::string& columns) {
    exec("CREATE TABLE " + sql_name(name) + " (" + columns + ")");
    settings().table("public." + name, "");
  }
  void load_tables_to_read() {
    PgSession session = postgres_.connect();
    Load::create_tables(session);
    for (const auto& table : Load::tables()) settings().table(table, "");
    exec(
        "INSERT INTO load_a SELECT i, 'row', i * 0.01, i FROM generate_series(1, 4000) i;"
        "INSERT INTO load_b SELECT i / 10, 'k' || i % 10, 'row' FROM generate_series(0, 499) i;"
        "INSERT INTO load_c SELECT j, j, (SELECT string_agg(md5((i + j)::text), '') "
        "FROM generate_series(1, 100) i) FROM generate_series(1, 200) j;"
        "INSERT INTO load_d SELECT i, 'row' FROM generate_series(1, 3000) i");
  }
  SnapshotFold folded() {
    SnapshotFold fold;
    fold.add_all(js().read("CDC"));
    return fold;
  }
  // Words of completion in the stream, of all tables.
  std::uint64_t words() { return js().count("CDC", "cdc._snapshot.>"); }
  void wait_words(std::uint64_t count, Milliseconds deadline = seconds(90)) {
    wait_until([&] { return words() >= count; }, deadline,
               std::to_string(count) + " words of snapshots");
  }
  // Until it is saved that the table is complete.
  void wait_saved(const std::string& table) {
    wait_until(
        [&] {
          const auto saved = js().key_value("walferry", "CDC.walferry.snapshots");
          if (!saved) return false;
          const auto tables = nlohmann::json::parse(*saved).at("tables");
          const auto name = "\"public\".\"" + table + "\"";
          return tables.contains(name) && tables.at(name).at("state") == "complete";
        },
        scaled(seconds(90), seconds(1200)), "the snapshot of " + table + " is complete");
  }
  // All that was committed before this is in the stream.
  void wait_for_all() {
    exec("SELECT pg_logical_emit_message(false, 'end', '')");
    const std::uint64_t end = postgres_.current_lsn();
    wait_until([&] { return postgres_.confirmed_flush("walferry") >= end; }, seconds(60),
               "the slot is confirmed up to " + lsn_text(end));
  }
  void expect_load_tables() {
    const SnapshotFold fold = folded();
    for (const std::string table : {"load_a", "load_b", "load_c", "load_d"}) {
      EXPECT_GE(fold.complete_with("public." + table), 0) << table;
      EXPECT_EQ(fold.rows("public." + table), rows_of(postgres_, Load::select_rows(table)))
          << table;
    }
  }
};

}  // namespace scenarios
