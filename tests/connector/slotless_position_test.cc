#include "connector/slotless_position.h"

#include <gtest/gtest.h>

#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

publisher::StoredMessage message(std::uint64_t sequence, const std::string& id) {
  return {.sequence = StreamSequence(sequence),
          .subject = "events.a.b",
          .headers = id.empty() ? std::map<std::string, std::string>()
                                : std::map<std::string, std::string>{{"Nats-Msg-Id", id}},
          .payload = "",
          .time = ""};
}

SlotlessObserved observed(std::uint64_t last) {
  SlotlessObserved seen{.saved = {},
                        .capture = "poll",
                        .slot = "w",
                        .stream_name = "CDC",
                        .stream = {},
                        .window = {},
                        .system_id = "7",
                        .timeline = pg::Timeline(1),
                        .settings = "s"};
  seen.stream.created = "then";
  seen.stream.first = StreamSequence(1);
  seen.stream.last = StreamSequence(last);
  for (std::uint64_t i = 1; i <= last; ++i) {
    seen.window.push_back(message(i, "w:1:poll:" + std::to_string(i)));
  }
  return seen;
}

SlotlessPosition saved(std::uint64_t last) {
  return {.capture = "poll",
          .stream_created = "then",
          .last = StreamSequence(last),
          .accepted = {},
          .system_id = "7",
          .timeline = pg::Timeline(1),
          .settings = "s",
          .work = {{"n", 1}}};
}

// What it stops with.
Exit stops(const SlotlessObserved& seen) {
  try {
    decide_slotless(seen);
    return Exit::done;
  } catch (const Stop& stop) {
    return stop.code();
  }
}

TEST(SlotlessPosition, IsReadAsItWasWritten) {
  const SlotlessPosition position = saved(9);
  EXPECT_EQ(parse_slotless_position(to_json(position), "poll"), position);
}

TEST(SlotlessPosition, OfAnotherCaptureIsALostPosition) {
  EXPECT_THROW(parse_slotless_position(to_json(saved(9)), "diff"), Stop);
  EXPECT_THROW(parse_slotless_position(R"({"version":1,"state":"position"})", "poll"), Stop);
  EXPECT_THROW(parse_slotless_position("{}", "poll"), Stop);
}

TEST(DecideSlotless, AFirstStartBeginsAnEmptyStream) {
  const SlotlessResume resume = decide_slotless(observed(0));
  EXPECT_FALSE(resume.tail);
  EXPECT_TRUE(resume.position.work.is_null());
  EXPECT_EQ(resume.position.stream_created, "then");
}

TEST(DecideSlotless, GoesOnBehindTheTail) {
  SlotlessObserved seen = observed(5);
  seen.saved = saved(3);
  const SlotlessResume resume = decide_slotless(seen);
  EXPECT_EQ(resume.tail_id, "1:poll:5");
  EXPECT_EQ(resume.position.last, StreamSequence(5));
  EXPECT_FALSE(resume.went_back);
  EXPECT_FALSE(resume.anew);
}

TEST(DecideSlotless, AShorterStreamHasGoneBack) {
  SlotlessObserved seen = observed(2);
  seen.saved = saved(3);
  const SlotlessResume resume = decide_slotless(seen);
  EXPECT_TRUE(resume.went_back);
  EXPECT_EQ(resume.tail_id, "1:poll:2");
  EXPECT_FALSE(resume.notes.empty());
}

TEST(DecideSlotless, AnotherServerIsALostPosition) {
  SlotlessObserved seen = observed(2);
  seen.saved = saved(2);
  seen.system_id = "8";
  EXPECT_EQ(stops(seen), Exit::position_lost);
  seen.accept_gap = true;
  const SlotlessResume resume = decide_slotless(seen);
  EXPECT_TRUE(resume.anew);
  EXPECT_TRUE(resume.position.work.is_null());
  EXPECT_FALSE(resume.former_work.is_null());
  EXPECT_EQ(resume.newest_id, "1:poll:2");
  EXPECT_FALSE(resume.tail);
}

TEST(DecideSlotless, AStreamMadeAnewIsALostPosition) {
  SlotlessObserved seen = observed(0);
  seen.saved = saved(2);
  seen.stream.created = "later";
  EXPECT_EQ(stops(seen), Exit::position_lost);
  seen.saved->accepted = StreamSequence(2);  // a foreign message, behind one of ours
  EXPECT_EQ(stops(seen), Exit::position_lost);
  seen.accept_gap = true;
  EXPECT_TRUE(decide_slotless(seen).anew);
}

TEST(DecideSlotless, RecordsWithoutASavedPositionAreALostPosition) {
  SlotlessObserved seen = observed(2);
  EXPECT_EQ(stops(seen), Exit::position_lost);
}

TEST(DecideSlotless, SomebodyElsesStreamIsRefused) {
  SlotlessObserved seen = observed(1);
  seen.window = {message(1, "")};
  EXPECT_EQ(stops(seen), Exit::precondition);
  seen.window = {message(1, "other:1:poll:1")};
  EXPECT_EQ(stops(seen), Exit::precondition);
}

TEST(DecideSlotless, AForeignMessageIsNamedOnceAndThenAccepted) {
  SlotlessObserved seen = observed(2);
  seen.saved = saved(2);
  seen.window.push_back(message(3, ""));
  seen.stream.last = StreamSequence(3);
  EXPECT_EQ(stops(seen), Exit::position_lost);
  seen.accept_gap = true;
  const SlotlessResume accepted = decide_slotless(seen);
  EXPECT_EQ(accepted.tail_id, "1:poll:2");
  EXPECT_EQ(accepted.position.accepted, StreamSequence(3));
  seen.accept_gap = false;
  seen.saved = accepted.position;
  EXPECT_EQ(stops(seen), Exit::done);
}

TEST(DecideSlotless, AnotherTimelineIsLeftToTheCapture) {
  SlotlessObserved seen = observed(2);
  seen.saved = saved(2);
  seen.timeline = pg::Timeline(2);
  const SlotlessResume resume = decide_slotless(seen);
  EXPECT_TRUE(resume.other_timeline);
  EXPECT_EQ(resume.position.timeline, pg::Timeline(2));
}

}  // namespace
}  // namespace connector
