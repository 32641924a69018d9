// Snapshots of tables with keys of every kind, which cut them into chunks, and of tables without
// one, which are read whole.
#include <atomic>
#include <thread>

#include "tests/scenarios/snapshot_rig.h"

namespace scenarios {
namespace {

struct KeyKind {
  const char* name;
  const char* columns;
  const char* key;
  const char* rows;  // SELECT of 300 or so
};
std::ostream& operator<<(std::ostream& out, const KeyKind& kind) { return out << kind.name; }

struct SnapshotKeys : Snapshot, testing::WithParamInterface<KeyKind> {};

TEST_P(SnapshotKeys, OfThisKindCutTheTable) {
  const KeyKind& kind = GetParam();
  exec(
      "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = "
      "false); CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad'); CREATE DOMAIN code AS text;"
      "CREATE SCHEMA ext; CREATE EXTENSION IF NOT EXISTS citext SCHEMA ext");
  table_to_read("t", std::string(kind.columns) + ", PRIMARY KEY (" + kind.key + ")");
  exec(std::string("INSERT INTO t ") + kind.rows);
  settings().set("snapshot", "chunk_rows", "17");
  start();
  wait_words(1);
  const std::string rows = postgres_.value("SELECT count(*) FROM t");
  EXPECT_EQ(std::to_string(folded().complete_with("public.t")), rows);
  EXPECT_EQ(std::to_string(folded().snapshot_records("public.t")), rows);
  EXPECT_EQ(folded().read_again("public.t"), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SnapshotKeys,
    testing::Values(
        KeyKind{"Composite", "a int, b text, c int", "b, a",
                "SELECT i % 40, 'k' || i % 7, i FROM generate_series(0, 279) i"},
        KeyKind{"AnyCase", "a text COLLATE any_case, v int", "a",
                "SELECT chr(65 + i % 2 * 32) || i, i FROM generate_series(1, 300) i"},
        KeyKind{"MixedCollations", "a text COLLATE \"C\", b text COLLATE \"en-x-icu\"", "a, b",
                "SELECT chr(60 + i % 50) || '''\\', 'é' || i FROM generate_series(1, 300) i"},
        KeyKind{"Uuid", "a uuid", "a", "SELECT gen_random_uuid() FROM generate_series(1, 300)"},
        KeyKind{"Numeric", "a numeric(12,4)", "a",
                "SELECT CASE i WHEN 1 THEN 'NaN' ELSE i * -0.0001 END "
                "FROM generate_series(1, 300) i"},
        KeyKind{"Times", "a timestamptz, b date", "a, b",
                "SELECT CASE i WHEN 1 THEN 'infinity' ELSE now() - i * interval '1h' END, "
                "'0044-03-15 BC'::date + i FROM generate_series(1, 300) i"},
        KeyKind{"Bytes", "a bytea", "a",
                "SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 300) i"},
        KeyKind{"EnumAndDomain", "a mood, b code", "a, b",
                "SELECT (enum_range(NULL::mood))[1 + i % 3], 'c' || i "
                "FROM generate_series(1, 300) i"},
        KeyKind{"CitextInAnotherSchema", "a ext.citext, b int", "a, b",
                "SELECT (chr(65 + i % 2 * 32) || i % 9)::ext.citext, i "
                "FROM generate_series(1, 300) i"},
        KeyKind{"Padded", "a character(8), b \"char\", c boolean", "a, b, c",
                "SELECT 'p' || i % 50, (chr(65 + i % 26))::\"char\", i % 2 = 0 "
                "FROM generate_series(1, 300) i ON CONFLICT DO NOTHING"},
        KeyKind{"HostileNames", "\"a b\" int, \"C\"\"d\" int, \"*.>\" text", "\"a b\", \"C\"\"d\"",
                "SELECT i, -i, E'\\t\\n\\\\x' FROM generate_series(1, 300) i"}),
    [](const auto& test) { return std::string(test.param.name); });

struct SnapshotWithoutKey : Snapshot {
  void SetUp() override {
    table_to_read("h", "a int, v text");
    exec("ALTER TABLE h REPLICA IDENTITY FULL");
    exec("INSERT INTO h SELECT i % 700, 'row' FROM generate_series(1, " +
         std::to_string(scaled(20'000, 500'000)) + ") i");
  }
  void expect_h() {
    wait_for_all();
    walferry_.stop();
    EXPECT_EQ(folded().heap("public.h"), heap_of(postgres_, "h"));
  }
  void change() {
    exec("INSERT INTO h VALUES (" + std::to_string(++changes) + ", 'more'), (5000, 'more')");
    exec("DELETE FROM h WHERE ctid = (SELECT min(ctid) FROM h)");
    exec("UPDATE h SET v = v || '!' WHERE ctid = (SELECT min(ctid) FROM h WHERE a = 5000)");
  }
  int changes = 10'000;
};

TEST_F(SnapshotWithoutKey, HoldsEachRowAsOftenAsItIsThere) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    PgSession session = postgres_.connect();
    for (int i = 0; !stop; ++i) {
      session.exec("INSERT INTO h VALUES (" + std::to_string(i) + ", 'more'), (5000, 'more')");
      session.exec("DELETE FROM h WHERE ctid = (SELECT min(ctid) FROM h)");
      session.exec("UPDATE h SET v = v || '!' WHERE ctid = (SELECT max(ctid) FROM h)");
    }
  });
  start();
  wait_saved("h");
  walferry_.kill_hard();
  start();
  let_pass(Milliseconds(200));  // of changes behind it
  stop = true;
  writer.join();
  expect_h();
  EXPECT_EQ(folded().restarts("public.h"), 1);
}

TEST_F(SnapshotWithoutKey, BeginsAgainAfterACrashAndSaysSo) {
  for (const std::string step : {"mid_chunk:5000", "snapshot_piece:1", "chunk_stored:1"}) {
    walferry_.start({}, {"WALFERRY_FAILPOINT=" + step});
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL) << step;
    change();
  }
  start();
  change();
  wait_saved("h");
  change();
  expect_h();
  EXPECT_GE(folded().restarts("public.h"), 3);
}

TEST_F(SnapshotWithoutKey, SavedBeforeACrashIsNotBegunAgain) {
  walferry_.start({}, {"WALFERRY_FAILPOINT=progress_saved:1"});
  EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
  change();
  start();
  change();
  expect_h();
  EXPECT_EQ(folded().restarts("public.h"), 1);
}

}  // namespace
}  // namespace scenarios
