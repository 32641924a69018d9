// Each way in which a slot, a stream and a saved position can disagree and that mends itself: what
// is decided. resume_stops_test.cc has those that stop.
#include "connector/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connector/observed.h"

namespace connector {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void make_virgin(Observed& seen) {
  seen.window.clear();
  seen.stream.last = StreamSequence(0);
  seen.stream.messages = 0;
}

SavedPosition intent() {
  SavedPosition saved;
  saved.intent = true;
  return saved;
}

// ---- Nothing disagrees

TEST(Resume, AgreeingSidesGoOnBehindTheTail) {
  const Observed seen = agreeing();
  const Resume plan = decide(seen);
  EXPECT_FALSE(plan.create_slot);
  EXPECT_FALSE(plan.drop_slot);
  EXPECT_THAT(plan.notes, IsEmpty());
  EXPECT_EQ(plan.saved, *seen.saved);
  EXPECT_EQ(plan.start, pg::Lsn(0x1000)) << "one window before the tail";
  EXPECT_EQ(plan.known.stored.size(), 10U);
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(100));
  EXPECT_EQ(plan.known.last, StreamSequence(100));
  EXPECT_EQ(plan.known.strict_from, StreamSequence(1));
}

TEST(Resume, TailInTheStreamBeatsAnOlderSavedOne) {
  Observed seen = agreeing();
  seen.saved->last = StreamSequence(95);
  seen.saved->tail = at(0x1400);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(100));
  EXPECT_THAT(plan.notes, IsEmpty());
}

TEST(Resume, SavedTailCountsWhereTheLastMessageWasPurged) {
  Observed seen = agreeing();
  seen.window.resize(7);  // 98 to 100 are gone, the sequence stays
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(100));
  EXPECT_EQ(plan.start, pg::Lsn(0x1000));
  EXPECT_THAT(plan.notes, IsEmpty());
}

TEST(Resume, SavedTailCountsWhereAllHasExpired) {
  Observed seen = agreeing();
  seen.window.clear();
  seen.saved->last = StreamSequence(97);
  seen.saved->tail = at(0x1600);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x1600));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(97));
  EXPECT_EQ(plan.known.last, StreamSequence(100)) << "three WAL records more";
  EXPECT_EQ(plan.start, pg::Lsn(0x1600));
}

TEST(Resume, SlotBehindTheSavedPositionIsACrashBeforeTheConfirm) {
  Observed seen = agreeing();
  seen.slot->confirmed = pg::Lsn(0x800);
  EXPECT_THAT(decide(seen).notes, IsEmpty());
}

// ---- First starts

TEST(Resume, FirstStartMakesASlot) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.saved.reset();
  seen.slot.reset();
  const Resume plan = decide(seen);
  EXPECT_TRUE(plan.create_slot);
  EXPECT_FALSE(plan.drop_slot);
  EXPECT_THAT(plan.notes, IsEmpty());
  EXPECT_EQ(plan.saved.settings_from, StreamSequence(1));
  EXPECT_EQ(plan.saved.stream_created, "then");
  EXPECT_EQ(plan.saved.system_id, seen.system_id);
  EXPECT_TRUE(Reread(plan.known).done());
}

TEST(Resume, IntentWithoutASlotMakesIt) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.saved = intent();
  seen.slot.reset();
  const Resume plan = decide(seen);
  EXPECT_TRUE(plan.create_slot);
  EXPECT_FALSE(plan.saved.intent);
}

TEST(Resume, IntentWithASlotIsOurSlot) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.saved = intent();
  const Resume plan = decide(seen);
  EXPECT_FALSE(plan.create_slot);
  EXPECT_FALSE(plan.saved.intent);
  EXPECT_EQ(plan.saved.origin, pg::Lsn(0x900));
  EXPECT_EQ(plan.saved.confirmed, pg::Lsn(0x900));
  EXPECT_TRUE(Reread(plan.known).done());
}

TEST(Resume, AdoptedSlotBeginsWhereItStands) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.saved.reset();
  seen.adopt = true;
  const Resume plan = decide(seen);
  EXPECT_FALSE(plan.create_slot);
  EXPECT_EQ(plan.saved.origin, pg::Lsn(0x900));
  EXPECT_EQ(plan.saved.confirmed, pg::Lsn(0x900));
  EXPECT_EQ(plan.saved.stream_created, "then");
}

TEST(Resume, AdoptedSlotGoesOnBehindTheRecordsThatAreThere) {
  Observed seen = agreeing();
  seen.saved.reset();
  seen.adopt = true;
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(100));
  EXPECT_EQ(plan.start, pg::Lsn(0x1000));
  EXPECT_EQ(plan.known.strict_from, StreamSequence(101)) << "who knows under which settings";
}

// ---- What mends itself

TEST(Resume, TimelineWithoutLossIsANote) {
  Observed seen = agreeing();
  seen.timeline = pg::Timeline(3);
  seen.fork = pg::Lsn(0x1A00);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("timeline 1 to 3 at 0/1A00")));
  EXPECT_EQ(plan.saved.timeline, pg::Timeline(3));
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.stored.size(), 10U);
}

TEST(Resume, StreamMadeAnewIsFilledAgainWhileTheSlotHasAll) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.stream.created = "now";
  confirm(seen, 0x100);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("made anew; reading WAL again from 0/100")));
  EXPECT_EQ(plan.start, pg::Lsn());
  EXPECT_EQ(plan.saved.stream_created, "now");
  EXPECT_EQ(plan.saved.tail, pg::Position{});
  EXPECT_EQ(plan.saved.last, StreamSequence(0));
  EXPECT_EQ(plan.saved.settings_from, StreamSequence(1));
  EXPECT_FALSE(Reread(plan.known).is_stored(at(0x1000))) << "published again";
}

TEST(Resume, StreamMadeAnewBeforeAnythingWasStoredIsNoLoss) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.stream.created = "now";
  seen.saved->last = StreamSequence(0);
  seen.saved->tail = pg::Position{};
  EXPECT_FALSE(stop_of(seen).has_value());
}

TEST(Resume, ShorterStreamIsMendedFromItsTail) {
  Observed seen = agreeing();
  cut_stream(seen, 95);
  confirm(seen, 0x1400);  // where the commit record of the tail begins: it is sent again
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(AllOf(HasSubstr("ends at message 95, and had 100"),
                                            HasSubstr("1400:1"))));
  EXPECT_EQ(plan.known.anchor, at(0x1400));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(95));
  EXPECT_EQ(plan.saved.last, StreamSequence(95));
  EXPECT_EQ(plan.saved.tail, at(0x1400));
}

// On a quiet stream the slot passes its tail: keepalives move it.
TEST(Resume, ShorterStreamBehindTheSlotIsMendedWhileItHasWhatTheSlotRestsOn) {
  Observed seen = agreeing();
  cut_stream(seen, 95);
  confirm(seen, 0x14F0, 95);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(AllOf(HasSubstr("ends at message 95, and had 100"),
                                            HasSubstr("1400:1"))));
  EXPECT_EQ(plan.known.anchor, at(0x1400));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(95));
  EXPECT_EQ(plan.saved.confirmed, pg::Lsn(0x14F0));
  EXPECT_EQ(plan.saved.rests_on, StreamSequence(95));
  EXPECT_FALSE(plan.saved.stored.valid()) << "96 and later are stored no more";
  Reread reread(plan.known);
  EXPECT_FALSE(reread.is_stored(at(0x1500))) << "96 is published again";
}

// What is gone behind the message that the slot rests on was committed behind the slot.
TEST(Resume, ShorterStreamThatHasExpiredIsCountedFromWhatTheSlotRestsOn) {
  Observed seen = agreeing();
  cut_stream(seen, 97);
  seen.window.clear();
  seen.stream.first = StreamSequence(98);
  confirm(seen, 0x14F0, 95);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.saved.tail, at(0x14F0, 0));
  EXPECT_EQ(plan.saved.last, StreamSequence(95));
  Reread reread(plan.known);
  EXPECT_TRUE(reread.is_stored(at(0x1500))) << "96 was stored, and has expired";
  EXPECT_TRUE(reread.is_stored(at(0x1600)));
  EXPECT_FALSE(reread.is_stored(at(0x1700))) << "98 was lost";
}

TEST(Resume, ShorterStreamWithoutItsTailIsNotCountedFromBeforeTheSlot) {
  Observed seen = agreeing();
  cut_stream(seen, 95);
  seen.window.pop_back();  // 95 itself was purged
  confirm(seen, 0x14F0, 95);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x14F0, 0));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(95));
  EXPECT_FALSE(Reread(plan.known).is_stored(at(0x1500))) << "96 is not taken for 95";
}

// A position that nothing was confirmed behind may be the server's very end.
TEST(Resume, APositionAtTheServersEndIsWithinItsWal) {
  Observed seen = agreeing();
  cut_stream(seen, 95);
  seen.window.clear();
  seen.saved->last = StreamSequence(95);
  seen.saved->tail = at(0x14F0, 0);
  confirm(seen, 0x14F0, 95);
  seen.wal_end = pg::Lsn(0x14F0);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, IsEmpty());
  Reread reread(plan.known);
  reread.passed(pg::Lsn(0x14F0));
  EXPECT_TRUE(reread.done()) << "an idle server's keepalive is enough";
  seen.wal_end = pg::Lsn(0x14EF);
  EXPECT_TRUE(stop_of(seen).has_value());
}

TEST(Resume, StreamMadeAnewWhileTheSlotRestsOnNothingLacksNothing) {
  Observed seen = agreeing();
  make_virgin(seen);
  seen.stream.created = "now";
  confirm(seen, 0x900, 0);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("made anew; reading WAL again from 0/900")));
  EXPECT_FALSE(Reread(plan.known).is_stored(at(0x1000))) << "published again";
}

TEST(Resume, ShorterStreamThatLostItsTailToo) {
  Observed seen = agreeing();
  cut_stream(seen, 95);
  seen.window.pop_back();  // 95 itself was purged
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x1300));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(94));
  EXPECT_EQ(plan.known.last, StreamSequence(95)) << "one record behind the anchor is stored";
}

TEST(Resume, SlotAheadOfSavedIsMendedWhereItReachesTheTail) {
  Observed seen = agreeing();
  seen.slot->confirmed = pg::Lsn(0x1200);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("confirmed up to 0/1200")));
  EXPECT_GE(plan.saved.confirmed, pg::Lsn(0x1200));
  EXPECT_EQ(plan.known.anchor, at(0x1900));
}

// The saved position went back, and so perhaps did the stream, but not behind it.
TEST(Resume, SlotAheadOfSavedLacksNothingOfWhatWasStoredThen) {
  Observed seen = agreeing();
  seen.slot->confirmed = pg::Lsn(0x1980);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("confirmed up to 0/1980")));
  EXPECT_EQ(plan.saved.confirmed, pg::Lsn(0x1980));
  EXPECT_EQ(plan.saved.rests_on, std::nullopt) << "that is saved no more";
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(100));
}

TEST(Resume, SlotAheadOfSavedIsCountedFromTheSavedTailWhereAllHasExpired) {
  Observed seen = agreeing();
  seen.slot->confirmed = pg::Lsn(0xA00);
  seen.window.clear();
  seen.stream.last = StreamSequence(101);
  seen.stream.first = StreamSequence(102);
  const Resume plan = decide(seen);
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.known.anchor_sequence, StreamSequence(100));
  Reread reread(plan.known);
  EXPECT_TRUE(reread.is_stored(at(0x1A00))) << "101";
  EXPECT_FALSE(reread.is_stored(at(0x1B00)));
}

TEST(Resume, MarksBeyondAShorterStreamAreTakenBack) {
  Observed seen = agreeing();
  cut_stream(seen, 95);
  confirm(seen, 0x100);
  seen.saved->settings_from = StreamSequence(98);
  seen.saved->accepted = StreamSequence(97);
  const Resume plan = decide(seen);
  EXPECT_LE(plan.saved.settings_from, StreamSequence(96));
  EXPECT_LE(plan.saved.accepted, StreamSequence(95));
}

TEST(Resume, ChangedSettingsHoldFromTheNextMessageOn) {
  Observed seen = agreeing();
  seen.settings = "{\"tables\":[]}";
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("from message 101 on")));
  EXPECT_EQ(plan.saved.settings, seen.settings);
  EXPECT_EQ(plan.saved.settings_from, StreamSequence(101));
  EXPECT_EQ(plan.known.strict_from, StreamSequence(101));
}

// ---- Foreign messages

TEST(Resume, ForeignMessageAmongOursIsLeftToReread) {
  Observed seen = agreeing();
  seen.window[5] = foreign(96);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, IsEmpty());
  EXPECT_EQ(plan.known.anchor, at(0x1900));
  EXPECT_EQ(plan.start, pg::Lsn(0x1000));
  EXPECT_FALSE(Reread(plan.known).done());
}

TEST(Resume, ForeignMessagesAcceptedBeforeAreNotSeenAgain) {
  Observed seen = agreeing();
  seen.window[5] = foreign(96);
  seen.saved->accepted = StreamSequence(96);
  const Resume plan = decide(seen);
  EXPECT_THAT(plan.notes, IsEmpty());
  EXPECT_EQ(plan.known.stored.size(), 4U);
  EXPECT_EQ(plan.known.strict_from, StreamSequence(97));
  EXPECT_EQ(plan.start, pg::Lsn(0x1600));
}

}  // namespace
}  // namespace connector
