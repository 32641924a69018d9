// An application: several connections that insert, update and delete at random in transactions of
// all shapes, some of them rolled back, wholly or to a savepoint. It survives restarts of Postgres
// by connecting again; what was really committed is the oracle's business, not the writers'.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/servers/pg_session.h"
#include "tests/servers/wait.h"

namespace servers {

struct LoadOptions {
  int writers = 3;
  Milliseconds pause{4};   // of each writer between two transactions
  unsigned seed = 0;       // 0: a random one
  bool truncates = false;  // now and then, of load_d
};

class Load {
 public:
  // Creates load_a .. load_d in schema public; call it before the tables are published.
  static void create_tables(PgSession& session);
  static const std::vector<std::string>& tables();  // "public.load_a", ...
  // The query for rows_of() of one of them.
  static std::string select_rows(const std::string& table);

  explicit Load(std::string conninfo, LoadOptions options = {});
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void stop();                                                         // waits for the writers
  std::uint64_t transactions() const { return transactions_.load(); }  // committed, about
  void wait_for_more(std::uint64_t transactions, Milliseconds deadline = seconds(60));
  unsigned seed() const { return options_.seed; }

 private:
  void write(unsigned seed);
  void one_transaction(PgSession& session, std::mt19937& random);

  std::string conninfo_;
  LoadOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> transactions_{0};
  std::vector<std::thread> writers_;
};

}  // namespace servers
