// walferry verify: what it must find, planted into the stream with a client of the tests' own, what
// it leaves open, and its bounds.
#include "tests/scenarios/verify_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

// ---- different

TEST_F(Verify, FindsOneAlteredOneMissingAndOneExtraRowInEveryFormat) {
  create_table("t", "id int PRIMARY KEY, v text, n numeric(10,2)");
  create_table("sound", "id int PRIMARY KEY");
  for (const std::string format : {"json", "debezium", "cloudevents"}) {
    settings().set_string("publish", "format", format);
    start();
    exec("TRUNCATE t, sound");
    exec("INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 100) i");
    exec("INSERT INTO sound VALUES (1)");
    expect_equal();
    walferry_.stop();
    const auto of = [&](const std::string& value) {
      for (const Stored& message : js().read("CDC")) {
        if (message.payload.find("\"" + value + "\"") != std::string::npos) {
          return message;
        }
      }
      throw std::runtime_error("no record of " + value);
    };
    const Stored altered = of("v17");
    const Stored missing = of("v42");
    std::string extra = of("v99").payload;
    std::string other = altered.payload;
    replace_all(other, "\"v17\"", "\"other\"");
    replace_all(extra, "\"id\":99", "\"id\":1099");
    plant(other, altered.subject);
    plant(extra, altered.subject);
    js().delete_message("CDC", missing.sequence);
    const json found = expect_different();
    ASSERT_EQ(found.size(), 3U) << found;
    for (const json& one : found) {
      EXPECT_EQ(one["table"], "public.t");
      if (one["difference"] == "altered") {
        EXPECT_EQ(one["key"], json::parse(R"({"id":17})"));
        EXPECT_EQ(one["columns"], json::parse(R"({"v":{"table":"v17","stream":"other"}})"));
      } else if (one["difference"] == "missing") {
        EXPECT_EQ(one["key"], json::parse(R"({"id":42})"));
        EXPECT_EQ(one["row"]["v"], "v42");
      } else {
        EXPECT_EQ(one["key"], json::parse(R"({"id":1099})"));
        EXPECT_EQ(one["row"]["v"], "v99");
      }
    }
    const Finished text = verify({"public.t"}, 1);
    for (const char* words : {"1 altered, 1 missing in the stream, 1 in the stream only",
                              "table \"v17\"  stream \"other\"", "{\"id\":1099}"}) {
      EXPECT_TRUE(says(text.out, words)) << words << "\n" << text.out;
    }
    EXPECT_FALSE(says(text.err, "v17")) << "values are never logged";
    verify({"public.sound"}, 0);
    begin_anew();
  }
}

TEST_F(Verify, ShowsTwentyOfManyDifferencesAndCountsThemAll) {
  create_table("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t SELECT i, 'before' FROM generate_series(1, 1234) i");
  start();
  exec("INSERT INTO t VALUES (0, 'captured')");
  const Finished text = verify({}, 1);
  EXPECT_TRUE(says(text.out, "1,235 rows  different: 1,234 missing in the stream")) << text.out;
  EXPECT_TRUE(says(text.out, "and 1,214 more")) << text.out;
  EXPECT_TRUE(says(text.out, "before the table was captured")) << text.out;
  const json all = expect_different();
  EXPECT_EQ(all.size(), 1234U);
  // Of the rows that occur in the stream none differs.
  const Finished partial = verify({"--partial"}, 0);
  EXPECT_TRUE(says(partial.out, "1 rows that occur")) << partial.out;
}

TEST_F(Verify, AStreamWhoseBeginningIsGoneNeedsPartial) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  exec("INSERT INTO t SELECT i, 'a' FROM generate_series(1, 10) i");
  exec("UPDATE t SET v = 'b' WHERE id > 5");
  wait_stored(15);
  js().api("STREAM.PURGE.CDC", {{"seq", 9}});
  const Finished refused = verify({}, 3);
  EXPECT_TRUE(says(refused.err, "--partial")) << refused.err;
  const json report = expect_equal({"--partial"});
  EXPECT_EQ(report["public.t"]["rows"], 10);
  EXPECT_LT(report["public.t"]["compared"], 10);
  EXPECT_GE(report["public.t"]["compared"], 5);
  walferry_.stop();
  plant(R"({"op":"update","schema":"public","table":"t","key":{"id":8},"before":null,)"
        R"("after":{"id":8,"v":"planted"},"lsn":"0/1","commit_lsn":"0/1","seq":1,"xid":3})",
        "cdc.public.t.update");
  const json found = expect_different({"--partial"});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]["key"], json::parse(R"({"id":8})"));
}

// ---- snapshots, as consumers are told to fold them

TEST_F(Verify, FoldsSnapshotRowsByTheirMark) {
  create_table("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t SELECT i, 'before' FROM generate_series(1, 5) i");
  start();
  exec("UPDATE t SET v = 'changed' WHERE id = 1");
  exec("DELETE FROM t WHERE id = 2");
  wait_stored(2);
  const std::uint64_t mark = postgres_.current_lsn();
  walferry_.stop();
  const auto row = [&](std::uint64_t lsn, int id, const std::string& value, int n) {
    plant(R"({"op":"snapshot","schema":"public","table":"t","key":{"id":)" + std::to_string(id) +
              R"(},"before":null,"after":{"id":)" + std::to_string(id) + R"(,"v":")" + value +
              R"("},"lsn":")" + lsn_text(lsn) + R"(","commit_lsn":")" + lsn_text(lsn) +
              R"(","seq":)" + std::to_string(n) + "}",
          "cdc.public.t.snapshot",
          {{"Nats-Msg-Id", "walferry:" + hex16(lsn) + ":snapshot:public%2Et:" + std::to_string(n)},
           {"Walferry-Position", hex16(lsn) + ":0"}});
  };
  // Old ones, written late: what came after their mark stands.
  row(100, 1, "old", 1);
  row(100, 2, "old", 2);
  for (int id = 3; id <= 5; ++id) row(mark, id, "before", id);
  const Finished incomplete = verify({}, 3);
  EXPECT_TRUE(says(incomplete.out, "its snapshot is not complete")) << incomplete.out;
  plant("", "cdc._snapshot.public.t",
        {{"Walferry-Rows", "5"}, {"Walferry-Position", hex16(mark) + ":0"}});
  EXPECT_EQ(expect_equal()["public.t"]["rows"], 4);
  row(mark, 4, "wrong", 6);
  const json found = expect_different();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]["columns"]["v"]["stream"], "wrong");
}

// The chunk leaves the row to the change between its marks, and that is not visible yet.
TEST_F(Verify, RowsThatAnInvisibleCommitTookFromASnapshotAreNotSettled) {
  create_table("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t VALUES (1, 'before')");
  start();
  exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  exec("SELECT pg_reload_conf()");
  PgSession writer = postgres_.connect();
  std::thread waits([&] { writer.exec("UPDATE t SET v = 'after'"); });
  wait_stored(1);
  const std::uint64_t mark = postgres_.current_lsn();
  walferry_.stop();
  plant("", "cdc._snapshot.public.t",
        {{"Walferry-Rows", "0"}, {"Walferry-Position", hex16(mark) + ":0"}});
  const Finished early = verify({}, 3);
  EXPECT_TRUE(says(early.out, "not settled: 1 rows")) << early.out;
  exec("ALTER SYSTEM RESET synchronous_standby_names");
  exec("SELECT pg_reload_conf()");
  waits.join();
  expect_equal();
}

TEST_F(Verify, WaitsForADaemonThatIsBehind) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  walferry_.suspend();
  exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 1000) i");
  std::thread goes_on([&] {
    let_pass(Milliseconds(1500));
    walferry_.resume();
  });
  const auto began = Clock::now();
  EXPECT_EQ(expect_equal()["public.t"]["rows"], 1000);
  EXPECT_GT(Clock::now() - began, Milliseconds(1400));
  goes_on.join();
}

// ---- bounds

TEST_F(Verify, MemoryDoesNotGrowWithTheTable) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  const int rows = scaled(250'000, 5'000'000);
  exec("INSERT INTO t SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, " +
       std::to_string(rows) + ") i");
  wait_stored(static_cast<std::uint64_t>(rows), seconds(600));
  walferry_.stop();
  const auto began = Clock::now();
  const Finished finished = verify({"--json"}, 0, seconds(900));
  const double took = std::chrono::duration<double>(Clock::now() - began).count();
  RecordProperty("rows_per_second", static_cast<int>(rows / took));
  std::cout << rows / took << " rows a second, " << finished.exit.peak_memory_kib << " KiB\n";
  EXPECT_LT(finished.exit.peak_memory_kib, 128 * 1024);
}

TEST_F(Verify, RefusesWhatItCannotKnow) {
  create_table("t", "id int PRIMARY KEY");
  Finished finished = verify({}, 3);
  EXPECT_TRUE(says(finished.err, "stream CDC does not exist")) << finished.err;
  start();
  finished = verify({"public.nothing"}, 3);
  EXPECT_TRUE(says(finished.err, "public.nothing is not captured")) << finished.err;
  verify({"nothing"}, 2);
  // Dates are days in one format and text in the other.
  create_table("dated", "day date PRIMARY KEY");
  walferry_.stop();
  for (const std::string format : {"json", "debezium"}) {
    settings().set_string("publish", "format", format);
    start();
    exec("DELETE FROM dated; INSERT INTO dated VALUES ('2026-11-24')");
    wait_complete();
    if (format == "json") expect_equal();
    if (format != "json") {
      finished = verify({}, 3);
      EXPECT_TRUE(says(finished.err, "the key's column day")) << finished.err;
    }
    walferry_.stop();
  }
}

}  // namespace
}  // namespace scenarios
