// `run --from-lsn`: where a stream may begin, from what, and what stands in the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connector/observed.h"

namespace connector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A virgin stream, nothing saved, a slot at 0x900, asked to begin at 0x1500.
Observed virgin() {
  Observed seen = agreeing();
  seen.saved.reset();
  seen.window.clear();
  seen.stream.last = StreamSequence(0);
  seen.stream.messages = 0;
  seen.from_lsn = pg::Lsn(0x1500);
  seen.points = {{"walferry", pg::Lsn(0x900)}};
  return seen;
}

// The stream goes to 0x1900, and is asked to go on at 0x2000.
Observed skipping() {
  Observed seen = agreeing();
  seen.from_lsn = pg::Lsn(0x2000);
  seen.points = {{"walferry", pg::Lsn(0x900)}};
  return seen;
}

TEST(BeginAt, TheSlotReachesBack) {
  const Resume plan = decide(virgin());
  EXPECT_FALSE(plan.create_slot);
  EXPECT_EQ(plan.start, pg::Lsn(0x14FF)) << "sent is what commits at or after";
  EXPECT_EQ(plan.saved.origin, pg::Lsn(0x1500));
  EXPECT_EQ(plan.saved.confirmed, pg::Lsn(0x900));
  EXPECT_EQ(plan.saved.system_id, virgin().system_id);
  EXPECT_TRUE(plan.notes.empty());
  Reread reread(plan.known);
  reread.passed(pg::Lsn(0x1500));
  EXPECT_TRUE(reread.done());
}

// Behind a commit that begins at 0x14F8: that one is before it, and is not sent.
TEST(BeginAt, AnLsnWithinARecordIsBehindIt) {
  Observed seen = virgin();
  seen.from_lsn = pg::Lsn(0x14F9);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.start, pg::Lsn(0x14FF));
  EXPECT_EQ(plan.saved.origin, pg::Lsn(0x1500));
  seen.saved = plan.saved;
  EXPECT_EQ(decide(seen).saved, plan.saved) << "and the flag may stay";
}

TEST(BeginAt, TheNextStartGoesOnFromThere) {
  Observed seen = virgin();
  seen.saved = decide(seen).saved;
  for (const bool flag_left_in : {true, false}) {
    if (!flag_left_in) seen.from_lsn.reset();
    const Resume plan = decide(seen);
    EXPECT_EQ(plan.start, pg::Lsn(0x14FF));
    EXPECT_EQ(plan.saved, *seen.saved);
  }
  seen.stream.last = StreamSequence(2);
  seen.window = {ours(1, at(0x1500)), ours(2, at(0x1600))};
  EXPECT_EQ(decide(seen).known.anchor, at(0x1600)) << "and from its own records";
}

TEST(BeginAt, AStreamMadeAnewMeanwhileBeginsThereAgain) {
  Observed seen = virgin();
  seen.saved = decide(seen).saved;
  seen.from_lsn.reset();
  seen.stream.created = "now";
  EXPECT_EQ(decide(seen).start, pg::Lsn(0x14FF));
}

TEST(BeginAt, AMarkIsCopiedWhereTheSlotDoesNotReachBack) {
  Observed seen = virgin();
  seen.slot->confirmed = pg::Lsn(0x1600);
  seen.points = {{"walferry", pg::Lsn(0x1600)},
                 {"walferry_mark_a", pg::Lsn(0x200)},
                 {"walferry_mark_b", pg::Lsn(0x1500)}};
  Resume plan = decide(seen);
  EXPECT_TRUE(plan.create_slot && plan.drop_slot);
  EXPECT_EQ(plan.copy_of, "walferry_mark_b");
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("walferry_mark_b")));
  seen.slot.reset();
  seen.points.erase(seen.points.begin());
  plan = decide(seen);
  EXPECT_TRUE(plan.create_slot && !plan.drop_slot);
  EXPECT_EQ(plan.copy_of, "walferry_mark_b");
}

TEST(BeginAt, BelowTheOldestPointItStops) {
  Observed seen = virgin();
  seen.points = {{"walferry", pg::Lsn(0x1501)}, {"walferry_mark_a", pg::Lsn(0x1600)}};
  const auto stop = stop_of(seen);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->code(), Exit::position_lost);
  EXPECT_THAT(stop->what(), HasSubstr("0/1501"));
  seen.points.clear();
  seen.slot.reset();
  const auto nothing = stop_of(seen);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->code(), Exit::position_lost);
  EXPECT_THAT(nothing->what(), HasSubstr("neither slot \"walferry\" nor a mark"));
}

TEST(BeginAt, BeyondTheServersWalItStops) {
  Observed seen = virgin();
  seen.wal_end = pg::Lsn(0x14FF);
  EXPECT_EQ(stop_of(seen).value().code(), Exit::precondition);
}

TEST(BeginAt, SomebodyElsesStreamIsLeftAlone) {
  Observed seen = virgin();
  seen.stream.last = StreamSequence(1);
  seen.window = {foreign(1)};
  EXPECT_EQ(stop_of(seen).value().code(), Exit::precondition);
}

TEST(BeginAt, AStreamThatHoldsRecordsIsSkippedAheadOnlyWhenAccepted) {
  Observed seen = skipping();
  const auto stop = stop_of(seen);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->code(), Exit::position_lost);
  EXPECT_THAT(stop->what(), HasSubstr("after 0000000000001900:1"));
  EXPECT_THAT(stop->what(), HasSubstr("before 0/2000"));
  seen.accept_gap = true;
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.start, pg::Lsn(0x1FFF));
  EXPECT_EQ(plan.saved.accepted, StreamSequence(100));
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("accepted: ")));
  // Nor does what lies between come back at the next start.
  seen.saved = plan.saved;
  seen.from_lsn.reset();
  seen.accept_gap = false;
  EXPECT_EQ(decide(seen).start, pg::Lsn(0x1FFF));
}

TEST(BeginAt, WhatIsStoredIsNotStoredAgain) {
  for (const std::uint64_t lsn : {0x1000U, 0x1900U}) {
    Observed seen = skipping();
    seen.from_lsn = pg::Lsn(lsn);
    seen.accept_gap = true;
    EXPECT_EQ(stop_of(seen).value().code(), Exit::precondition) << lsn;
  }
  Observed expired = skipping();
  expired.window.clear();
  expired.from_lsn = pg::Lsn(0x1900);
  EXPECT_TRUE(stop_of(expired)) << "also where its records have expired";
}

TEST(BeginAt, WhatWasAcceptedAsOfAnotherHistoryDoesNotCount) {
  Observed seen = skipping();
  seen.saved->accepted = StreamSequence(100);
  seen.saved->tail = pg::Position{pg::Lsn(0x400), 0};
  seen.from_lsn = pg::Lsn(0x1500);
  seen.accept_gap = true;
  EXPECT_EQ(decide(seen).start, pg::Lsn(0x14FF));
}

// ---- The stream has lost what is saved as its tail

// It ends at message 95, at 0x1400, and had 100, up to 0x1900.
Observed shorter() {
  Observed seen = skipping();
  cut_stream(seen, 95);
  return seen;
}

TEST(BeginAt, AGapIsCountedFromWhatTheStreamStillHas) {
  Observed seen = shorter();
  const auto stop = stop_of(seen);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->code(), Exit::position_lost);
  for (const char* words : {"has lost", "ends at message 95, and had 100",
                            "after 0000000000001400:1", "before 0/2000"}) {
    EXPECT_THAT(stop->what(), HasSubstr(words));
  }
  seen.accept_gap = true;
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("after 0000000000001400:1")));
  EXPECT_EQ(plan.start, pg::Lsn(0x1FFF));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(95));
  EXPECT_EQ(plan.held, MessagePosition(at(0x1400))) << "shapes announced behind it are gone too";
}

TEST(BeginAt, BeyondAShorterStreamIsBehindWhatItHasAndNotWhatItHad) {
  Observed seen = shorter();
  seen.accept_gap = true;
  seen.from_lsn = pg::Lsn(0x1600);
  EXPECT_EQ(decide(seen).start, pg::Lsn(0x15FF));
  seen.from_lsn = pg::Lsn(0x1400);
  EXPECT_EQ(stop_of(seen).value().code(), Exit::precondition);
}

TEST(BeginAt, AShorterStreamWhoseRecordsHaveExpiredEndsWhereItsLastKnownMessageDoes) {
  Observed seen = shorter();
  seen.window.clear();
  seen.accept_gap = true;
  seen.from_lsn = pg::Lsn(0x900);
  EXPECT_EQ(stop_of(seen).value().code(), Exit::precondition) << "message 90 has all before";
  seen.from_lsn = pg::Lsn(0x1000);
  EXPECT_THAT(decide(seen).notes, ElementsAre(HasSubstr("after 0000000000000900:0")));
  cut_stream(seen, 89);
  EXPECT_THAT(decide(seen).notes, ElementsAre(HasSubstr("after 0000000000000100:0")))
      << "nothing is known but where it began";
}

TEST(BeginAt, AStreamThatHasLostAllMayBeginAtOrBeforeItsOrigin) {
  Observed seen = shorter();
  cut_stream(seen, 0);
  seen.saved->rests_on.reset();
  EXPECT_EQ(stop_of(seen).value().code(), Exit::position_lost);
  seen.points = {{"walferry", pg::Lsn(0x80)}};
  seen.from_lsn = pg::Lsn(0x80);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.start, pg::Lsn(0x7F));
  EXPECT_TRUE(plan.notes.empty());
}

TEST(BeginAt, AStreamThatIsCutToItsBeginningThereGoesOnThere) {
  Observed seen = skipping();
  seen.accept_gap = true;
  seen.saved = decide(seen).saved;
  seen.from_lsn.reset();
  seen.accept_gap = false;
  // Two records since, and both lost.
  seen.saved->last = StreamSequence(102);
  seen.saved->tail = at(0x2100);
  seen.saved->rests_on.reset();
  EXPECT_EQ(decide(seen).start, pg::Lsn(0x1FFF)) << "not where the slot is, before what is stored";
  // With some of those from before.
  cut_stream(seen, 98);
  const auto stop = stop_of(seen);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->code(), Exit::position_lost);
  EXPECT_THAT(stop->what(), HasSubstr("before 0/2000"));
  seen.accept_gap = true;
  EXPECT_EQ(decide(seen).start, pg::Lsn(0x1FFF));
}

}  // namespace
}  // namespace connector
