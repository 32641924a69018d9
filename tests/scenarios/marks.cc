// Marks: copies of the slot that hold their WAL, made beside a daemon that goes on.
#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

class Marks : public VerbsInDepth {
 protected:
  Finished expect(int code, const std::vector<std::string>& args) {
    Finished finished = walferry_.verb(args);
    EXPECT_EQ(finished.exit.code, code) << finished.out << finished.err;
    return finished;
  }
};

TEST_F(Marks, HoldWhatTheSlotHeldWhileTheDaemonGoesOn) {
  settings().set_string("source", "replay_window", "0");
  create_load_tables();
  start();
  Load load(postgres_.conninfo());
  load.wait_for_more(20);
  const std::string pid = session_of_the_slot();
  const json made = json::parse(expect(0, {"mark", "--json", "before_it"}).out);
  const std::uint64_t at = parse_lsn(made["lsn"].get<std::string>());
  EXPECT_EQ(made["slot"], "walferry_mark_before_it");
  EXPECT_EQ(postgres_.confirmed_flush("walferry_mark_before_it"), at);
  wait_until([&] { return postgres_.confirmed_flush("walferry") > at; }, seconds(30),
             "the slot is confirmed beyond the mark");
  EXPECT_EQ(postgres_.confirmed_flush("walferry_mark_before_it"), at) << "it stays";
  EXPECT_EQ(session_of_the_slot(), pid) << "the daemon was not disturbed";
  const json listed = json::parse(expect(0, {"mark", "--list", "--json"}).out);
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0]["name"], "before_it");
  EXPECT_GT(listed[0]["retained_bytes"].get<std::uint64_t>(), 0U);
  const json status = json::parse(expect(0, {"status", "--json"}).out);
  EXPECT_EQ(status["marks"][0]["name"], "before_it");
  EXPECT_GT(status["marks"][0]["retained_bytes"].get<std::uint64_t>(), 0U);
  EXPECT_TRUE(says(expect(0, {"status"}).out, "mark       before_it at ")) << "and as text";
  EXPECT_EQ(find(check_as_json(0), "mark before_it")["result"], "ok");
  expect(0, {"mark", "--drop", "before_it"});
  EXPECT_FALSE(postgres_.slot_exists("walferry_mark_before_it"));
  EXPECT_TRUE(says(expect(0, {"mark", "--list"}).out, "no marks"));
  load.stop();
  expect_exact();
}

TEST_F(Marks, AreRefusedWhereTheyCannotBe) {
  EXPECT_TRUE(says(expect(3, {"mark", "a"}).err, "does not exist yet"));
  start();
  expect(0, {"mark", "a"});
  EXPECT_TRUE(says(expect(3, {"mark", "a"}).err, "already"));
  EXPECT_TRUE(says(expect(3, {"mark", "--drop", "b"}).err, "no mark b"));
  EXPECT_TRUE(says(expect(2, {"mark", "Big"}).err, "a-z, 0-9 and _"));
  EXPECT_TRUE(says(expect(2, {"mark", "a_mark_b"}).err, "_mark_"));
  EXPECT_TRUE(says(expect(2, {"mark", std::string(60, 'a')}).err, "at most 49 characters"));
  exec(
      "SELECT pg_create_physical_replication_slot('fill' || i) FROM generate_series(1, "
      "current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM "
      "pg_replication_slots)) i");
  EXPECT_TRUE(says(expect(3, {"mark", "c"}).err, "max_replication_slots"));
}

TEST_F(Marks, GoWithTeardown) {
  start();
  expect(0, {"mark", "a"});
  // Another walferry's slot, and its mark.
  exec("SELECT pg_create_logical_replication_slot('walferry_mark_b_mark_c', 'pgoutput')");
  walferry_.stop();
  const Finished finished = expect(0, {"teardown", "--yes"});
  EXPECT_TRUE(says(finished.out, "dropped mark a")) << finished.out;
  EXPECT_FALSE(postgres_.slot_exists("walferry_mark_a"));
  EXPECT_TRUE(postgres_.slot_exists("walferry_mark_b_mark_c"));
}

}  // namespace
}  // namespace scenarios
