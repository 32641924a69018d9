// What is masked stays masked when walferry reads of a changed table before anyone can see the
// change: its transaction's commit is in WAL, and waits for a standby that there is none of.
#include "tests/scenarios/choice_rig.h"

namespace scenarios {
namespace {

class ColumnChoiceWaits : public ChoiceScenario {
 protected:
  ColumnChoiceWaits()
      : ChoiceScenario(
            {.settings = {"synchronous_standby_names=nobody", "synchronous_commit=local"}}) {}
};

// By today's catalog, which is of before, there are both: the masked column, and one by the name
// that it has now.
TEST_F(ColumnChoiceWaits, AMaskedColumnUnderTheNameOfAnotherIsNotShown) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "mask = { secret = \"hash\" }");
  walferry_.start();
  wait_streaming();
  PgSession session = postgres_.connect();
  const std::string pid = session.value("SELECT pg_backend_pid()");
  session.exec("SET synchronous_commit = on");
  std::thread writer([&session] {
    session.exec(
        "BEGIN; ALTER TABLE t DROP v; ALTER TABLE t RENAME secret TO v;"
        "INSERT INTO t VALUES (1, 'hush'); COMMIT");
  });
  try {
    wait_until([this] { return says(walferry_.log(), "not visible yet"); }, seconds(60),
               "walferry says what it waits for");
  } catch (const std::exception& late) {
    ADD_FAILURE() << late.what();
  }
  exec("SELECT pg_cancel_backend(" + pid + ")");  // the wait, not the commit
  writer.join();
  EXPECT_EQ(walferry_.wait_exit().code, 3) << walferry_.log();
  EXPECT_TRUE(says(walferry_.log(), "no column \"secret\", which its mask or exclude names"))
      << walferry_.log();
  for (const Stored& stored : js().read("CDC")) {
    EXPECT_EQ(stored.payload.find("hush"), std::string::npos) << stored.payload;
  }
}

}  // namespace
}  // namespace scenarios
