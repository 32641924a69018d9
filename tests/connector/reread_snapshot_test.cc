// Reading again what is stored, where messages of snapshots stand between those of WAL.
#include <gtest/gtest.h>

#include "connector/observe.h"
#include "tests/connector/wal_and_stream.h"

namespace connector {
namespace {

StoredRecord of_snapshot(std::uint64_t sequence, std::uint64_t mark) {
  return {.sequence = StreamSequence(sequence),
          .position = pg::Position{pg::Lsn(mark), 0},
          .of_snapshot = true};
}

// The past's records, with snapshots before some of its transactions, and behind it all.
std::vector<StoredRecord> with_snapshots(WalAndStream& past) {
  std::vector<StoredRecord> stream;
  const auto next = [&] { return past.base + stream.size() + 1; };
  const auto maybe_snapshot = [&](std::uint64_t mark) {
    if (past.pick(0, 2) > 0) return;
    for (auto rows = past.pick(1, 9); rows > 0; --rows) stream.push_back(of_snapshot(next(), mark));
  };
  pg::Lsn at;
  for (std::size_t i = 0; i < past.stored; ++i) {
    const pg::Position record = past.records[i];
    if (record.commit_lsn != at) maybe_snapshot(record.commit_lsn.value - 8);
    at = record.commit_lsn;
    stream.push_back(ours(next(), record));
  }
  const bool all = past.stored == past.records.size();
  const pg::Lsn end = all ? past.commits.back() : past.records[past.stored].commit_lsn;
  if (all || end != at) maybe_snapshot(all ? end.value + 8 : end.value - 8);
  return stream;
}

Observed observed(WalAndStream& past, const std::vector<StoredRecord>& stream) {
  Observed seen = agreeing();
  const auto saved = static_cast<std::size_t>(past.pick(0, stream.size()));
  const MessagePosition tail = saved == 0 ? MessagePosition{} : *stream[saved - 1].position;
  seen.saved->last = StreamSequence(past.base + saved);
  seen.saved->tail = tail;
  seen.saved->origin = pg::Lsn(0x10000);
  std::uint64_t confirmed = 0x10000;
  for (std::size_t t = 0; t < past.wal.size() && past.pick(0, 4) > 0; ++t) {
    const bool covered = std::all_of(
        past.wal[t].begin(), past.wal[t].end(),
        [&](const WalChange& change) { return !change.captured || change.position <= tail; });
    if (!covered) break;
    confirmed = past.commits[t].value + 4;
  }
  confirm(seen, confirmed);
  seen.stream.first = StreamSequence(past.base + 1);
  seen.stream.last = StreamSequence(past.base + stream.size());
  const std::size_t first = stream.size() > past.window ? stream.size() - past.window : 0;
  seen.window.assign(stream.begin() + static_cast<std::ptrdiff_t>(first), stream.end());
  return seen;
}

TEST(RereadWithSnapshots, SplitsExactlyAtTheTail) {
  for (std::uint32_t seed = 0; seed < 20'000; ++seed) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "seed " + std::to_string(seed));
    WalAndStream past(seed);
    const Observed seen = observed(past, with_snapshots(past));
    const Resume plan = decide(seen);
    EXPECT_TRUE(plan.notes.empty());
    Reread reread(plan.known);
    const auto answers = past.read(reread, past.first_sent(seen, plan.start));
    ASSERT_FALSE(answers.stop.has_value()) << answers.stop->what();
    for (const auto& [position, is_stored] : answers.records) {
      ASSERT_EQ(is_stored, past.is_in_stream(position)) << to_string(position);
    }
    if (past.stored == past.records.size()) continue;
    ASSERT_FALSE(answers.records.empty());
    EXPECT_LE(answers.records.front().first, past.records[past.stored]) << "nothing is left out";
  }
}

Reread::Known mixed() {
  Reread::Known known;
  known.stored = {ours(101, at(0x1000, 1)), of_snapshot(102, 0x1800), of_snapshot(103, 0x1800),
                  ours(104, at(0x2000, 1)), of_snapshot(105, 0x2800)};
  known.anchor_sequence = known.last = StreamSequence(105);
  known.anchor = at(0x2800, 0);
  return known;
}

void read(Reread& reread, const std::vector<pg::Position>& positions) {
  for (const pg::Position position : positions) {
    reread.saw_change(position);
    reread.is_stored(position);
    reread.passed(position.commit_lsn);
  }
  reread.passed(pg::Lsn(0x2801));
}

TEST(RereadWithSnapshots, TakesWhatIsThere) {
  Reread reread(mixed());
  read(reread, {at(0x1000, 1), at(0x2000, 1)});
  EXPECT_TRUE(reread.done());
}

TEST(RereadWithSnapshots, MissingRecordAndDeletedRowAreErrors) {
  Reread missing(mixed());
  EXPECT_THROW(read(missing, {at(0x1000, 1), at(0x1400, 1), at(0x2000, 1)}), Stop);
  Reread::Known known = mixed();
  known.stored.erase(known.stored.begin() + 1);
  Reread deleted(known);
  EXPECT_THROW(read(deleted, {at(0x1000, 1), at(0x2000, 1)}), Stop);
  known.thinned = true;
  Reread thinned(known);
  read(thinned, {at(0x1000, 1), at(0x2000, 1)});
  EXPECT_TRUE(thinned.done());
}

// How many of the messages that are gone were rows, and how many changes, nobody knows.
TEST(RereadWithSnapshots, GoneBehindTheSavedPositionIsAnErrorWhileSnapshotsAreMade) {
  Reread::Known known;
  known.anchor_sequence = StreamSequence(100);
  known.anchor = at(0x1000, 1);
  known.first = StreamSequence(105);
  known.last = StreamSequence(104);
  const auto read_on = [&] {
    Reread reread(known);
    read(reread, {at(0x1000, 1), at(0x2000, 1), at(0x2000, 2)});
  };
  EXPECT_NO_THROW(read_on());
  known.snapshots = true;
  EXPECT_THROW(read_on(), Stop);
}

TEST(ToRecords, SnapshotsRowCountsWhereItStands) {
  const auto message = [](std::uint64_t sequence, const std::string& id,
                          const std::string& position) {
    publisher::StoredMessage made;
    made.sequence = StreamSequence(sequence);
    made.headers["Nats-Msg-Id"] = id;
    if (!position.empty()) made.headers["Walferry-Position"] = position;
    return made;
  };
  const auto records = to_records(
      {message(1, "s:0000000000001000:2", ""),
       message(2, "s:0000000000001800:snapshot:public.t%3Ax:1", "0000000000001800:0"),
       message(3, "s:0000000000001800:snapshot:public.t%3Ax:2.1", "0000000000001800:0"),
       message(4, "s:0000000000001800:snapshot:public.t%3Ax:2:schema", "0000000000001800:0"),
       message(5, "s:0000000000001200:snapshot:public.late:7", "0000000000001200:0"),
       message(6, "s:0000000000001:snapshot:public.t:7", "0000000000001200:0")},
      "s");
  EXPECT_FALSE(records[0].of_snapshot);
  for (std::size_t i = 1; i < 5; ++i) {
    EXPECT_TRUE(records[i].of_snapshot);
    EXPECT_EQ(records[i].position, MessagePosition(at(0x1800, 0))) << i;
  }
  EXPECT_FALSE(records[5].position.has_value()) << "foreign";
}

}  // namespace
}  // namespace connector
