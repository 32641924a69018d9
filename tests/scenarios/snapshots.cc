// Initial snapshots: what was there before walferry came is in the stream, each table's rows with
// the changes of the same time, and the stream folds to the tables, however often it is killed.
#include <random>

#include "tests/scenarios/snapshot_rig.h"

namespace scenarios {
namespace {

const std::string rows_of_t = "SELECT json_build_object('id', id), row_to_json(t) FROM t";

TEST_F(Snapshot, RowsThatWereThereArePublishedInChunksThenTheWord) {
  table_to_read("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 250) i");
  start();
  wait_words(1);
  exec("UPDATE t SET v = 'later' WHERE id = 7");
  wait_for_all();
  walferry_.stop();
  const SnapshotFold fold = folded();
  EXPECT_EQ(fold.rows("public.t"), rows_of(postgres_, rows_of_t));
  EXPECT_EQ(fold.complete_with("public.t"), 250);
  EXPECT_EQ(fold.snapshot_records("public.t"), 250U);
  const auto all = js().read("CDC");
  EXPECT_EQ(all.front().subject, "cdc._schema.public.t");
  EXPECT_EQ(js().count("CDC", "cdc._schema.>"), 1U);
  EXPECT_EQ(all[1].subject, "cdc.public.t.snapshot");
  const auto record = nlohmann::ordered_json::parse(all[1].payload);
  const std::string lsn = record["lsn"].get<std::string>();
  EXPECT_EQ(record.dump(),
            R"({"op":"snapshot","schema":"public","table":"t","key":{"id":1},"before":null,)"
            R"("after":{"id":1,"v":"row 1"},"lsn":")" +
                lsn + R"(","commit_lsn":")" + lsn + R"(","seq":1})");
  EXPECT_EQ(all[1].headers.at("Nats-Msg-Id"),
            "walferry:" + hex16(parse_lsn(lsn)) + ":snapshot:public.t:1");
  EXPECT_EQ(all[1].headers.at("Walferry-Position"), hex16(parse_lsn(lsn)) + ":0");
}

TEST_F(Snapshot, ThatIsCompleteIsNotMadeAgain) {
  table_to_read("t", "id int PRIMARY KEY, v text");
  exec("INSERT INTO t SELECT i, 'row' FROM generate_series(1, 150) i");
  for (int i = 0; i < 3; ++i) {
    start();
    wait_words(1);
    exec("INSERT INTO t VALUES (" + std::to_string(1000 + i) + ", 'later')");
    wait_for_all();
    walferry_.stop();
  }
  const SnapshotFold fold = folded();
  EXPECT_EQ(fold.snapshot_records("public.t"), 150U);
  EXPECT_EQ(fold.rows("public.t"), rows_of(postgres_, rows_of_t));
}

TEST_F(Snapshot, UnderLoadFoldsToTheTables) {
  load_tables_to_read();
  Load load(postgres_.conninfo(), {.pause = Milliseconds(1), .truncates = true});
  start();
  wait_words(4);
  load.stop();
  wait_for_all();
  walferry_.stop();
  expect_load_tables();
}

TEST_F(Snapshot, KilledAgainAndAgainGoesOnWhereItWas) {
  load_tables_to_read();
  const int rows = scaled(20'000, 10'000'000);
  exec("INSERT INTO load_d SELECT i, 'row' FROM generate_series(4000, 4000 + " +
       std::to_string(rows) + ") i");
  settings().set("snapshot", "chunk_rows", scaled("200", "10000"));
  Load load(postgres_.conninfo(), {.pause = Milliseconds(2)});
  std::mt19937 random{std::random_device()()};
  const int kills = scaled(8, 20);
  for (int i = 0; i < kills; ++i) {
    start();
    const auto before = js().count("CDC", "cdc.*.*.snapshot");
    wait_until([&] { return js().count("CDC", "cdc.*.*.snapshot") > before || words() == 4; },
               seconds(60), "some progress");
    let_pass(Milliseconds(std::uniform_int_distribution<int>(0, scaled(150, 2000))(random)));
    walferry_.kill_hard();
  }
  start();
  for (const char* table : {"load_a", "load_b", "load_c", "load_d"}) wait_saved(table);
  load.stop();
  wait_for_all();
  walferry_.stop();
  expect_load_tables();
  // Chunks in flight: those that the workers have read ahead.
  const SnapshotFold fold = folded();
  const auto chunk = scaled<std::uint64_t>(200, 10000);
  EXPECT_LE(fold.read_again("public.load_d"), static_cast<std::uint64_t>(kills) * 4 * chunk);
}

}  // namespace
}  // namespace scenarios
