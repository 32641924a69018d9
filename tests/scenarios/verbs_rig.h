// For scenarios of single verbs: one that follows something runs beside the test, which reads what
// it has printed so far.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "tests/scenarios/rig.h"

namespace scenarios {

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class VerbsInDepth : public Scenario {
 protected:
  explicit VerbsInDepth(NatsOptions nats = {}) : Scenario({}, std::move(nats)) {}
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  nlohmann::json check_as_json(int code) {
    const Finished finished = walferry_.verb({"check", "--json"});
    EXPECT_EQ(finished.exit.code, code) << finished.out << finished.err;
    return nlohmann::json::parse(finished.out);
  }
  static nlohmann::json find(const nlohmann::json& report, const std::string& name) {
    for (const auto& check : report.at("checks")) {
      if (check.at("name") == name) return check;
    }
    return {{"result", "absent"}, {"detail", ""}, {"fix", ""}};
  }
  Spawn spawn(std::vector<std::string> args, const std::string& out, const std::string& err) {
    args.insert(args.begin(), walferry_binary());
    args.insert(args.end(), {"--config", walferry_.config_file()});
    return {.argv = std::move(args), .stdout_file = dir_.file(out), .stderr_file = dir_.file(err)};
  }
  std::vector<std::string> printed(const std::string& name = "out") {
    return lines_of(read_file(dir_.file(name)));
  }
  void wait_printed(std::size_t lines, const std::string& name = "out") {
    wait_until([&] { return printed(name).size() >= lines; }, seconds(30),
               std::to_string(lines) + " lines");
  }
  // The oracle has a slot of its own.
  std::string session_of_the_slot() {
    return postgres_.value(
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'walferry'");
  }

  TempDir dir_;
};

}  // namespace scenarios
