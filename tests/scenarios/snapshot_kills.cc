// Snapshots of several tables under a load of inserts, updates and deletes, killed again and again:
// whatever was in flight, the stream folds to the tables by `walferry verify` and by a reader of
// the tests' own, no id is there twice, and of tables with a key no more is read again than the
// chunks that were in flight. Where the kills fall is left to chance, but always within a snapshot.
//
// Scaled down, few messages may be in flight, so that the small tables last for all the kills.
#include <atomic>
#include <fstream>
#include <memory>
#include <random>
#include <thread>

#include "tests/scenarios/snapshot_rig.h"
#include "tests/scenarios/snapshot_writers.h"
#include "tests/servers/snapshot_tally.h"

namespace scenarios {
namespace {

constexpr std::uint64_t chunks_in_flight = 3;  // workers + 1
constexpr long most_memory_kib = 96 * 1024;

class SnapshotKills : public Snapshot {
 protected:
  void SetUp() override {
    exec(
        "CREATE TABLE big (id bigint PRIMARY KEY, v text, n int);"
        "CREATE TABLE names (country text COLLATE \"de-x-icu\", name text, v text, "
        "PRIMARY KEY (country, name));"
        "CREATE TABLE docs (id int PRIMARY KEY, n int, doc text);"
        "ALTER TABLE docs ALTER doc SET STORAGE EXTERNAL;"
        "CREATE TABLE heap (a int, v text); ALTER TABLE heap REPLICA IDENTITY FULL");
    if (!long_tests()) settings().set("publish", "max_in_flight", "32");
  }

  void fill(TableSizes sizes, std::uint64_t chunk_rows) {
    sizes_ = sizes;
    chunk_rows_ = chunk_rows;
    settings().set("snapshot", "chunk_rows", std::to_string(chunk_rows));
    exec(sql_to_fill_big(sizes.big) + sql_to_fill_names(sizes.names) +
         sql_to_fill_docs(sizes.docs) + sql_to_fill_heap(sizes.heap));
    exec("ANALYZE");
  }
  void fill() {
    fill({.big = scaled(16'000, 300'000), .names = 3000, .docs = 600, .heap = 1000},
         scaled<std::uint64_t>(200, 2000));
  }
  void read_all_tables() {
    for (const char* table : {"big", "names", "docs", "heap"}) {
      settings().table(std::string("public.") + table, "");
    }
  }
  void load(SnapshotWriters::Options options = {}) {
    writers_ = std::make_unique<SnapshotWriters>(postgres_.conninfo(), sizes_, std::move(options));
  }

  std::uint64_t rows_read() { return js().count("CDC", "cdc.public.*.snapshot"); }
  std::size_t complete_tables() {
    std::size_t complete = 0;
    const auto saved = js().key_value("walferry", "CDC.walferry.snapshots");
    if (!saved) return 0;
    const auto progress = nlohmann::json::parse(*saved);
    for (const auto& [name, table] : progress.at("tables").items()) {
      complete += table.at("state") == "complete" ? 1 : 0;
    }
    return complete;
  }
  void note_memory() {
    std::ifstream status("/proc/" + std::to_string(walferry_.pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) peak_kib_ = std::max(peak_kib_, std::stol(line.substr(6)));
    }
  }

  // Until no writer's deadlock undoes it.
  void insist(const std::string& sql) {
    wait_until(
        [&] {
          exec(sql);
          return true;
        },
        seconds(60), sql);
  }
  void go_on() {
    walferry_.start();
    wait_streaming();
  }
  void kill_now() {
    ASSERT_LT(complete_tables(), 4U) << "the kill after " << kills_ << " others came too late";
    note_memory();
    walferry_.kill_hard();
    EXPECT_EQ(walferry_.wait_exit().signal, SIGKILL);
    ++kills_;
  }
  void wait_for_more(std::uint64_t rows) {
    const std::uint64_t goal = rows_read() + rows;
    wait_until([&] { return !walferry_.running() || rows_read() >= goal; },
               scaled(seconds(60), seconds(300)),
               "some progress after " + std::to_string(kills_) + " kills");
  }
  std::uint64_t upto(int most) {
    return static_cast<std::uint64_t>(
        std::uniform_int_distribution<int>(1, std::max(1, most))(random_));
  }
  // Each time after some rows; after all of the times, after about half of `rows`.
  void kill_at_random(int times, int rows) {
    for (int i = 0; i < times && !HasFatalFailure(); ++i) {
      go_on();
      wait_for_more(upto(rows / times));
      kill_now();
    }
  }

  void complete_and_compare() {
    go_on();
    for (const char* table : {"big", "names", "docs", "heap"}) wait_saved(table);
    writers_->stop();
    EXPECT_GT(writers_->transactions(), 0);
    note_memory();
    const Finished verified =
        walferry_.verb({"verify", "--json"}, {}, scaled(seconds(120), seconds(1200)));
    EXPECT_EQ(verified.exit.code, 0) << verified.out << verified.err;
    EXPECT_EQ(lines_saying(verified.out, R"("result":"equal")"), verified.out);
    note_memory();
    walferry_.stop();
    expect_no_more_than_was_in_flight();
    if (!long_tests()) expect_fold();
    std::cout << kills_ << " kills, peak memory " << peak_kib_ << " KiB" << std::endl;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LE(peak_kib_, most_memory_kib);
#endif
  }
  void expect_no_more_than_was_in_flight() {
    SnapshotTally tally;
    js().for_each("CDC", [&](const Stored& stored) { tally.add(stored); });
    EXPECT_EQ(tally.ids_that_came_twice(), 0U);
    const std::uint64_t most = static_cast<std::uint64_t>(kills_) * chunks_in_flight * chunk_rows_;
    std::uint64_t again = 0;
    for (const std::string table : {"public.big", "public.names", "public.docs"}) {
      EXPECT_EQ(tally.restarts(table), 0) << table;
      // Of the last chunk the word is a part: a kill before its progress is saved repeats both.
      EXPECT_GE(tally.completions(table), 1) << table;
      EXPECT_LE(tally.completions(table), 1 + kills_) << table;
      again += tally.read_again(table);
    }
    EXPECT_LE(again, most);
    EXPECT_GE(tally.restarts("public.heap"), 1);
    EXPECT_GE(tally.completions("public.heap"), 1);
    std::cout << tally.messages() << " messages, " << again << " rows read again of at most "
              << most << std::endl;
  }
  void expect_fold() {
    const SnapshotFold fold = folded();
    const std::string id = "SELECT json_build_object('id', id), row_to_json(t) FROM ";
    EXPECT_EQ(fold.rows("public.big"), rows_of(postgres_, id + "big t"));
    EXPECT_EQ(fold.rows("public.docs"), rows_of(postgres_, id + "docs t"));
    EXPECT_EQ(fold.rows("public.names"),
              rows_of(postgres_,
                      "SELECT json_build_object('country', country, 'name', name), "
                      "row_to_json(t) FROM names t"));
    EXPECT_EQ(fold.heap("public.heap"), heap_of(postgres_, "heap"));
  }

  TableSizes sizes_;
  std::uint64_t chunk_rows_ = 0;
  std::unique_ptr<SnapshotWriters> writers_;
  std::mt19937 random_{std::random_device()()};
  int kills_ = 0;
  long peak_kib_ = 0;
};

TEST_F(SnapshotKills, TwentyTimesUnderLoadTheStreamIsExactAndOnlyChunksInFlightAreReadAgain) {
  fill(scaled(TableSizes{.big = 20'000, .names = 3000, .docs = 600, .heap = 1000},
              TableSizes{.big = 10'000'000, .names = 200'000, .docs = 20'000, .heap = 100'000}),
       scaled<std::uint64_t>(200, 10'000));
  read_all_tables();
  load();
  kill_at_random(20, sizes_.all() * 3 / 4);
  complete_and_compare();
}

// A TRUNCATE waits for the chunk that is being read, and so comes right behind it. The rows after
// it have other keys and lie ahead: one of before that came back would stay.
TEST_F(SnapshotKills, TruncatesInBetweenLeaveNothingOfBefore) {
  fill({.big = scaled(16'000, 300'000), .names = 600, .docs = 200, .heap = 400},
       scaled<std::uint64_t>(50, 100));
  read_all_tables();
  settings().set("publish", "max_in_flight", "16");
  load({.truncates = true});
  int turn = 0;
  const auto ahead = [&](int from, int rows) {
    const int first = turn * 1'000'000 + from;
    return "INSERT INTO big SELECT i, 'again', 0 FROM generate_series(" + std::to_string(first) +
           ", " + std::to_string(first + rows) + ") i";
  };
  for (int life = 0; life < scaled(4, 20) && !HasFatalFailure(); ++life) {
    go_on();
    for (int i = 0; i < scaled(3, 1); ++i) {
      wait_for_more(upto(100));
      ++turn;
      insist("TRUNCATE big; " + ahead(1, scaled(300, 3000)));
      exec(ahead(100'000, scaled(700, 30'000)));
    }
    kill_now();
  }
  complete_and_compare();
}

// Each change of a document that is not its first leaves it out, whatever chunk is being read.
TEST_F(SnapshotKills, ValuesThatUpdatesLeaveUnchangedAreNotLost) {
  fill({.big = 1000, .names = 200, .docs = scaled(6000, 60'000), .heap = 500},
       scaled<std::uint64_t>(100, 1000));
  read_all_tables();
  load({.writers = 2});
  std::atomic<bool> stop{false};
  std::thread updates([&] {
    PgSession session = postgres_.connect();
    for (int i = 0; !stop; i = (i + 7) % 97) {
      try {
        session.exec("UPDATE docs SET n = n + 1 WHERE id % 97 = " + std::to_string(i));
      } catch (const SqlError&) {
        // A deadlock with the writers.
      }
      let_pass(Milliseconds(20));
    }
  });
  kill_at_random(scaled(6, 20), sizes_.all() * 3 / 4);
  stop = true;
  updates.join();
  complete_and_compare();
}

// A real standby, synchronous, that applies each commit some time after it has it: so long the
// commit is in WAL, and in the stream, and no new snapshot sees it.
class SnapshotKillsWithStandby : public SnapshotKills {
 protected:
  void SetUp() override {
    SnapshotKills::SetUp();
    fill();
    read_all_tables();
    postgres_.stop();
    standby_ = postgres_.clone();
    postgres_.start();
    standby_->be_standby();
    standby_->set("primary_conninfo=" + postgres_.conninfo() + " application_name=lagging");
    standby_->set("recovery_min_apply_delay=80ms");
    standby_->start();
    exec("ALTER SYSTEM SET synchronous_standby_names = 'lagging'; ");
    exec("SELECT pg_reload_conf()");
    wait_until(
        [&] {
          return postgres_.value(
                     "SELECT sync_state FROM pg_stat_replication "
                     "WHERE application_name = 'lagging'") == "sync";
        },
        seconds(30), "the standby is synchronous");
  }
  void TearDown() override {
    writers_.reset();
    SnapshotKills::TearDown();
  }
  std::unique_ptr<PostgresCluster> standby_;
};

TEST_F(SnapshotKillsWithStandby, CommitsThatAreNotVisibleYetAreNotUndone) {
  load({.writers = 12, .session = "SET synchronous_commit = remote_apply"});
  wait_until(
      [&] {
        return postgres_.value(
                   "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0";
      },
      seconds(30), "a commit that waits for the standby");
  kill_at_random(scaled(5, 20), sizes_.all() * 3 / 4);
  complete_and_compare();
}

TEST_F(SnapshotKills, TablesAddedWhileLongWritersAreOpenMissNothing) {
  fill();
  settings().table("public.names", "");
  load();
  go_on();
  wait_saved("names");
  // They have written, and are in no snapshot yet; their tables are in no publication.
  std::vector<PgSession> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(postgres_.connect());
    const std::string at = std::to_string(-1 - i);
    open.back().exec(
        "BEGIN; INSERT INTO big VALUES (" + at + ", 'before', 0); INSERT INTO docs " + "VALUES (" +
        at + ", 0, repeat('before', 1000)); INSERT INTO heap VALUES (" + at +
        ", 'before'); UPDATE big SET v = 'before' WHERE id = " + std::to_string(10 + i));
  }
  settings().no_tables();
  read_all_tables();
  write_file(walferry_.config_file(), settings().to_toml());
  walferry_.send(SIGHUP);
  int next = 1'000'000;
  for (PgSession& writer : open) {
    wait_until([&] { return says(walferry_.log(), "open transaction(s) that may have"); },
               seconds(30), "the snapshot waits for " + std::to_string(open.size()) + " writers");
    writer.exec("UPDATE big SET n = 7 WHERE id < 0; UPDATE docs SET n = 7 WHERE id < 0; COMMIT");
    // Far behind the tail, where it is not read again: which changes of before ALTER PUBLICATION
    // the server sends of a transaction that was open then is not the same in every session. The
    // other writers may be waiting for those that are still open.
    const std::uint64_t end = js().last_sequence("CDC") + 500;
    exec("INSERT INTO big SELECT i, 'behind', 0 FROM generate_series(" + std::to_string(next) +
         ", " + std::to_string(next + 599) + ") i");
    next += 1000;
    wait_until([&] { return !walferry_.running() || js().last_sequence("CDC") >= end; },
               seconds(60), "the transaction is far behind");
    kill_now();
    go_on();
  }
  kill_now();
  kill_at_random(scaled(4, 20), sizes_.all() / 2);
  complete_and_compare();
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM big WHERE id < 0"), "3");
}

}  // namespace
}  // namespace scenarios
