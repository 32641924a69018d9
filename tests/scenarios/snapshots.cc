// Initial snapshots: what was there before walferry came is in the stream, each table's rows with
// the changes of the same time, and the stream folds to the tables. snapshot_kills.cc kills it, and
// snapshot_traps.cc has what makes it wrong.
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

}  // namespace
}  // namespace scenarios
