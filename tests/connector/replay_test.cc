// A replay's configuration, and what it makes of the stream that it finds.
#include "connector/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connector/stop.h"
#include "tests/connector/observed.h"

namespace connector {
namespace {

using testing::HasSubstr;

ReplayCommand command(const std::string& stream = "", const std::string& prefix = "") {
  return {.from = pg::Lsn(0x16B3748), .to = {}, .stream = stream, .subject_prefix = prefix};
}

template <class Do>
std::optional<Stop> stop_in(Do what) {
  try {
    what();
    return std::nullopt;
  } catch (const Stop& stop) {
    return stop;
  }
}

TEST(ReplayConfig, HasAStreamOfItsOwn) {
  Config config;
  config.stream.subjects = {"more.>"};
  config.stream.create = false;
  config.stream.replicas = 3;
  const Config target = replay_config(config, command());
  EXPECT_EQ(target.stream.name, "CDC_REPLAY");
  EXPECT_EQ(target.stream.subject_prefix, "replay.cdc");
  EXPECT_EQ(target.source.slot, "walferry_replay_00000000016B3748");
  EXPECT_TRUE(target.stream.subjects.empty()) << "those are taken";
  EXPECT_TRUE(target.stream.create);
  EXPECT_EQ(target.stream.replicas, 3) << "as the first";
  const Config named = replay_config(config, command("AGAIN", "once.more"));
  EXPECT_EQ(named.stream.name + named.stream.subject_prefix, "AGAINonce.more");
}

TEST(ReplayConfig, IsNotThatOfTheStreamItself) {
  const Config config;
  for (const ReplayCommand& bad : {command("CDC"), command("", "cdc"), command("", "cdc.again")}) {
    const auto stop = stop_in([&] { replay_config(config, bad); });
    ASSERT_TRUE(stop);
    EXPECT_EQ(stop->code(), Exit::usage);
  }
  EXPECT_FALSE(stop_in([&] { replay_config(config, command("", "cdc2")); }));
  Config deep;
  deep.stream.subject_prefix = "cdc.prod";
  EXPECT_TRUE(stop_in([&] { replay_config(deep, command("", "cdc")); })) << "it would take both";
  EXPECT_FALSE(stop_in([&] { replay_config(deep, command("", "cdc.test")); }));
}

TEST(ReplayConfig, ItsDefaultPrefixIsNeverUnderTheFirst) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"replay", "replay_of.replay"},
      {"replay.replay", "replay_of.replay.replay"},
      {"replay.a", "replay.replay.a"},
      {"replays", "replay.replays"}};
  for (const auto& [first, again] : cases) {
    Config config;
    config.stream.subject_prefix = first;
    EXPECT_EQ(replay_config(config, command()).stream.subject_prefix, again);
  }
}

publisher::StreamInfo stream(std::uint64_t first, std::uint64_t last) {
  publisher::StreamInfo info;
  info.first = StreamSequence(first);
  info.last = StreamSequence(last);
  info.messages = last == 0 ? 0 : last - first + 1;
  return info;
}

TEST(Replayed, AnEmptyStreamIsBegun) {
  const Reread::Known known = replayed("R", stream(0, 0), {}, pg::Lsn(0x9000));
  EXPECT_EQ(known.anchor, MessagePosition{});
  EXPECT_TRUE(Reread(known).done());
}

TEST(Replayed, WhatIsStoredIsGoneOnWith) {
  Reread reread(replayed("R", stream(1, 3),
                         {ours(1, at(0x1000)), ours(2, at(0x1000, 2)), ours(3, at(0x2000))},
                         pg::Lsn(0x9000)));
  for (const pg::Position stored : {at(0x1000), at(0x1000, 2), at(0x2000)}) {
    reread.saw_change(stored);
    EXPECT_TRUE(reread.is_stored(stored));
  }
  reread.saw_change(at(0x2000, 2));
  EXPECT_FALSE(reread.is_stored(at(0x2000, 2)));
  EXPECT_TRUE(reread.done());
}

TEST(Replayed, AnythingElseIsRefused) {
  const auto foreign_one = stop_in([&] {
    replayed("R", stream(1, 2), {foreign(1), ours(2, at(0x1000))}, pg::Lsn(0x9000));
  });
  ASSERT_TRUE(foreign_one);
  EXPECT_EQ(foreign_one->code(), Exit::precondition);
  EXPECT_THAT(foreign_one->hint(), HasSubstr("nats stream rm R"));
  for (const auto& window :
       {std::vector<StoredRecord>{}, std::vector<StoredRecord>{ours(1, at(0x1000))}}) {
    const auto gone = stop_in([&] { replayed("R", stream(1, 2), window, pg::Lsn(0x9000)); });
    ASSERT_TRUE(gone);
    EXPECT_THAT(gone->what(), HasSubstr("its last message, 2,"));
  }
}

TEST(Replayed, WhatTheStreamHasDroppedItselfIsNotTakenForAllOfIt) {
  EXPECT_FALSE(lost_from("R", stream(1, 3)));
  EXPECT_THAT(lost_from("R", stream(3, 3)).value(), HasSubstr("messages 1 to 2, of its 3"));
  publisher::StreamInfo thinned = stream(1, 9);
  thinned.messages = 7;
  EXPECT_THAT(lost_from("R", thinned).value(), HasSubstr("2 messages in between, of its 9"));
  const auto stop = stop_in([&] {
    replayed("R", stream(2, 3), {ours(2, at(0x1000)), ours(3, at(0x2000))}, pg::Lsn(0x9000));
  });
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->code(), Exit::failed);
}

TEST(ReplayPoint, BelowTheOldestIsRefusedByName) {
  const std::vector<ReplayPoint> points = {{"walferry", pg::Lsn(0x300)},
                                           {"walferry_mark_a", pg::Lsn(0x200)}};
  EXPECT_EQ(require_point(points, pg::Lsn(0x250)).slot, "walferry_mark_a");
  const auto early = stop_in([&] { require_point(points, pg::Lsn(0x1FF)); });
  ASSERT_TRUE(early);
  EXPECT_EQ(early->code(), Exit::position_lost);
  EXPECT_THAT(early->what(), HasSubstr("0/200"));
  const auto none = stop_in([&] { require_point({}, pg::Lsn(0x1FF)); });
  ASSERT_TRUE(none);
  EXPECT_EQ(none->code(), Exit::precondition);
}

}  // namespace
}  // namespace connector
