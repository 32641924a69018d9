// What an existing stream must be: CONTRACT.md and DESIGN.md, "What is promised".
#include "publisher/stream.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace publisher {
namespace {

using nlohmann::json;

TEST(Covers, TokensAndWildcards) {
  struct {
    const char* filter;
    const char* subject;
    bool covered;
  } const cases[] = {
      {"cdc.a", "cdc.a", true},      {"cdc.a", "cdc.b", false},  {"cdc.a", "cdc.a.b", false},
      {"cdc.a.b", "cdc.a", false},   {"cdc.>", "cdc.a.b", true}, {"cdc.>", "cdc", false},
      {"cdc.>", "cdc.>", true},      {"cdc.>", "cdc.*.>", true}, {"cdc.*.>", "cdc.>", false},
      {">", "cdc.>", true},          {">", ">", true},           {"cdc.*", "cdc.a", true},
      {"cdc.*", "cdc.*", true},      {"cdc.*", "cdc.>", false},  {"cdc.a", "cdc.*", false},
      {"cdc.*", "cdc.a.b", false},   {"*.a", "cdc.a", true},     {"cdc.*.b", "cdc.a.b", true},
      {"cdc.*.b", "cdc.a.c", false}, {"cd", "cdc", false},       {"cdc.>", "cdcx.a", false},
      {"CDC.>", "cdc.a", false}};
  for (const auto& c : cases) {
    EXPECT_EQ(covers(c.filter, c.subject), c.covered) << c.filter << " over " << c.subject;
  }
}

StreamSettings wanted() {
  StreamSettings settings;
  settings.name = "CDC";
  settings.subjects = {"cdc.>"};
  settings.storage = "file";
  settings.discard = "old";
  settings.compression = "none";
  settings.duplicate_window = std::chrono::minutes(2);
  settings.largest_message = 1'024'000;
  return settings;
}

// As nats-server 2.9.10 echoes the stream that walferry makes.
const char* const as_made = R"({"name":"CDC","subjects":["cdc.>"],"retention":"limits",
  "max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,
  "max_msg_size":-1,"discard":"old","storage":"file","num_replicas":1,
  "duplicate_window":120000000000,"allow_direct":false,"mirror_direct":false,"sealed":false,
  "deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false})";

StreamFindings findings(const json& changes, const StreamSettings& settings = wanted()) {
  json config = json::parse(as_made);
  config.merge_patch(changes);
  StreamInfo info;
  info.config = config.dump();
  return check_stream(info, settings);
}

TEST(CheckStream, AsMadeHasNothingToFind) {
  const StreamFindings found = findings(json::object());
  EXPECT_TRUE(found.fails.empty());
  EXPECT_TRUE(found.warns.empty());
}

TEST(CheckStream, WhatBreaksAPromiseFailsAndNamesTheSetting) {
  const json breaches[] = {{{"retention", "workqueue"}},
                           {{"retention", "interest"}},
                           {{"storage", "memory"}},
                           {{"persist_mode", "async"}},
                           {{"mirror", {{"name", "OTHER"}}}},
                           {{"sources", {{{"name", "OTHER"}}}}},
                           {{"sealed", true}},
                           {{"no_ack", true}},
                           {{"subject_transform", {{"src", "cdc.>"}, {"dest", "x.>"}}}},
                           {{"subject_delete_marker_ttl", 1'000'000'000}},
                           {{"allow_msg_schedules", true}},
                           {{"discard_new_per_subject", true}},
                           {{"max_msg_size", 1'023'999}}};
  for (const json& breach : breaches) {
    const StreamFindings found = findings(breach);
    ASSERT_EQ(found.fails.size(), 1U) << breach;
    EXPECT_EQ(found.fails[0].rfind(breach.begin().key() + " is ", 0), 0U) << found.fails[0];
    EXPECT_TRUE(found.warns.empty()) << breach;
  }
}

TEST(CheckStream, ASettingSaidToBeOffIsNoBreach) {
  for (const json& harmless : {json{{"no_ack", false}}, json{{"sources", json::array()}},
                               json{{"persist_mode", "default"}}, json{{"max_msg_size", 1'024'000}},
                               json{{"max_msg_size", -1}}, json{{"allow_direct", true}}}) {
    const StreamFindings found = findings(harmless);
    EXPECT_TRUE(found.fails.empty()) << harmless;
    EXPECT_TRUE(found.warns.empty()) << harmless;
  }
}

TEST(CheckStream, EachMissingSubjectFails) {
  StreamSettings settings = wanted();
  settings.subjects = {"cdc.>", "events.*.*", "other.>"};
  const auto fails = findings({{"subjects", {"cdc.>", "events.>"}}}, settings).fails;
  ASSERT_EQ(fails.size(), 1U);
  EXPECT_NE(fails[0].find("does not take other.> (it takes cdc.>, events.>)"), std::string::npos)
      << fails[0];
}

TEST(CheckStream, ADifferenceThatBreaksNothingWarns) {
  const json differences[] = {{{"discard", "new"}},
                              {{"num_replicas", 3}},
                              {{"max_age", 1'000'000'000}},
                              {{"max_bytes", 1'000'000}},
                              {{"duplicate_window", 100'000'000}},
                              {{"compression", "s2"}},
                              {{"max_msgs_per_subject", 1}}};
  for (const json& difference : differences) {
    const StreamFindings found = findings(difference);
    EXPECT_TRUE(found.fails.empty()) << difference;
    ASSERT_EQ(found.warns.size(), 1U) << difference;
    EXPECT_EQ(found.warns[0].rfind(difference.begin().key() + " is ", 0), 0U) << found.warns[0];
  }
}

}  // namespace
}  // namespace publisher
