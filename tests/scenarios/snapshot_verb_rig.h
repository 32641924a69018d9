// What the scenarios of `walferry snapshot` stand on: a table t, and one who asks for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/scenarios/snapshot_rig.h"

namespace scenarios {

class SnapshotVerb : public Snapshot {
 protected:
  SnapshotVerb() { settings().set("snapshot", "chunk_rows", "20"); }

  // A table whose rows no stream has, and a walferry that runs.
  void fill_t(int rows) {
    create_table("t", "id int PRIMARY KEY, v text");
    exec("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, " + std::to_string(rows) +
         ") i");
  }
  Finished ask(std::vector<std::string> args, int code = 0, Milliseconds limit = seconds(90)) {
    args.insert(args.begin(), "snapshot");
    Finished finished = walferry_.verb(args, {}, limit);
    EXPECT_EQ(finished.exit.code, code) << finished.out << finished.err;
    return finished;
  }
  // Goes on beside the test.
  std::unique_ptr<Process> ask_aside(std::vector<std::string> args) {
    args.insert(args.begin(), {walferry_binary(), "snapshot"});
    args.insert(args.end(), {"--config", walferry_.config_file()});
    return std::make_unique<Process>(Spawn{
        .argv = std::move(args), .stdout_file = dir_.file("out"), .stderr_file = dir_.file("err")});
  }
  std::uint64_t snapshot_rows() { return js().count("CDC", "cdc.public.t.snapshot"); }
  void wait_rows(std::uint64_t rows) {
    wait_until([&] { return snapshot_rows() >= rows; }, seconds(60),
               std::to_string(rows) + " rows of the snapshot");
  }
  nlohmann::json saved() {
    return nlohmann::json::parse(js().key_value("walferry", "CDC.walferry.snapshots").value());
  }
  // What is kept of the last request for a snapshot.
  nlohmann::json last_request() {
    const nlohmann::json all = saved();
    nlohmann::json last;
    for (const auto& request : all.at("requests")) {
      if (request.at("action") == "snapshot") last = request;
    }
    return last;
  }
  void wait_state(const std::string& state) {
    wait_until([&] { return last_request().at("state") == state; }, seconds(60),
               "the request is " + state);
  }
  void expect_t() {
    wait_for_all();
    walferry_.stop();
    EXPECT_EQ(folded().rows("public.t"),
              rows_of(postgres_, "SELECT json_build_object('id', id), row_to_json(t) FROM t"));
  }

  TempDir dir_;
};

}  // namespace scenarios
