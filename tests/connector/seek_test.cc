// Bisection against a linear search, on streams made up at random: with holes, messages without
// place or time, transactions of all sizes, and commit times that run backwards.
#include "connector/seek.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace connector {
namespace {

using publisher::StreamSequence;

struct Made {
  std::uint64_t sequence = 0;
  std::uint64_t lsn = 0;   // 0: not walferry's
  std::int64_t time = -1;  // -1: none
};

class MadeStream {
 public:
  explicit MadeStream(std::vector<Made> messages) : messages_(std::move(messages)) {}

  StreamRange range() const {
    if (messages_.empty()) return {StreamSequence(1), StreamSequence(0)};
    return {StreamSequence(messages_.front().sequence), StreamSequence(messages_.back().sequence)};
  }
  NextStamp next() {
    return [this](StreamSequence from, Wanted wanted) -> std::optional<Stamp> {
      ++read;
      const auto found = std::find_if(messages_.begin(), messages_.end(), [&](const Made& made) {
        return made.sequence >= from.value && made.lsn != 0 &&
               (wanted == Wanted::place || made.time >= 0);
      });
      if (found == messages_.end()) return std::nullopt;
      Stamp stamp{.sequence = StreamSequence(found->sequence),
                  .position = pg::Position{pg::Lsn(found->lsn), 1},
                  .committed = std::nullopt};
      if (found->time >= 0) stamp.committed = pg::Timestamp{found->time};
      return stamp;
    };
  }
  std::uint64_t first_at(std::uint64_t lsn) const {
    for (const Made& made : messages_) {
      if (made.lsn != 0 && made.lsn >= lsn) return made.sequence;
    }
    return 0;
  }
  std::uint64_t first_reaching(std::int64_t time) const {
    std::int64_t maximum = -1;
    for (const Made& made : messages_) {
      maximum = std::max(maximum, made.time);
      if (maximum >= time) return made.sequence;
    }
    return 0;
  }

  int read = 0;

 private:
  std::vector<Made> messages_;
};

std::uint64_t sequence_of(const std::optional<Stamp>& stamp) {
  return stamp ? stamp->sequence.value : 0;
}

class Seek : public testing::TestWithParam<unsigned> {
 protected:
  int upto(int bound) { return std::uniform_int_distribution<int>(0, bound)(random_); }
  std::vector<Made> make(int transactions) {
    std::vector<Made> made;
    std::uint64_t sequence = 1 + static_cast<std::uint64_t>(upto(100));
    std::uint64_t lsn = 1000;
    std::int64_t clock = 10'000'000;
    for (int i = 0; i < transactions; ++i) {
      lsn += static_cast<std::uint64_t>(8 * (1 + upto(40)));
      clock += upto(3) == 0 ? upto(900'000) : upto(2000);
      const std::int64_t time = clock - (upto(4) == 0 ? upto(990'000) : 0);
      const int records = upto(9) == 0 ? upto(300) : 1 + upto(2);
      for (int n = 0; n < records; ++n) {
        ++sequence;
        const int kind = upto(19);
        if (kind == 0) continue;  // deleted
        made.push_back({sequence, kind == 1 ? 0 : lsn, kind <= 2 ? -1 : time});
      }
      if (upto(30) == 0) {
        for (int n = upto(400); n > 0; --n) made.push_back({++sequence, lsn, -1});  // a snapshot
      }
    }
    return made;
  }
  std::mt19937 random_{GetParam()};
};

TEST_P(Seek, AgreesWithALinearSearch) {
  MadeStream stream(make(300));
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t lsn = 900 + static_cast<std::uint64_t>(upto(60'000));
    EXPECT_EQ(sequence_of(seek_lsn(stream.range(), stream.next(), pg::Lsn(lsn))),
              stream.first_at(lsn))
        << lsn;
    const std::int64_t time = 9'000'000 + upto(80'000'000);
    EXPECT_EQ(sequence_of(seek_time(stream.range(), stream.next(), pg::Timestamp{time})),
              stream.first_reaching(time))
        << time;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Seek, testing::Range(1U, 9U));

TEST(SeekCost, IsOfTheLogarithmAlsoWithinALargeTransaction) {
  std::vector<Made> messages;
  for (std::uint64_t i = 1; i <= 20'000; ++i) messages.push_back({i, 100, 5'000'000});
  messages.push_back({20'001, 200, 5'500'000});
  MadeStream stream(std::move(messages));
  EXPECT_EQ(sequence_of(seek_lsn(stream.range(), stream.next(), pg::Lsn(101))), 20'001U);
  EXPECT_LE(stream.read, 16);
  stream.read = 0;
  EXPECT_EQ(sequence_of(seek_time(stream.range(), stream.next(), pg::Timestamp{5'400'000})),
            20'001U);
  EXPECT_LE(stream.read, 50);
}

TEST(SeekEnds, AreTheFirstMessageAndNone) {
  MadeStream empty({});
  EXPECT_FALSE(seek_lsn(empty.range(), empty.next(), pg::Lsn(1)));
  EXPECT_FALSE(seek_time(empty.range(), empty.next(), pg::Timestamp{0}));
  MadeStream foreign({{7, 0, -1}, {8, 0, -1}});
  EXPECT_FALSE(seek_lsn(foreign.range(), foreign.next(), pg::Lsn(1)));
  MadeStream stream({{7, 100, 10'000'000}, {9, 200, 20'000'000}});
  EXPECT_EQ(sequence_of(seek_lsn(stream.range(), stream.next(), pg::Lsn(0))), 7U);
  EXPECT_EQ(sequence_of(seek_time(stream.range(), stream.next(), pg::Timestamp{0})), 7U);
  EXPECT_EQ(sequence_of(seek_time(stream.range(), stream.next(), pg::Timestamp{20'000'000})), 9U);
  EXPECT_FALSE(seek_lsn(stream.range(), stream.next(), pg::Lsn(201)));
  EXPECT_FALSE(seek_time(stream.range(), stream.next(), pg::Timestamp{20'000'001}));
}

}  // namespace
}  // namespace connector
