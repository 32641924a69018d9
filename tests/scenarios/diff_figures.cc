// What a round of snapshot-diff costs beside COPY of the same table, in one run on one machine;
// with WALFERRY_TEST_LONG=1 for 10 million rows. The ratios are printed; that no row is sent where
// nothing has changed, and how much memory it takes, is asserted.
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "tests/scenarios/diff_rig.h"

namespace scenarios {
namespace {

constexpr long most_memory_kib = 64 * 1024;

class DiffFigures : public Diff {
 protected:
  template <class Work>
  static double seconds_of(Work work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }
  // As a client gets it, which a reader of the table cannot do without, and as the server throws it
  // away itself. Of each the better of two, since the first may read from the disk.
  struct Copies {
    double to_client, to_null;
  };
  Copies copy_seconds() {
    const auto best_of = [this](const char* sql) {
      const auto once = [&] { PgSession(postgres_.conninfo()).copy_out(sql); };
      return std::min(seconds_of(once), seconds_of(once));
    };
    const Copies copies{best_of("COPY t TO STDOUT"), best_of("COPY t TO '/dev/null'")};
    std::cout << "COPY: " << copies.to_client << " s to a client, " << copies.to_null
              << " s to /dev/null" << std::endl;
    return copies;
  }
  double round_seconds() {
    return seconds_of([this] {
      walferry_.start({"--once"});
      wait_until(
          [this] {
            note_memory();
            return !walferry_.running();
          },
          seconds(1800), "a round");
      EXPECT_EQ(walferry_.wait_exit().code, 0) << walferry_.log();
    });
  }
  void note_memory() {
    std::ifstream status("/proc/" + std::to_string(walferry_.pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) peak_kib_ = std::max(peak_kib_, std::stol(line.substr(6)));
    }
  }
  nlohmann::json table_status() { return status().at("diff").at("tables").at(0); }
  void print(const char* what, double round, const Copies& copies) {
    std::cout << what << ": " << round << " s, " << round / copies.to_client << " x COPY ("
              << round / copies.to_null << " x that to /dev/null); read "
              << table_status().at("read") << std::endl;
  }

  long peak_kib_ = 0;
};

TEST_F(DiffFigures, OfABigTable) {
  const long rows = scaled(100'000L, 10'000'000L);
  diff_table("t",
             "id bigint PRIMARY KEY, customer int, status text, amount numeric(12,2), "
             "note text, at timestamptz",
             "");
  exec(
      "INSERT INTO t SELECT i, i % 1000, 'status' || i % 7, (i % 100000) * 0.01, md5(i::text), "
      "'2026-01-01'::timestamptz + i * interval '1 second' FROM generate_series(1, " +
      std::to_string(rows) + ") i");
  exec("VACUUM (ANALYZE, FREEZE) t");
  std::cout << rows << " rows" << std::endl;
  const Copies copy = copy_seconds();
  print("the first round", round_seconds(), copy);
  print("nothing changed", round_seconds(), copy);
  EXPECT_EQ(table_status().at("read"), "nothing");
  exec("UPDATE t SET customer = customer + 1 WHERE id % 100 = 3");
  exec("SELECT pg_stat_force_next_flush()");
  exec("SELECT 1");
  exec("VACUUM (ANALYZE) t");
  const Copies scattered_copy = copy_seconds();
  print("1 % changed, everywhere", round_seconds(), scattered_copy);
  EXPECT_EQ(table_status().at("updates"), rows / 100);
  print("nothing changed after that", round_seconds(), scattered_copy);
  EXPECT_EQ(table_status().at("read"), "nothing");
  exec("UPDATE t SET customer = customer + 1 WHERE id > " + std::to_string(rows - rows / 100));
  exec("SELECT pg_stat_force_next_flush()");
  print("1 % changed, at the end", round_seconds(), scattered_copy);
  EXPECT_EQ(table_status().at("updates"), rows / 100);
  std::cout << "peak memory " << peak_kib_ << " KiB" << std::endl;
  EXPECT_LE(peak_kib_, most_memory_kib);
}

}  // namespace
}  // namespace scenarios
