// SIGTERM and SIGINT to verbs whose result is worth nothing before it is whole: they end with 1,
// say so in one line, and leave nothing behind.
#include <filesystem>

#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

class StoppedVerbs : public VerbsInDepth, public testing::WithParamInterface<int> {
 protected:
  // Runs the verb, until there is something to stop it at.
  void expect_stopped(const std::vector<std::string>& verb, const std::string& words,
                      const std::function<bool()>& under_way) {
    Process process(spawn(verb, "out", "err"));
    wait_until(under_way, seconds(30), "it is under way");
    EXPECT_TRUE(process.running());
    process.send(GetParam());
    const servers::Exit end = process.wait_exit(seconds(5));
    EXPECT_EQ(end.code, 1) << "signal " << end.signal;
    EXPECT_EQ(read_file(dir_.file("out")), "");
    const std::string log = read_file(dir_.file("err"));
    EXPECT_EQ(lines_of(errors_in(log)).size(), 1U) << log;
    EXPECT_TRUE(says(errors_in(log), words)) << log;
  }
  // A session that began behind that time has asked where the slot is: then verify has read the
  // tables, and waits.
  bool verify_waits_for_the_daemon(const std::string& since) {
    return postgres_.value(
               "SELECT count(*) FROM pg_stat_activity WHERE backend_start > '" + since +
               "' AND pid <> pg_backend_pid() AND query LIKE '%pg_replication_slots%'") != "0";
  }
  bool verify_waits_for_a_lock() {
    return postgres_.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1";
  }
};

TEST_P(StoppedVerbs, VerifyHasNoResultBeforeItIsDone) {
  const std::string spill = dir_.file("spill");
  std::filesystem::create_directory(spill);
  settings().set_string("source", "spill_dir", spill);
  start();
  walferry_.suspend();
  exec("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) i");
  const std::string since = postgres_.value("SELECT clock_timestamp()");
  expect_stopped({"verify"}, "stopped before the comparison was done",
                 [&] { return verify_waits_for_the_daemon(since); });
  EXPECT_TRUE(std::filesystem::is_empty(spill));
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_replication_slots WHERE temporary"), "0");
  walferry_.resume();
  walferry_.stop();
}

TEST_P(StoppedVerbs, VerifyIsNotHeldByALock) {
  start();
  PgSession holder = postgres_.connect();
  holder.exec("BEGIN");
  holder.exec("LOCK TABLE t");
  expect_stopped({"verify"}, "stopped before the comparison was done",
                 [this] { return verify_waits_for_a_lock(); });
  holder.exec("ROLLBACK");
  walferry_.stop();
}

TEST_P(StoppedVerbs, SeekEndsWhereTheServerDoesNotAnswer) {
  start();
  TcpProxy proxy(nats_.port());
  settings().set_string("nats", "url", proxy.nats_url());
  write_file(walferry_.config_file(), settings().to_toml());
  proxy.pause(true);
  const std::uint64_t before = proxy.connections_made();
  expect_stopped({"seek", "0/1"}, "stopped before the place was found",
                 [&] { return proxy.connections_made() > before; });
  proxy.pause(false);
  walferry_.stop();
}

INSTANTIATE_TEST_SUITE_P(Signals, StoppedVerbs, testing::Values(SIGTERM, SIGINT),
                         [](const auto& signal) {
                           return signal.param == SIGTERM ? "Sigterm" : "Sigint";
                         });

}  // namespace
}  // namespace scenarios
