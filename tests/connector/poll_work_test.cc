#include "connector/poll_work.h"

#include <gtest/gtest.h>

#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr std::int64_t minute = 60'000;

// Batches of two rows each, one a minute.
PollWork with_batches(int count) {
  PollWork work;
  work.take_tables({{"public", "outbox"}});
  for (int i = 1; i <= count; ++i) {
    const auto end = StreamSequence(static_cast<std::uint64_t>(2 * i));
    work.begin(std::to_string(i * 10) + ":" + std::to_string(i * 10) + ":", StreamSequence());
    work.complete(end, 2, i * minute);
  }
  return work;
}

std::optional<std::string> no_archive(const PollArchive&) { return std::nullopt; }

TEST(PollWork, IsReadAsItWasWritten) {
  PollWork work = with_batches(3);
  work.begin("40:41:40", StreamSequence(6));
  work.take_tables({{"public", "outbox"}, {"s", "\"t"}});
  work.take_tables({{"s", "\"t"}});
  work.tables[0].removed = "10:10:";
  work.archives.push_back({.first = 1, .at_ms = 5});
  work.due = "20:20:";
  work.open_rows = 7;
  work.sample = {1, 5};
  work.wal_end = "0/16";
  work.identity = "public.outbox(id 20,)";
  EXPECT_EQ(parse_poll_work(to_json(work)), work);
  EXPECT_EQ(parse_poll_work(nullptr), PollWork());
}

TEST(PollWork, DigestsOfOtherColumnsAreForgotten) {
  PollWork work = with_batches(2);
  work.identify("id");
  work.begin("30:30:", StreamSequence(4));
  PollDigest digest;
  digest.add(0, {});
  work.complete(StreamSequence(6), 1, minute, digest);
  work.identify("id");
  EXPECT_EQ(work.batches.back().digest, digest.value());
  EXPECT_EQ(work.sample, digest.sample());
  work.identify("id, created_at");
  EXPECT_EQ(work.batches.back().digest, 0U);
  EXPECT_TRUE(work.sample.empty());
}

TEST(PollWork, ABatchsFirstMessageSaysWhereItLies) {
  for (const auto& after : {"", "10:12:10,11"}) {
    const outbox::Range range{.after = after, .upto = "20:20:"};
    const auto read = parse_batch_header(batch_header_value(range));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->after, range.after);
    EXPECT_EQ(read->upto, range.upto);
  }
  for (const char* bad : {"", " ", "x 20:20:", "20:20: x", "20:20:  20:20:"}) {
    EXPECT_FALSE(parse_batch_header(bad)) << bad;
  }
}

TEST(PollWork, WhatCannotBeReadIsALostPosition) {
  auto json = to_json(with_batches(2));
  json["batches"][0][2] = "x";
  try {
    parse_poll_work(json);
    FAIL() << "it was read";
  } catch (const Stop& stop) {
    EXPECT_EQ(stop.code(), Exit::position_lost);
  }
}

TEST(PollWork, ABatchLiesBetweenItsSnapshotAndTheOneBefore) {
  PollWork work = with_batches(2);
  work.begin("30:30:", StreamSequence(4));
  const auto range = [&](std::uint64_t number) { return work.range(work.tables[0], number); };
  EXPECT_EQ(range(1)->after, "");
  EXPECT_EQ(range(1)->upto, "10:10:");
  EXPECT_EQ(range(2)->after, "10:10:");
  EXPECT_EQ(range(3)->after, "20:20:");
  EXPECT_EQ(range(3)->upto, "30:30:");
  EXPECT_FALSE(range(4));
}

TEST(PollWork, ATableThatComesLaterBeginsWithAllOfItsRows) {
  PollWork work = with_batches(2);
  work.take_tables({{"public", "outbox"}, {"public", "more"}});
  EXPECT_EQ(work.seen(work.tables[0]), "20:20:");
  EXPECT_EQ(work.seen(work.tables[1]), "");
  EXPECT_FALSE(work.range(work.tables[1], 2));
  work.begin("30:30:", StreamSequence(4));
  EXPECT_EQ(work.range(work.tables[1], 3)->after, "");
  work.complete(StreamSequence(6), 2, minute);
  work.begin("40:40:", StreamSequence(6));
  EXPECT_EQ(work.range(work.tables[1], 4)->after, "30:30:");
}

TEST(PollWork, ATableThatGoesAndComesBackGoesOnWhereItWas) {
  PollWork work = with_batches(1);
  work.take_tables({{"public", "other"}});
  work.begin("20:20:", StreamSequence(2));
  work.complete(StreamSequence(4), 2, minute);
  EXPECT_FALSE(work.range(work.tables[0], 2));
  work.take_tables({{"public", "other"}, {"public", "outbox"}});
  EXPECT_EQ(work.seen(work.tables[0]), "10:10:");
  work.begin("30:30:", StreamSequence(4));
  EXPECT_EQ(work.range(work.tables[0], 3)->after, "10:10:");
  EXPECT_EQ(work.range(work.tables[1], 3)->after, "20:20:");
}

TEST(PollWork, OldBatchesAreForgottenButNeverTheNewest) {
  PollWork work = with_batches(3);
  EXPECT_FALSE(work.forget_before(minute, no_archive));
  EXPECT_EQ(work.due, "");
  EXPECT_TRUE(work.forget_before(3 * minute, no_archive));
  EXPECT_EQ(work.due, "20:20:");
  EXPECT_EQ(work.base, "20:20:");
  ASSERT_EQ(work.batches.size(), 1U);
  EXPECT_FALSE(work.forget_before(100 * minute, no_archive));
  EXPECT_EQ(work.range(work.tables[0], 3)->after, "20:20:");
}

TEST(PollWork, ManyBatchesAreArchivedAndCanBePutBack) {
  const PollWork all = with_batches(1000);
  PollWork work = all;
  std::vector<std::string> texts;
  while (auto archive = work.split()) texts.push_back(archive->second);
  ASSERT_FALSE(texts.empty());
  EXPECT_LT(to_json(work).dump().size(), 24U << 10);
  EXPECT_EQ(work.newest(), all.newest());
  // Those are the oldest, in order, and what they were the base of goes on.
  PollWork joined = work;
  const std::vector<std::string> newest_first(texts.rbegin(), texts.rend());
  for (const std::string& text : newest_first) {
    joined.join(text);
    joined.archives.pop_back();
  }
  EXPECT_EQ(joined, all);
  const std::int64_t end_of_first = work.archives.front().at_ms;
  EXPECT_TRUE(work.forget_before(end_of_first + 1, [&](const PollArchive&) { return texts[0]; }));
  EXPECT_EQ(work.archives.size(), texts.size() - 1);
  EXPECT_EQ(work.due, all.find(static_cast<std::uint64_t>(end_of_first / minute))->snapshot);
}

TEST(PollId, IsReadAsItIsWritten) {
  EXPECT_EQ(to_string(PollId{.batch = 7, .row = 12}), "7:poll:12");
  const auto id = parse_poll_id("7:poll:12");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->batch, 7U);
  EXPECT_EQ(id->row, 12U);
  for (const char* text : {"", "7", "7:poll:", ":poll:1", "0:poll:1", "7:poll:0", "7:poll:1.2",
                           "00000000016B3748:3", "00000000016B3748:snapshot:public.t:1"}) {
    EXPECT_FALSE(parse_poll_id(text)) << text;
  }
}

}  // namespace
}  // namespace connector
