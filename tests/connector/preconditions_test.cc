#include "connector/preconditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "connector/stop.h"

namespace connector {
namespace {

using testing::HasSubstr;

Finding failure(const Findings& findings) {
  const auto found = std::find_if(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.verdict == Verdict::fail;
  });
  return found == findings.end() ? Finding{} : *found;
}

pg::ServerInfo sound_server() {
  pg::ServerInfo server;
  server.version = 150018;
  server.version_text = "15.18";
  server.wal_level = "logical";
  server.database = "app";
  server.user = "Ada \"A\"";
  server.may_replicate = true;
  return server;
}

pg::SlotInfo sound_slot() {
  pg::SlotInfo slot;
  slot.plugin = "pgoutput";
  slot.database = "app";
  slot.wal_status = "reserved";
  return slot;
}

pg::TableInfo table(const std::string& name, bool identity) {
  pg::TableInfo info;
  info.schema = "public";
  info.name = name;
  info.has_identity = identity;
  return info;
}

publisher::StreamInfo stream(const std::string& config) {
  publisher::StreamInfo info;
  info.config = config;
  return info;
}

TEST(ServerFindings, OfASoundServerAreAllOk) {
  EXPECT_EQ(failure(server_findings(sound_server())).name, "");
}

TEST(ServerFindings, NameEachThingThatIsWrongWithItsFix) {
  pg::ServerInfo server = sound_server();
  server.version = 130011;
  EXPECT_EQ(failure(server_findings(server)).name, "version");
  server = sound_server();
  server.wal_level = "replica";
  EXPECT_THAT(failure(server_findings(server)).fix, HasSubstr("ALTER SYSTEM SET wal_level"));
  server = sound_server();
  server.may_replicate = false;
  EXPECT_EQ(failure(server_findings(server)).fix, R"(ALTER ROLE "Ada ""A""" REPLICATION;)");
  server = sound_server();
  server.in_recovery = true;
  EXPECT_EQ(failure(server_findings(server)).name, "primary");
}

TEST(SlotFindings, RefuseASlotThatCannotBeRead) {
  EXPECT_TRUE(slot_findings("s", sound_slot(), sound_server()).empty());
  pg::SlotInfo slot = sound_slot();
  slot.plugin = "test_decoding";
  EXPECT_THAT(failure(slot_findings("s", slot, sound_server())).detail, HasSubstr("test_decoding"));
  slot.plugin = slot.database = "";
  const Findings physical = slot_findings("s", slot, sound_server());
  ASSERT_EQ(physical.size(), 1U) << "it has no database to belong to";
  EXPECT_THAT(physical[0].detail, HasSubstr("physical"));
  slot = sound_slot();
  slot.database = "other";
  EXPECT_THAT(failure(slot_findings("s", slot, sound_server())).detail, HasSubstr("other"));
  slot = sound_slot();
  slot.two_phase = true;
  EXPECT_THAT(failure(slot_findings("s", slot, sound_server())).detail, HasSubstr("PREPARE"));
}

TEST(TableFindings, FailForWhatIsConfiguredByName) {
  TableSelection::Resolved resolved;
  resolved.missing = {R"("public"."gone")"};
  resolved.unfit = {table("Odd", true), table("fleeting", true)};
  resolved.unfit[0].persistence = 'u';
  resolved.unfit[1].persistence = 't';
  const Findings found = table_findings(resolved);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].name, "table public.gone");
  EXPECT_EQ(found[1].name, R"(table "public"."Odd")");
  EXPECT_EQ(found[1].fix, R"(ALTER TABLE "public"."Odd" SET LOGGED;)");
  EXPECT_EQ(found[1].verdict, Verdict::fail);
  EXPECT_THAT(found[2].detail, HasSubstr("is temporary"));
  EXPECT_THAT(found[2].fix, Not(HasSubstr("LOGGED"))) << "a temporary table cannot be";
}

TEST(IdentityFindings, WarnOfWhatHappensToTheTable) {
  TableSelection::Resolved resolved;
  resolved.tables = {table("keyed", true), table("keyless", false)};
  pg::PublicationPlan plan;
  plan.publications = {"walferry", "walferry_insert"};
  Findings found = identity_findings({}, resolved, plan);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].verdict, Verdict::warn);
  EXPECT_THAT(found[0].detail, HasSubstr("updates and deletes are not published"));
  EXPECT_THAT(found[0].fix, HasSubstr("REPLICA IDENTITY FULL"));
  plan.publications = {"made_by_hand"};
  found = identity_findings({}, resolved, plan);
  EXPECT_THAT(found[0].detail, HasSubstr("application's own UPDATE and DELETE fail"));
}

TEST(PayloadFindings, CountTheHeadersToo) {
  Config config;
  config.publish.max_message = 1000 << 10;
  EXPECT_EQ(failure(payload_findings(config, 1 << 20)).name, "");
  EXPECT_EQ(failure(payload_findings(config, 1000 << 10)).name, "max_payload");
}

TEST(StreamFindings, OfAMissingStreamDependOnWhetherItMayBeCreated) {
  Config config;
  EXPECT_EQ(failure(stream_findings(config, std::nullopt)).name, "");
  config.stream.create = false;
  EXPECT_THAT(failure(stream_findings(config, std::nullopt)).detail, HasSubstr("does not exist"));
}

TEST(StreamFindings, NameTheStreamInEachFailureAndWarning) {
  const Config config;
  const Findings found = stream_findings(
      config, stream(R"({"subjects":["cdc.>"],"retention":"workqueue","num_replicas":3})"));
  EXPECT_THAT(failure(found).detail, HasSubstr("stream CDC does not fit: retention"));
  EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const Finding& finding) {
    return finding.verdict == Verdict::warn &&
           finding.detail.find("num_replicas") != std::string::npos;
  }));
}

TEST(Require, SaysEveryFailureAtOnceAndEachFixOnce) {
  const Findings findings{{Verdict::ok, "a", "fine", ""},
                          {Verdict::fail, "b", "b is wrong", "mend it"},
                          {Verdict::warn, "c", "c is odd", "look at it"},
                          {Verdict::fail, "d", "d is wrong", "mend it"}};
  try {
    require(findings);
    FAIL();
  } catch (const Stop& stop) {
    EXPECT_EQ(stop.code(), Exit::precondition);
    EXPECT_STREQ(stop.what(), "b is wrong; d is wrong");
    EXPECT_EQ(stop.hint(), "mend it");
  }
}

TEST(Require, PassesOkAndWarnings) {
  require({});
  require({{Verdict::ok, "a", "fine", ""}, {Verdict::warn, "c", "c is odd", ""}});
}

TEST(ReadableName, DropsQuotesOnlyWhereNeitherPartNeedsThem) {
  EXPECT_EQ(readable_name(R"("public"."orders_2")"), "public.orders_2");
  for (const char* name : {R"("public"."Orders")", R"("a.b"."c")", R"("a"."b""c")", R"("a"."")"}) {
    EXPECT_EQ(readable_name(name), name);
  }
}

}  // namespace
}  // namespace connector
