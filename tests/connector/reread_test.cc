// Reading again what is stored, over random pasts: what Reread says of each record is what the
// model knows.
#include "connector/reread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connector/wal_and_stream.h"

namespace connector {
namespace {

constexpr std::uint32_t pasts = 10'000;

// What decide() makes of it, and then Reread, against what the model knows.
void expect_split_at_the_tail(const WalAndStream& past) {
  const Observed seen = past.observed();
  const Resume plan = decide(seen);
  EXPECT_TRUE(plan.notes.empty());
  Reread reread(plan.known);
  const auto answers = past.read(reread, past.first_sent(seen, plan.start));
  ASSERT_FALSE(answers.stop.has_value()) << answers.stop->what();
  for (const auto& [position, is_stored] : answers.records) {
    ASSERT_EQ(is_stored, past.is_in_stream(position)) << to_string(position);
  }
  if (past.stored == past.records.size()) return;
  ASSERT_FALSE(answers.records.empty());
  EXPECT_LE(answers.records.front().first, past.records[past.stored]) << "nothing is left out";
  EXPECT_TRUE(reread.done());
}

template <class Change>
void for_random_pasts(Change change) {
  for (std::uint32_t seed = 0; seed < pasts; ++seed) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "seed " + std::to_string(seed));
    WalAndStream past(seed);
    change(past);
    expect_split_at_the_tail(past);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Reread, SplitsExactlyAtTheTail) {
  for_random_pasts([](WalAndStream&) {});
}

TEST(Reread, SplitsExactlyWhereTheOldestHaveExpired) {
  for_random_pasts([](WalAndStream& past) { past.expire(past.pick(0, past.stored)); });
}

TEST(Reread, SplitsExactlyWhereTheNewestWerePurged) {
  for_random_pasts([](WalAndStream& past) { past.purge_newest(past.pick(0, past.stored)); });
}

TEST(Reread, SplitsExactlyAmongDeletedMessages) {
  for_random_pasts([](WalAndStream& past) { past.delete_some(); });
}

// Under other settings than today's: some of what is stored WAL would not yield now, and the other
// way round.
TEST(Reread, SplitsExactlyAfterAChangeOfSettings) {
  for (std::uint32_t seed = 0; seed < pasts; ++seed) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "seed " + std::to_string(seed));
    WalAndStream past(seed);
    Observed seen = past.observed();
    seen.settings = "{\"changed\":true}";
    const Resume plan = decide(seen);
    Reread reread(plan.known);
    const pg::Position tail = past.stored == 0 ? pg::Position{} : past.records[past.stored - 1];
    for (auto& transaction : past.wal) {
      for (WalChange& change : transaction) change.captured = past.pick(0, 1) == 0;
    }
    const auto answers = past.read(reread, past.first_sent(seen, plan.start));
    ASSERT_FALSE(answers.stop.has_value()) << answers.stop->what();
    for (const auto& [position, is_stored] : answers.records) {
      ASSERT_EQ(is_stored, position <= tail) << to_string(position);
    }
  }
}

// ---- By hand

Reread::Known three_stored() {
  Reread::Known known;
  known.stored = {ours(101, at(0x1000, 1)), ours(102, at(0x1000, 2)), ours(103, at(0x2000, 1))};
  known.anchor_sequence = known.last = StreamSequence(103);
  known.anchor = at(0x2000, 1);
  return known;
}

TEST(Reread, AHoleBetweenStoredMessagesIsAnErrorUnlessTheStreamMakesThem) {
  Reread::Known known = three_stored();
  known.stored.erase(known.stored.begin() + 1);
  const auto read = [&] {
    Reread reread(known);
    EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
    EXPECT_TRUE(reread.is_stored(at(0x1000, 2)));
    EXPECT_TRUE(reread.is_stored(at(0x2000, 1)));
    EXPECT_FALSE(reread.is_stored(at(0x2000, 2)));
    return reread.accepted();
  };
  EXPECT_THROW(read(), Stop);
  known.accept = true;
  EXPECT_EQ(read().size(), 1U);
  known.accept = false;
  known.thinned = true;
  EXPECT_TRUE(read().empty());
}

// The last message deleted: the saved position counts.
TEST(Reread, ADeletedLastMessageIsCounted) {
  Reread::Known known = three_stored();
  known.stored.pop_back();
  Reread reread(known);
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 2)));
  EXPECT_TRUE(reread.is_stored(at(0x2000, 1)));
  EXPECT_FALSE(reread.is_stored(at(0x2000, 2)));
}

TEST(Reread, VirginStreamHasNothingToRead) {
  Reread reread({});
  EXPECT_TRUE(reread.done());
  EXPECT_FALSE(reread.is_stored(at(1)));
}

TEST(Reread, TransactionStoredInPartGoesOnAtTheNextOrdinal) {
  Reread reread(three_stored());
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 2)));
  EXPECT_TRUE(reread.is_stored(at(0x2000, 1)));
  EXPECT_FALSE(reread.done());
  EXPECT_FALSE(reread.is_stored(at(0x2000, 2)));
  EXPECT_TRUE(reread.done());
}

TEST(Reread, RecordsBehindAPurgedTailAreCounted) {
  Reread::Known known;
  known.anchor = at(0x1000, 1);
  known.anchor_sequence = StreamSequence(50);
  known.last = StreamSequence(52);
  known.first = StreamSequence(53);
  Reread reread(known);
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 2)));
  EXPECT_TRUE(reread.is_stored(at(0x1800, 1)));
  EXPECT_FALSE(reread.is_stored(at(0x1800, 2)));
}

// A foreign message that was deleted again leaves a hole like one of ours.
TEST(Reread, MessagesDeletedBehindTheTailAreNotTakenForRecords) {
  Reread::Known known = three_stored();
  known.last = StreamSequence(105);
  known.first = StreamSequence(90);
  const auto read = [&] {
    Reread reread(known);
    EXPECT_TRUE(reread.is_stored(at(0x2000, 1)));
    return reread.is_stored(at(0x3000, 1));
  };
  EXPECT_THROW(read(), Stop);
  known.accept = true;
  EXPECT_FALSE(read()) << "nothing may be lost";
}

// What is committed after the stream was looked at cannot be in it, whatever is gone from it.
TEST(Reread, WhatIsCommittedLaterIsNotTakenForStored) {
  Reread::Known known = three_stored();
  known.last = StreamSequence(105);
  known.first = StreamSequence(106);
  known.stored.clear();
  known.wal_end = pg::Lsn(0x3000);
  Reread counted(known);
  EXPECT_TRUE(counted.is_stored(at(0x2F00, 1)));
  EXPECT_THROW(counted.is_stored(at(0x3000, 1)), Stop);
  Reread idle(known);
  idle.passed(pg::Lsn(0x2FFF));
  EXPECT_FALSE(idle.done());
  EXPECT_THROW(idle.passed(pg::Lsn(0x3000)), Stop);
}

TEST(Reread, RecordsOfOtherSettingsCannotBeCounted) {
  Reread::Known known;
  known.anchor = at(0x1000, 1);
  known.anchor_sequence = StreamSequence(50);
  known.last = StreamSequence(52);
  known.strict_from = StreamSequence(53);
  Reread reread(known);
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  EXPECT_THROW(reread.is_stored(at(0x1800, 1)), Stop);
}

TEST(Reread, TailThatWalDoesNotHoldIsSeenUnderOtherSettingsToo) {
  Reread::Known known = three_stored();
  known.strict_from = StreamSequence(104);
  Reread reread(known);
  reread.saw_change(at(0x1000, 1));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  reread.saw_change(at(0x3000, 1));
  EXPECT_THROW(reread.is_stored(at(0x3000, 1)), Stop);
}

TEST(Reread, TailOfATableThatIsCapturedNoLongerIsNoLoss) {
  Reread::Known known = three_stored();
  known.strict_from = StreamSequence(104);
  Reread reread(known);
  reread.saw_change(at(0x1000, 1));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  reread.saw_change(at(0x2000, 1));  // and no record
  reread.saw_change(at(0x3000, 1));
  EXPECT_FALSE(reread.is_stored(at(0x3000, 1)));
}

TEST(Reread, ForeignMessageIsToldWhenTheTailIsPassedWithoutANewRecord) {
  Reread::Known known = three_stored();
  known.stored[1].position.reset();
  Reread reread(known);
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 2)));
  EXPECT_TRUE(reread.is_stored(at(0x2000, 1)));
  EXPECT_NO_THROW(reread.passed(pg::Lsn(0x2000)));  // that transaction is yet to come
  EXPECT_THROW(reread.passed(pg::Lsn(0x2001)), Stop);
}

TEST(Reread, AcceptedForeignMessageIsPassedAndWhatItReplacedIsKnown) {
  Reread::Known known = three_stored();
  known.stored[1].position.reset();
  known.accept = true;
  Reread reread(known);
  EXPECT_TRUE(reread.is_stored(at(0x1000, 1)));
  EXPECT_TRUE(reread.is_stored(at(0x1000, 2)));
  EXPECT_TRUE(reread.is_stored(at(0x2000, 1)));
  reread.passed(pg::Lsn(0x2001));
  EXPECT_TRUE(reread.done());
  EXPECT_THAT(reread.accepted(),
              testing::ElementsAre(testing::HasSubstr("the place of " + to_string(at(0x1000, 2)))));
  EXPECT_FALSE(reread.is_stored(at(0x2000, 2)));
}

}  // namespace
}  // namespace connector
