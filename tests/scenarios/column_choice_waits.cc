// What is masked stays masked when walferry reads of a changed table before anyone can see the
// change: its transaction's commit is in WAL, and waits for a standby that there is none of.
#include "tests/scenarios/choice_rig.h"
#include "tests/scenarios/unseen_commit.h"

namespace scenarios {
namespace {

class ColumnChoiceWaits : public ChoiceScenario {
 protected:
  ColumnChoiceWaits() : ChoiceScenario(commits_can_wait()) {}
};

// By today's catalog, which is of before, there are both: the masked column, and one by the name
// that it has now.
TEST_F(ColumnChoiceWaits, AMaskedColumnUnderTheNameOfAnotherIsNotShown) {
  exec("CREATE TABLE t (id int PRIMARY KEY, v text, secret text)");
  choose("t", "mask = { secret = \"hash\" }");
  walferry_.start();
  wait_streaming();
  commit_unseen(postgres_, walferry_,
                "BEGIN; ALTER TABLE t DROP v; ALTER TABLE t RENAME secret TO v;"
                "INSERT INTO t VALUES (1, 'hush'); COMMIT");
  EXPECT_EQ(walferry_.wait_exit().code, 3) << walferry_.log();
  EXPECT_TRUE(says(walferry_.log(), "no column \"secret\", which its mask or exclude names"))
      << walferry_.log();
  for (const Stored& stored : js().read("CDC")) {
    EXPECT_EQ(stored.payload.find("hush"), std::string::npos) << stored.payload;
  }
}

}  // namespace
}  // namespace scenarios
