// A transaction whose commit is in WAL, for walferry to read, and that nobody else can see yet: it
// waits for a standby that there is none of.
#pragma once

#include <string>
#include <thread>

#include "tests/scenarios/rig.h"

namespace scenarios {

// Of the cluster. Only the session that asks for it waits.
inline PostgresOptions commits_can_wait() {
  return {.settings = {"synchronous_standby_names=nobody", "synchronous_commit=local"}};
}

// Runs the transaction, and lets it be seen once walferry has said that it waits for that.
inline void commit_unseen(PostgresCluster& postgres, Walferry& walferry, const std::string& sql) {
  PgSession session = postgres.connect();
  const std::string pid = session.value("SELECT pg_backend_pid()");
  session.exec("SET synchronous_commit = on");
  std::thread writer([&] { session.exec(sql); });
  try {
    wait_until([&] { return says(walferry.log(), "not visible yet"); }, seconds(60),
               "walferry says what it waits for");
  } catch (const std::exception& late) {
    ADD_FAILURE() << late.what();
  }
  postgres.connect().exec("SELECT pg_cancel_backend(" + pid + ")");  // the wait, not the commit
  writer.join();
}

}  // namespace scenarios
