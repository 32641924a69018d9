// Rows that take each other's keys while their table is read, with a TOAST column left alone: each
// keeps its own, however it comes into the stream.
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "tests/scenarios/snapshot_rig.h"

namespace scenarios {
namespace {

// Runs until it is stopped; `turn` is given a number that counts up.
class Writer {
 public:
  Writer(PostgresCluster& postgres, std::function<void(PgSession&, int)> turn)
      : thread_([this, session = postgres.connect(), turn = std::move(turn)]() mutable {
          for (int n = 1; !stop_; ++n) turn(session, n);
        }) {}
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class SnapshotSwaps : public Snapshot {
 protected:
  void documents(int rows) {
    exec("ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL");
    exec("INSERT INTO t SELECT i, 0, repeat(md5(i::text), 100) FROM generate_series(1, " +
         std::to_string(rows) + ") i");
  }
  // Each row with its own document; `verify` does not compare what no record has.
  void expect_documents() {
    wait_for_all();
    walferry_.stop();
    const auto have = folded().rows("public.t");
    const auto want =
        rows_of(postgres_, "SELECT json_build_object('id', id), row_to_json(t) FROM t");
    ASSERT_EQ(have.size(), want.size());
    for (const auto& [key, row] : want) {
      ASSERT_TRUE(have.count(key) > 0 && have.at(key).contains("doc")) << key;
      EXPECT_EQ(have.at(key).at("doc"), row.at("doc")) << key;
    }
  }
};

TEST_F(SnapshotSwaps, RowsThatSwapKeysKeepTheirOwnDocuments) {
  table_to_read("t", "id int PRIMARY KEY, v int, doc text");
  documents(3000);
  settings().set("snapshot", "chunk_rows", "20");
  Writer writer(postgres_, [](PgSession& session, int n) {
    const std::string a = std::to_string(2 * (n % 20) + 1);
    const std::string b = std::to_string(2 * (n % 20) + 2);
    session.exec("BEGIN; UPDATE t SET id = -" + a + " WHERE id = " + a +
                 "; UPDATE t SET id = " + a + " WHERE id = " + b + "; UPDATE t SET id = " + b +
                 " WHERE id = -" + a + "; COMMIT");
  });
  start();
  wait_words(1);
  writer.stop();
  expect_documents();
}

// A first snapshot that failed goes on where it was.
TEST_F(SnapshotSwaps, RowsThatMoveWhileTheSnapshotHasFailedKeepTheirDocuments) {
  table_to_read("t", "id int PRIMARY KEY, v int, doc text");
  documents(3000);
  settings().set("snapshot", "chunk_rows", "20");
  start();
  wait_until([&] { return js().count("CDC", "cdc.public.t.snapshot") >= 100; }, seconds(60),
             "rows");
  exec("ALTER TABLE t RENAME TO x");
  wait_until([&] { return says(walferry_.log(), "cannot go on"); }, seconds(30), "it has failed");
  exec("ALTER TABLE x RENAME TO t");
  exec("UPDATE t SET id = -id WHERE id > 2990");
  wait_until([&] { return js().count("CDC", "cdc.public.t.update") == 10; }, seconds(30), "moves");
  walferry_.send(SIGHUP);
  wait_words(1);
  expect_documents();
}

// The old version of a row goes to another key, and a new one takes its place, again and again.
TEST_F(SnapshotSwaps, ASnapshotEndsWhileRowsAreVersioned) {
  table_to_read("t", "id int, v int, doc text, PRIMARY KEY (id, v)");
  documents(20'000);
  Writer writer(postgres_, [](PgSession& session, int n) {
    const std::string id = std::to_string(n % 100 + 1);
    session.exec("BEGIN; UPDATE t SET v = " + std::to_string(n) + " WHERE id = " + id +
                 " AND v = 0; INSERT INTO t VALUES (" + id + ", 0, repeat(md5('" +
                 std::to_string(n) + "'), 100)); COMMIT");
    let_pass(Milliseconds(10));
  });
  start();
  wait_words(1);
  writer.stop();
  wait_for_all();
  const Finished verified = walferry_.verb({"verify"});
  EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
}

}  // namespace
}  // namespace scenarios
