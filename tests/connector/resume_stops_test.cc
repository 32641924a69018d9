// Each disagreement that stops: its exit code, what is said, and what `--accept-gap` makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "connector/resume.h"
#include "tests/connector/observed.h"

namespace connector {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Case {
  const char* name;
  std::function<void(Observed&)> change;
  std::vector<std::string> says;  // each in what() or hint()
  bool acceptable = true;         // `--accept-gap` goes on
  Exit code = Exit::position_lost;
};

void no_saved(Observed& s) { s.saved.reset(); }
void no_slot(Observed& s) { s.slot.reset(); }
void virgin(Observed& s) { s.window.clear(), s.stream.last = StreamSequence(0); }
void other_server(Observed& s) { s.system_id = "42"; }
void forked(Observed& s, std::uint64_t lsn) {
  s.timeline = pg::Timeline(2);
  s.fork = pg::Lsn(lsn);
}
void adopt(Observed& s) { no_saved(s), s.adopt = true; }

std::vector<Case> first_starts() {
  return {
      {"slot made by hand",
       [](Observed& s) { no_saved(s), virgin(s); },
       {"slot \"walferry\"", "0/900", "--adopt"},
       false},
      {"saved position gone", no_saved, {"no position is saved", "--adopt"}, false},
      {"saved position and slot gone",
       [](Observed& s) { no_saved(s), no_slot(s); },
       {"0000000000001900:1", "neither"}},
      {"adopted slot begins behind the records",
       [](Observed& s) { adopt(s), s.slot->confirmed = pg::Lsn(0x1A00); },
       {"0000000000001900:1", "0/1A00"}},
      {"adopted slot is lost",
       [](Observed& s) { adopt(s), s.slot->wal_status = "lost"; },
       {"invalidated"}},
      {"somebody else's stream at the first start",
       [](Observed& s) {
         no_saved(s), no_slot(s), s.window = {foreign(99), foreign(100)};
       },
       {"not walferry's", "100", "stream.name"},
       false,
       Exit::precondition},
  };
}

std::vector<Case> lost_by_postgres() {
  return {
      {"slot dropped", no_slot, {"slot \"walferry\" is gone", "1900:1"}},
      {"slot invalidated",
       [](Observed& s) { s.slot->wal_status = "lost"; },
       {"invalidated", "max_slot_wal_keep_size", "1900:1"}},
      {"slot without a position", [](Observed& s) { s.slot->confirmed.reset(); }, {"invalidated"}},
      {"another server", other_server, {"42", "7000000000000000001", "source.dsn"}},
      {"another server without the slot", [](Observed& s) { other_server(s), no_slot(s); }, {"42"}},
      {"a timeline of strangers",
       [](Observed& s) { s.timeline = pg::Timeline(2); },
       {"timeline 2", "timeline 1"}},
      {"a fork below the tail",
       [](Observed& s) { forked(s, 0x18FF); },
       {"timeline 2", "0/18FF", "0/1900"}},
      {"a fork below what was confirmed",
       [](Observed& s) { forked(s, 0x2000), confirm(s, 0x2001); },
       {"0/2000", "0/2001"}},
  };
}

std::vector<Case> lost_by_nats() {
  return {
      {"stream made anew, slot moved on",
       [](Observed& s) { s.stream.created = "now", virgin(s); },
       {"CDC", "0/100", "0/900"}},
      {"stream went back beyond the slot",
       [](Observed& s) { cut_stream(s, 95), confirm(s, 0x1501, 96); },
       {"ends at message 95, and had 100", "1400:1", "0/1501"}},
      {"stream went back beyond the slot, far behind the tail's commit",
       [](Observed& s) { cut_stream(s, 99), confirm(s, 0x5000, 100); },
       {"ends at message 99, and had 100", "1800:1", "0/5000"}},
      {"stream went back beyond a slot of which it is not known what it rests on",
       [](Observed& s) { cut_stream(s, 95), confirm(s, 0x1401); },
       {"ends at message 95, and had 100", "1400:1", "0/1401"}},
      {"stream and saved position went back, the slot did not",
       [](Observed& s) { cut_stream(s, 99), s.slot->confirmed = pg::Lsn(0x1880); },
       {"ends at message 99, and had 100", "1800:1", "0/1880"}},
      {"stream went back to nothing, slot moved on",
       [](Observed& s) { cut_stream(s, 50), s.window.clear(); },
       {"ends at message 50", "0/100", "0/900"}},
      {"slot ahead of the saved position and of the tail",
       [](Observed& s) { s.slot->confirmed = pg::Lsn(0x1A00); },
       {"0/1A00", "0/900", "1900:1"}},
      {"slot ahead of the saved position by more than was stored then",
       [](Observed& s) { s.slot->confirmed = pg::Lsn(0x1981); },
       {"0/1981"}},
      {"slot ahead of the saved position, stream purged",
       [](Observed& s) { s.slot->confirmed = pg::Lsn(0x1981), s.window.clear(); },
       {"0/1981"}},
      {"slot ahead of a saved position that does not say what was stored then",
       [](Observed& s) { confirm(s, 0x900), s.slot->confirmed = pg::Lsn(0xA00), s.window.clear(); },
       {"0/A00"}},
      {"foreign messages behind ours",
       [](Observed& s) {
         s.stream.last = StreamSequence(102);
         s.window.push_back(foreign(101)), s.window.push_back(foreign(102));
       },
       {"from sequence 101", "none of walferry's is missing"}},
      {"nothing but foreign messages in the window",
       [](Observed& s) {
         s.stream.last = StreamSequence(102);
         s.window = {foreign(101), foreign(102)};
       },
       {"from sequence 101"}},
  };
}

Observed changed(const Case& one) {
  Observed seen = agreeing();
  one.change(seen);
  return seen;
}

void expect_stop(const Case& one) {
  const auto stop = stop_of(changed(one));
  ASSERT_TRUE(stop.has_value());
  EXPECT_EQ(stop->code(), one.code);
  const std::string all = std::string(stop->what()) + " | " + stop->hint();
  for (const std::string& words : one.says) EXPECT_THAT(all, HasSubstr(words));
  EXPECT_EQ(all.find("--accept-gap") != std::string::npos, one.acceptable)
      << "the hint names --accept-gap exactly where it helps: " << all;
}

void expect_acceptable(const Case& one) {
  Observed seen = changed(one);
  seen.accept_gap = true;
  if (!one.acceptable) {
    EXPECT_TRUE(stop_of(seen).has_value());
    return;
  }
  const Resume plan = decide(seen);
  ASSERT_FALSE(plan.notes.empty());
  EXPECT_THAT(plan.notes.front(), StartsWith("accepted: ")) << "it says what was lost";
  EXPECT_EQ(plan.saved.accepted, seen.stream.last);
  EXPECT_EQ(plan.saved.last, seen.stream.last);
  EXPECT_EQ(plan.saved.system_id, seen.system_id);
  EXPECT_EQ(plan.saved.timeline, seen.timeline);
  EXPECT_EQ(plan.saved.stream_created, seen.stream.created);
  EXPECT_THAT(plan.known.stored, IsEmpty());
  Reread reread(plan.known);
  EXPECT_FALSE(reread.is_stored(at(0x3000))) << "what is new is published";
  EXPECT_TRUE(reread.done());
}

// Whoever has accepted a gap is not asked for the same one again.
void expect_accepted_once(const Case& one) {
  if (!one.acceptable) return;
  Observed seen = changed(one);
  seen.accept_gap = true;
  const Resume plan = decide(seen);
  Observed next = seen;
  next.accept_gap = next.adopt = false;
  next.fork.reset();
  next.saved = plan.saved;
  if (plan.create_slot) {
    next.slot.emplace();
    next.slot->wal_status = "reserved";
    confirm(next, 0x3000);
    next.saved->origin = pg::Lsn(0x3000);
  }
  const auto stop = stop_of(next);
  EXPECT_FALSE(stop.has_value()) << stop->what();
}

void for_all(const std::function<void(const Case&)>& expect) {
  for (const auto& cases : {first_starts(), lost_by_postgres(), lost_by_nats()}) {
    for (const Case& one : cases) {
      const testing::ScopedTrace trace(__FILE__, __LINE__, one.name);
      expect(one);
    }
  }
}

TEST(ResumeStops, WithTheCodeAndTheWords) { for_all(expect_stop); }
TEST(ResumeStops, UnlessTheGapIsAcceptedAndSaid) { for_all(expect_acceptable); }
TEST(ResumeStops, AndNotAgainOnceAccepted) { for_all(expect_accepted_once); }

TEST(ResumeStops, NewSlotReplacesTheLostOne) {
  Observed seen = agreeing();
  seen.slot->wal_status = "lost";
  seen.accept_gap = true;
  EXPECT_TRUE(decide(seen).create_slot);
  EXPECT_TRUE(decide(seen).drop_slot);
  seen.slot.reset();
  EXPECT_TRUE(decide(seen).create_slot);
  EXPECT_FALSE(decide(seen).drop_slot);
}

TEST(ResumeStops, PositionsOfAnotherServerAreNotCompared) {
  Observed seen = agreeing();
  other_server(seen);
  seen.accept_gap = true;
  EXPECT_FALSE(Reread(decide(seen).known).is_stored(at(0x10)))
      << "far below the old server's tail, and new all the same";
}

}  // namespace
}  // namespace connector
