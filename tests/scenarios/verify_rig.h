// For scenarios of walferry verify: what it reports, taken apart, and what is planted for it.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "tests/scenarios/rig.h"

namespace scenarios {

inline void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

class Verify : public Scenario {
 protected:
  Finished verify(std::vector<std::string> args, int code, Milliseconds deadline = seconds(120)) {
    args.insert(args.begin(), "verify");
    Finished finished = walferry_.verb(args, {}, deadline);
    EXPECT_EQ(finished.exit.code, code) << finished.out << finished.err;
    return finished;
  }

  // The report's lines about tables, by name.
  nlohmann::json expect_equal(std::vector<std::string> args = {}) {
    args.emplace_back("--json");
    nlohmann::json tables = nlohmann::json::object();
    for (const auto& line : lines(verify(args, 0).out)) {
      EXPECT_EQ(line.value("result", ""), "equal") << line;
      tables[line.at("table").get<std::string>()] = line;
    }
    return tables;
  }

  // The report's lines about rows.
  nlohmann::json expect_different(std::vector<std::string> args = {}) {
    args.emplace_back("--json");
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& line : lines(verify(args, 1).out)) {
      if (line.contains("difference")) rows.push_back(line);
    }
    return rows;
  }

  // As the last message of the stream; walferry must not run, for it would refuse it.
  void plant(const std::string& record, const std::string& subject, NatsHeaders headers = {}) {
    headers["Nats-Expected-Last-Sequence"] = std::to_string(js().last_sequence("CDC"));
    js().publish(subject, record, headers);
  }

  // Stream, slot and saved position.
  void begin_anew() {
    EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
    js().delete_stream("CDC");
  }

 private:
  static std::vector<nlohmann::json> lines(const std::string& text) {
    std::vector<nlohmann::json> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
};

}  // namespace scenarios
