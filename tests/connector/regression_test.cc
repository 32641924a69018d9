// Ways to lose, double or wrongly refuse that are easy to build: each was found by review, and is
// kept from coming back here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "publisher/ack.h"
#include "tests/connector/wal_and_stream.h"

namespace connector {
namespace {

// A table was taken out of the configuration (messages 102, 103 were its last), then one record
// was published under the new settings (104), then walferry was restarted: false alarm, exit 4.
TEST(RereadRegression, TableRemovedThenRestartedTwice) {
  Reread::Known known;
  known.stored = {ours(101, at(0x1000)), ours(102, at(0x1100)), ours(103, at(0x1200)),
                  ours(104, at(0x1300))};
  known.anchor = at(0x1300);
  known.anchor_sequence = known.last = StreamSequence(104);
  known.strict_from = StreamSequence(104);
  Reread reread(known);
  for (auto lsn : {0x1000, 0x1100, 0x1200, 0x1300}) {
    const auto position = at(static_cast<std::uint64_t>(lsn));
    reread.saw_change(position);
    if (lsn == 0x1100 || lsn == 0x1200) continue;  // no longer captured
    EXPECT_NO_THROW(EXPECT_TRUE(reread.is_stored(position))) << to_string(position);
  }
}

// Deleted messages on both sides of the place where WAL begins: false alarm.
TEST(RereadRegression, DeletedMessagesAroundTheSlotsPosition) {
  for (std::uint32_t seed = 0; seed < 20'000; ++seed) {
    WalAndStream past(seed);
    past.delete_some();
    const Observed seen = past.observed();
    const Resume plan = decide(seen);
    Reread reread(plan.known);
    const auto answers = past.read(reread, past.first_sent(seen, plan.start));
    ASSERT_FALSE(answers.stop.has_value()) << "seed " << seed << ": " << answers.stop->what();
  }
}
TEST(RereadRegression, DeletedMessagesAroundTheSlotsPositionByHand) {
  Reread::Known known;
  // 103 was 0x1000:3, 104 was 0x2000:1, both deleted; the slot is confirmed behind 0x1000.
  known.stored = {ours(101, at(0x1000, 1)), ours(102, at(0x1000, 2)), ours(105, at(0x3000, 1))};
  known.anchor = at(0x3000, 1);
  known.anchor_sequence = known.last = StreamSequence(105);
  Reread reread(known);
  EXPECT_NO_THROW(reread.is_stored(at(0x2000, 1)));
  EXPECT_NO_THROW(reread.is_stored(at(0x3000, 1)));
}

// B: --accept-gap is named as the way out, and does not help.
TEST(RereadRegression, AcceptGapHelpsWhereStreamAndWalDisagree) {
  Observed seen = agreeing();
  const auto read = [&] {
    const Resume plan = decide(seen);
    Reread reread(plan.known);
    for (std::uint64_t lsn = 0x1000; lsn <= 0x1900; lsn += 0x80) reread.is_stored(at(lsn));
    reread.is_stored(at(0x3000));
  };
  EXPECT_THROW(read(), Stop);
  seen.accept_gap = true;
  EXPECT_NO_THROW(read());
}

// What is stored before the window is not missing.
TEST(RereadRegression, ForeignMessageAtTheHeadOfTheWindow) {
  Reread::Known known;  // 100 was 0x1000:1, ours; 101 should have been 0x1000:2
  known.stored = {foreign(101), ours(102, at(0x1000, 3))};
  known.anchor = at(0x1000, 3);
  known.anchor_sequence = known.last = StreamSequence(102);
  known.accept = true;
  Reread reread(known);
  for (std::uint64_t n = 1; n <= 4; ++n) reread.is_stored(at(0x1000, n));
  reread.is_stored(at(0x3000));
  ASSERT_EQ(reread.accepted().size(), 1U);
  EXPECT_EQ(reread.accepted()[0].find(to_string(at(0x1000, 1))), std::string::npos);
}

// The standby lost exactly the commit record of the stream's last transaction, which begins at
// the fork.
TEST(ResumeRegression, ForkAtTheTailsCommitRecordIsALoss) {
  Observed seen = agreeing();
  seen.timeline = pg::Timeline(2);
  seen.fork = pg::Lsn(0x1900);
  EXPECT_TRUE(stop_of(seen).has_value());
}

// After `teardown`, the same stream from a new server (its LSNs are lower), `run --accept-gap`.
TEST(ResumeRegression, NewSlotsRecordsAreNeverTakenForStored) {
  Observed seen = agreeing();
  seen.saved.reset();
  seen.slot.reset();
  seen.system_id = "42";
  seen.accept_gap = true;
  const Resume plan = decide(seen);
  EXPECT_TRUE(plan.create_slot);
  Reread reread(plan.known);
  EXPECT_FALSE(reread.is_stored(at(0x500))) << "a new row, skipped as if it were stored";
}

// What is confirmed later rests on the tail that was read, so the saved tail must be that one.
TEST(ResumeRegression, SavedTailIsTheOneThatWasRead) {
  Observed seen = agreeing();
  seen.saved->last = StreamSequence(95);
  seen.saved->tail = at(0x1400);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.saved.last, StreamSequence(100));
  EXPECT_EQ(plan.saved.tail, at(0x1900));
}

// The other server's slot is confirmed at 0x500; ours was at 0x900.
TEST(ResumeRegression, OtherServersSlotCanBeConfirmed) {
  Observed seen = agreeing();
  seen.system_id = "42";
  seen.slot->confirmed = pg::Lsn(0x500);
  seen.accept_gap = true;
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.saved.confirmed, pg::Lsn(0x500)) << "else nothing is confirmed below 0x900";
  EXPECT_EQ(plan.saved.origin, pg::Lsn(0x500));
}

// An older copy of the key, and a stream made anew: all from 0x100 to 0x900 is in no stream.
TEST(ResumeRegression, StreamMadeAnewAndAnOldSavedPosition) {
  Observed seen = agreeing();
  seen.saved->tail = {};
  seen.saved->last = {};
  seen.saved->confirmed = seen.saved->origin = pg::Lsn(0x100);
  seen.stream.created = "now";
  seen.stream.last = StreamSequence(0);
  seen.window.clear();
  EXPECT_TRUE(stop_of(seen).has_value());
}

// Adopted, the last messages purged: what is in the window is published again.
TEST(ResumeRegression, AdoptedSlotAndAPurgedTail) {
  Observed seen = agreeing();
  seen.saved.reset();
  seen.adopt = true;
  seen.window.resize(7);
  try {
    const Resume plan = decide(seen);
    Reread reread(plan.known);
    EXPECT_TRUE(reread.is_stored(at(0x1000))) << "message 91, which is there";
  } catch (const Stop&) {
  }
}

// A foreign responder on the subject answers; nats.c's thread must not see an exception.
TEST(AckRegression, AnswersOfStrangersNeverThrow) {
  for (const char* text :
       {R"({"seq":"x"})", R"({"seq":1,"duplicate":"y"})", R"({"error":{"code":"x"}})",
        R"({"error":{"err_code":1,"description":2}})"}) {
    EXPECT_NO_THROW(publisher::parse_ack(text)) << text;
  }
  EXPECT_NE(publisher::parse_ack(R"({"seq":1.5})").error, 0);
  EXPECT_NE(publisher::parse_ack(R"({"seq":-1})").error, 0);
  EXPECT_TRUE(publisher::parse_ack(R"({"duplicate":true,"seq":42})").duplicate);
}

}  // namespace
}  // namespace connector
