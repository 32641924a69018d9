// What a snapshot-diff remembers beside its rounds: of which tables the stream has told.
#include "connector/diff_work.h"

#include <gtest/gtest.h>

namespace connector {
namespace {

DiffWork with_tables(int count) {
  DiffWork work;
  for (int i = 0; i < count; ++i) work.tables["\"public\".\"t" + std::to_string(i) + "\""] = {};
  return work;
}

TEST(DiffWork, IsReadAsItWasWritten) {
  DiffWork work = with_tables(2);
  work.again = {"\"public\".\"gone\""};
  work.others = true;
  work.rounds.push_back({.lsn = pg::Lsn(7), .base = publisher::StreamSequence(3), .end = {}});
  EXPECT_EQ(DiffWork::parse(work.to_json()).to_json(), work.to_json());
}

TEST(DiffWork, OfAnEarlierVersionRemembersNoTable) {
  auto json = with_tables(2).to_json();
  json.erase("again");
  json.erase("others");
  const DiffWork work = DiffWork::parse(json);
  EXPECT_TRUE(work.again.empty());
  EXPECT_FALSE(work.others);
}

TEST(DiffWork, RemembersATableThatLeavesUntilItHasBegunAgain) {
  DiffWork work = with_tables(2);
  const std::string left = "\"public\".\"t1\"";
  EXPECT_TRUE(work.leave_out({"\"public\".\"t0\""}, nullptr));
  EXPECT_FALSE(work.leave_out({"\"public\".\"t0\""}, nullptr));
  EXPECT_TRUE(work.again.contains(left));
  EXPECT_EQ(work.tables.size(), 1U);
  DiffManifest round;
  round.lsn = pg::Lsn(9);
  round.tables[left].restart = true;
  work.take_begun(round);
  EXPECT_TRUE(work.again.contains(left)) << "it was not read";
  round.tables[left] = {};
  round.tables[left].state = DiffStore::state_name(round.lsn, 1);
  work.take_begun(round);
  EXPECT_TRUE(work.again.empty());
}

TEST(DiffWork, DoesNotGrowByTablesThatCameAndWent) {
  DiffWork work = with_tables(5000);
  work.leave_out({"\"public\".\"t0\""}, nullptr);
  EXPECT_LT(work.again.size(), 1100U);
  EXPECT_TRUE(work.others) << "any table may be one of them";
}

TEST(DiffWork, LosesNothingOfWhatTheStreamHasTold) {
  DiffWork work = with_tables(1);
  work.rounds.push_back({.lsn = pg::Lsn(7), .base = {}, .end = {}});
  DiffManifest newest;
  newest.tables["\"public\".\"other\""].state = "x";
  work.lose_all(&newest);
  EXPECT_TRUE(work.restart);
  EXPECT_EQ(work.newest_lost, pg::Lsn(7));
  EXPECT_EQ(work.again.size(), 2U);
}

TEST(DiffManifest, IsReadAsItWasWritten) {
  DiffManifest manifest;
  manifest.lsn = pg::Lsn(9);
  manifest.max_message = 2048;
  manifest.messages = 5;
  DiffManifest::Table& table = manifest.tables["\"public\".\"t\""];
  table.settings = "0123";
  table.from = 1;
  table.to = 4;
  table.hidden.oid = 17;
  table.hidden.columns["secret"] = 3;
  const DiffManifest read = DiffManifest::parse(manifest.to_json());
  EXPECT_EQ(read.to_json(), manifest.to_json());
  EXPECT_EQ(read.tables.at("\"public\".\"t\"").hidden, table.hidden);
}

}  // namespace
}  // namespace connector
