// What polling needs of tables, roles and configuration, each refused with the way out; and values
// and names that nobody would choose.
#include "tests/scenarios/outbox_rig.h"

namespace scenarios {
namespace {

struct Unfit {
  const char* name;
  const char* sql;
  const char* says;
  const char* fix;  // in the words of the message; run by the test unless it is empty
};

class OutboxPollUnfit : public OutboxScenario, public testing::WithParamInterface<Unfit> {};

TEST_P(OutboxPollUnfit, IsRefusedWithTheCommandThatMendsIt) {
  publish_outbox("poll");
  be_a_reader_only();
  exec(GetParam().sql);
  const Finished refused = walferry_.run_to_exit({"--once"});
  EXPECT_EQ(refused.exit.code, 3) << refused.err;
  EXPECT_TRUE(says(refused.err, GetParam().says)) << refused.err;
  EXPECT_TRUE(says(refused.err, GetParam().fix)) << refused.err;
  EXPECT_FALSE(js().stream("CDC"));
  const Finished checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 3);
  EXPECT_TRUE(says(checked.out, GetParam().says)) << checked.out;
  if (std::string(GetParam().fix).find(';') == std::string::npos) return;
  exec(GetParam().fix);
  const Finished mended = walferry_.run_to_exit({"--once"});
  EXPECT_EQ(mended.exit.code, 0) << mended.err;
}

INSTANTIATE_TEST_SUITE_P(
    Tables, OutboxPollUnfit,
    testing::Values(
        Unfit{"NoXid", "ALTER TABLE outbox DROP COLUMN xid", "has no column xid",
              "ALTER TABLE \"public\".\"outbox\" ADD COLUMN xid xid8 NOT NULL DEFAULT "
              "pg_current_xact_id();\nCREATE INDEX ON \"public\".\"outbox\" (xid);"},
        Unfit{"WrongType",
              "ALTER TABLE outbox DROP COLUMN xid; ALTER TABLE outbox ADD xid bigint NOT NULL "
              "DEFAULT 1; CREATE INDEX ON outbox (xid)",
              "has a column xid of type bigint",
              "ALTER TABLE \"public\".\"outbox\" DROP COLUMN xid"},
        Unfit{
            "NoDefault", "ALTER TABLE outbox ALTER xid DROP DEFAULT", "whose default is none",
            "ALTER TABLE \"public\".\"outbox\" ALTER COLUMN xid SET DEFAULT pg_current_xact_id();"},
        Unfit{"MayBeNull", "ALTER TABLE outbox ALTER xid DROP NOT NULL", "xid that may be NULL",
              "ALTER TABLE \"public\".\"outbox\" ALTER COLUMN xid SET NOT NULL;"},
        Unfit{"NoIndex", "DROP INDEX outbox_xid", "has no index on xid",
              "CREATE INDEX CONCURRENTLY ON \"public\".\"outbox\" (xid);"},
        Unfit{"IdNotUnique", "ALTER TABLE outbox DROP CONSTRAINT outbox_pkey",
              "has no unique index on id",
              "ALTER TABLE \"public\".\"outbox\" ADD PRIMARY KEY (\"id\");"},
        Unfit{"TypeOfAnExtension",
              "CREATE EXTENSION citext; ALTER TABLE outbox ALTER id DROP IDENTITY; "
              "ALTER TABLE outbox ALTER id TYPE citext",
              "has an id of type public.citext, which is of an extension", "bigint, uuid, text"},
        Unfit{"Children", "CREATE TABLE child () INHERITS (outbox)",
              "has tables that inherit from it", "NO INHERIT"},
        Unfit{"NoPayload", "ALTER TABLE outbox DROP payload", "has no column payload",
              "name the columns that it has"},
        Unfit{"NoTable", "DROP TABLE outbox", "does not exist", "outbox/schema.sql"},
        Unfit{"NoRight", "REVOKE SELECT ON outbox FROM poller", "may not be read by this role",
              "GRANT SELECT ON \"public\".\"outbox\" TO \"poller\";"},
        Unfit{"RowSecurity", "ALTER TABLE outbox ENABLE ROW LEVEL SECURITY", "has row security",
              "ALTER ROLE \"poller\" BYPASSRLS;"}),
    [](const auto& param) { return param.param.name; });

class OutboxPollRefusals : public OutboxScenario {
 protected:
  std::string refused_configuration() {
    const Finished refused = walferry_.run_to_exit({});
    EXPECT_EQ(refused.exit.code, 2) << refused.err;
    return refused.err;
  }
};

TEST_F(OutboxPollRefusals, DeletingNeedsTheRightTo) {
  publish_outbox("poll", "delete_after_publish = true\n");
  be_a_reader_only();
  const Finished refused = walferry_.run_to_exit({"--once"});
  EXPECT_EQ(refused.exit.code, 3);
  EXPECT_TRUE(says(refused.err, "GRANT DELETE ON \"public\".\"outbox\" TO \"poller\";"))
      << refused.err;
}

TEST_F(OutboxPollRefusals, ItDoesNotMixWithWhatNeedsWal) {
  publish_outbox("poll");
  settings().table("public.t");
  EXPECT_TRUE(says(refused_configuration(), "does not go together with [[table]]"));
  settings().no_tables();
  settings().raw("[[outbox]]\ntable = \"public.other\"\n");
  EXPECT_TRUE(says(refused_configuration(), "another one than that of an [[outbox]] before"));
}

TEST_F(OutboxPollRefusals, PositionsInWalMeanNothing) {
  publish_outbox("poll");
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"--from-lsn", "0/1"}, {"--until-lsn", "0/1"}, {"--adopt"}}) {
    const Finished refused = walferry_.run_to_exit(args);
    EXPECT_EQ(refused.exit.code, 2) << args[0] << refused.err;
    EXPECT_TRUE(says(refused.err, args[0])) << refused.err;
  }
  for (const auto& args : std::vector<std::vector<std::string>>{{"seek", "0/1"},
                                                                {"mark", "--list"},
                                                                {"replay", "--from-lsn", "0/1"},
                                                                {"snapshot", "public.outbox"},
                                                                {"verify"},
                                                                {"verify", "public.outbox"},
                                                                {"tail", "--from-lsn", "0/1"}}) {
    EXPECT_EQ(walferry_.verb(args).exit.code, 2) << args[0];
  }
}

TEST_F(OutboxPollRefusals, OnceIsNotForASlot) {
  settings().table("public.t");
  exec("CREATE TABLE t (id int PRIMARY KEY)");
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 2);
}

TEST_F(OutboxPollRefusals, AnEventThatIsTooLargeStopsBeforeIt) {
  publish_outbox("poll");
  settings().set_string("publish", "max_message", "10KiB");
  exec(event("1") + event("2", "\"" + std::string(20'000, 'x') + "\"") + event("3"));
  const Finished refused = walferry_.run_to_exit({"--once"});
  EXPECT_EQ(refused.exit.code, 3) << refused.err;
  EXPECT_TRUE(says(refused.err, "event 2 of batch 1")) << refused.err;
  exec("DELETE FROM outbox WHERE id = 2");
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  const auto stored = events();
  ASSERT_EQ(stored.size(), 2U);
  EXPECT_EQ(stored[1].headers.at("Walferry-Event-Id"), "3");
}

TEST_F(OutboxPollRefusals, RowsThatAnotherServersDumpBroughtAreNamed) {
  publish_outbox("poll");
  exec(
      "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, xid) VALUES "
      "('o', '1', 'e', '5000000000')");
  const Finished refused = walferry_.run_to_exit({"--once"});
  EXPECT_EQ(refused.exit.code, 3) << refused.err;
  EXPECT_TRUE(says(refused.err, "restored from another server's dump")) << refused.err;
  exec("UPDATE outbox SET xid = DEFAULT");
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  EXPECT_EQ(events().size(), 1U);
}

// Ids that are no numbers, of a table that is a nuisance to quote, in a batch that is broken off
// between any two.
TEST_F(OutboxPollRefusals, HostileNamesAndValues) {
  exec(R"(CREATE SCHEMA "_S.x";
    CREATE TABLE "_S.x"."Out'""\ box" (
      "The Id" text COLLATE "C" PRIMARY KEY, "a'b" text, said bytea, meta jsonb,
      xid xid8 NOT NULL DEFAULT pg_current_xact_id());
    CREATE INDEX ON "_S.x"."Out'""\ box" (xid))");
  settings().set("publish", "max_in_flight", "1");
  settings().raw(R"([[outbox]]
table = "\"_S.x\".\"Out'\"\"\\ box\""
capture = "poll"
subject = "events.{a'b}"
id = "The Id"
payload = "said"
headers = "meta"
)");
  const std::vector<std::string> ids{"",     "%",       "%41",  "'; DROP TABLE x; --",
                                     "\\",   "\\\\'",   "a\tb", "a\nb",
                                     "\r\n", "ü\u2028", "*.>",  std::string(600, '%')};
  for (const std::string& id : ids) {
    exec("INSERT INTO \"_S.x\".\"Out'\"\"\\ box\" VALUES (" + sql_literal(id) + ", " +
         sql_literal(id) + R"(, '\x00ff0a27', '{"Nats-Msg-Id": "x", "a\r\nb": "c\r\nd"}'))");
  }
  int kills = 0;
  while (true) {
    walferry_.start({"--once"}, {"WALFERRY_FAILPOINT=before_publish:2"});
    const Exit exit = walferry_.wait_exit();
    if (exit.signal != SIGKILL) {
      EXPECT_EQ(exit.code, 0) << walferry_.log();
      break;
    }
    ASSERT_LT(++kills, 20) << walferry_.log();
  }
  EXPECT_GT(kills, 5);
  std::vector<std::string> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  const auto stored = events();
  ASSERT_EQ(stored.size(), ids.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].headers.at("Nats-Msg-Id"), "walferry:1:poll:" + std::to_string(i + 1));
    EXPECT_EQ(stored[i].payload, std::string("\0\xff\n'", 4));
    EXPECT_EQ(stored[i].headers.at("%4Eats-Msg-Id"), "x");
  }
  EXPECT_EQ(stored[0].headers.at("Walferry-Event-Id"), "%");
  EXPECT_EQ(stored[0].subject, "events.%");
}

// A column's type is that of the rows that are read, not of when walferry began.
TEST_F(OutboxPollRefusals, APayloadIsWhatItsTypeSaysWhenItIsRead) {
  const auto insert = [&](const std::string& payload) {
    exec(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('o', '1', 'e', '" +
        payload + "')");
  };
  exec("ALTER TABLE outbox ALTER payload TYPE text");
  publish_outbox("poll");
  walferry_.start();
  insert("abc");
  wait_events(1);
  exec("ALTER TABLE outbox ALTER payload TYPE bytea USING convert_to(payload, 'UTF8')");
  insert("def");
  wait_events(2);
  exec(
      "CREATE DOMAIN bytes AS bytea; CREATE DOMAIN blob AS bytes;"
      "ALTER TABLE outbox ALTER payload TYPE blob");
  insert("\\x00ff");
  wait_events(3);
  walferry_.stop();
  const auto stored = events();
  EXPECT_EQ(stored[0].payload, "abc");
  EXPECT_EQ(stored[1].payload, "def");
  EXPECT_EQ(stored[2].payload, std::string("\0\xff", 2));
}

TEST_F(OutboxPollRefusals, WhatGoesWhileItRunsIsNamed) {
  publish_outbox("poll");
  walferry_.start();
  exec(event("1"));
  wait_events(1);
  exec("ALTER TABLE outbox RENAME payload TO body");
  exec("INSERT INTO outbox (aggregate_type, aggregate_id, event_type) VALUES ('o', '1', 'e')");
  EXPECT_EQ(walferry_.wait_exit().code, 3) << walferry_.log();
  EXPECT_TRUE(says(walferry_.log(), "payload")) << walferry_.log();
  exec("ALTER TABLE outbox RENAME body TO payload");
  walferry_.start();
  wait_events(2);
  exec("DROP TABLE outbox");
  EXPECT_EQ(walferry_.wait_exit().code, 3) << walferry_.log();
  EXPECT_TRUE(says(walferry_.log(), "a table or column that walferry reads is gone"))
      << walferry_.log();
}

TEST_F(OutboxPollRefusals, TwoOutboxesAreOneBatchAndOneThatComesLaterIsReadWhole) {
  exec(
      "CREATE TABLE more (LIKE outbox INCLUDING ALL);"
      "CREATE TABLE late (LIKE outbox INCLUDING ALL)");
  publish_outbox("poll");
  settings().raw("[[outbox]]\ntable = \"public.more\"\ncapture = \"poll\"\n");
  const auto insert = [&](const std::string& table) {
    return "INSERT INTO " + table +
           " (aggregate_type, aggregate_id, event_type) VALUES ('o', '1', 'e');";
  };
  exec(insert("more") + insert("outbox") + insert("more") + insert("late"));
  walferry_.start({}, {"WALFERRY_FAILPOINT=before_publish:3"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  settings().raw("[[outbox]]\ntable = \"public.late\"\ncapture = \"poll\"\n");
  exec(insert("outbox"));
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
  std::vector<std::string> seen;
  for (const Stored& stored : events()) {
    seen.push_back(stored.headers.at("Nats-Msg-Id") + " " + stored.headers.at("Walferry-Outbox"));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{
                      "walferry:1:poll:1 public.outbox", "walferry:1:poll:2 public.more",
                      "walferry:1:poll:3 public.more", "walferry:2:poll:1 public.outbox",
                      "walferry:2:poll:2 public.late"}));
}

TEST_F(OutboxPollRefusals, AChangedConfigurationIsTakenOnlyIfItCanRun) {
  publish_outbox("poll");
  walferry_.start();
  exec(event("1"));
  wait_events(1);
  const auto reload_with = [&](const std::string& more) {
    Settings next = settings();
    next.raw(more);
    write_file(walferry_.config_file(), next.to_toml());
    walferry_.send(SIGHUP);
  };
  reload_with("[[outbox]]\ntable = \"public.missing\"\ncapture = \"poll\"\n");
  wait_until([&] { return says(walferry_.log(), "public.missing does not exist"); }, seconds(30),
             "the refusal");
  exec(event("2"));
  wait_events(2);
  exec("CREATE TABLE missing (LIKE outbox INCLUDING ALL)");
  exec("INSERT INTO missing (aggregate_type, aggregate_id, event_type) VALUES ('o', '1', 'e')");
  walferry_.send(SIGHUP);
  wait_events(3);
  walferry_.stop();
}

TEST_F(OutboxPollRefusals, TheOtherVerbsKnowIt) {
  publish_outbox("poll");
  be_a_reader_only();
  exec(event("1"));
  Finished checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 0) << checked.out;
  EXPECT_TRUE(says(checked.out, "run begins with all rows that are there")) << checked.out;
  walferry_.start();
  wait_events(1);
  checked = walferry_.verb({"check"});
  EXPECT_EQ(checked.exit.code, 0) << checked.out;
  EXPECT_TRUE(says(checked.out, "run would stand by")) << checked.out;
  const Finished status = walferry_.verb({"status", "--json"});
  EXPECT_EQ(status.exit.code, 0) << status.err;
  const auto json = nlohmann::json::parse(status.out);
  EXPECT_EQ(json["running"], true) << status.out;
  EXPECT_EQ(json["outbox"]["capture"], "poll");
  EXPECT_EQ(json["outbox"]["batch"], 1);
  EXPECT_TRUE(json["outbox"]["writer_pid"].is_number());
  EXPECT_TRUE(json["outbox"]["last_poll_seconds"].is_number());
  const Finished page = walferry_.verb({"status"});
  EXPECT_TRUE(says(page.out, "batch 1")) << page.out;
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 3);
  walferry_.stop();
  exec(event("2") + event("3"));
  const auto later = nlohmann::json::parse(walferry_.verb({"status", "--json"}).out);
  EXPECT_EQ(later["running"], false);
  EXPECT_EQ(later["outbox"]["pending_rows"], 2);
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
  EXPECT_EQ(js().key_value("walferry", "CDC.walferry").value_or(""), "");
  EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 4);
}

}  // namespace
}  // namespace scenarios
