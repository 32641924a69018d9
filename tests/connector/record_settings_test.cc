// The settings that shape records tell one configuration from another, and an unchanged one stays.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

#include "connector/session.h"

namespace connector {
namespace {

Config config() {
  Config made;
  made.tables = {{.schema = "public", .table = "t"}};
  return made;
}

std::string settings(const Config& of) { return record_settings(of, {"walferry"}); }

TEST(RecordSettings, OfNoChoiceAreThoseOfBefore) {
  EXPECT_EQ(settings(config()),
            R"({"exclude":[],"format":"json","prefix":"cdc","publications":["walferry"],)"
            R"("tables":["\"public\".\"t\""]})");
}

TEST(RecordSettings, DifferWithEachChoice) {
  const std::function<void(Config&)> changes[] = {
      [](Config& c) { c.tables[0].columns = {"a"}; },
      [](Config& c) { c.tables[0].exclude = {"a"}; },
      [](Config& c) {
        c.tables[0].mask = {{"a", Mask::hash}};
      },
      [](Config& c) {
        c.tables[0].mask = {{"a", Mask::redact}};
      },
      [](Config& c) { c.tables[0].ops.truncate = false; },
      [](Config& c) { c.tables[0].ops.insert = false; },
      [](Config& c) { c.tables[0].where = "a"; },
      [](Config& c) { c.tables[0].key = {"a"}; },
      [](Config& c) { c.source.origin = "none"; }};
  std::set<std::string> seen{settings(config())};
  for (const auto& change : changes) {
    Config changed = config();
    change(changed);
    EXPECT_TRUE(seen.insert(settings(changed)).second) << settings(changed);
  }
}

}  // namespace
}  // namespace connector
