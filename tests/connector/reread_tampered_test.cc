// One thing is wrong with the stream: a record missing, one too many, two out of order, somebody
// else's message in the place of one of ours. It is always seen, and never passed.
//
// The slot is far behind, nothing was deleted, and before the place there is a stored record in the
// window: WAL and window overlap there. Further back than a window nothing is compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connector/reread.h"
#include "tests/connector/wal_and_stream.h"

namespace connector {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t pasts = 10'000;

struct Tampered {
  WalAndStream past;
  Observed seen;
  std::size_t place = 0;  // in seen.window; there are at least `behind` messages after it
};

std::optional<Tampered> ready_to_tamper(std::uint32_t seed, std::size_t behind) {
  Tampered tampered{.past = WalAndStream(seed), .seen = {}};
  tampered.past.slot_at = 0;
  tampered.seen = tampered.past.observed();
  const std::size_t size = tampered.seen.window.size();
  // The last record of WAL shows that the stream ends too early or too late.
  if (size < behind + 2 || tampered.past.stored == tampered.past.records.size())
    return std::nullopt;
  tampered.place = tampered.past.pick(1, size - 1 - behind);
  return tampered;
}

void forget_saved_tail(Observed& seen) {
  seen.saved->last = {};
  seen.saved->tail = {};
}

// What decide() or Reread says; nothing at or behind `limit` was taken for stored before that.
std::string detected(const Tampered& tampered, pg::Position limit) {
  std::optional<Stop> stop = stop_of(tampered.seen);
  if (!stop) {
    const Resume plan = decide(tampered.seen);
    Reread reread(plan.known);
    const std::size_t first = tampered.past.first_sent(tampered.seen, plan.start);
    const auto answers = tampered.past.read(reread, first);
    stop = answers.stop;
    for (const auto& [position, is_stored] : answers.records) {
      EXPECT_TRUE(!is_stored || position < limit) << to_string(position);
    }
  }
  EXPECT_TRUE(stop.has_value());
  if (!stop) return "";
  EXPECT_EQ(stop->code(), Exit::position_lost);
  return stop->what();
}

constexpr pg::Position no_limit{pg::Lsn(~0ULL), ~0ULL};

// Calls `test` with every past that can be tampered with, until it fails.
template <class Test>
void for_tampered(std::size_t behind, Test test) {
  int tried = 0;
  for (std::uint32_t seed = 0; seed < pasts && !testing::Test::HasFailure(); ++seed) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "seed " + std::to_string(seed));
    auto tampered = ready_to_tamper(seed, behind);
    if (!tampered) continue;
    test(*tampered);
    ++tried;
  }
  EXPECT_GT(tried, 1000);
}

TEST(RereadTampered, MissingRecordIsNeverPassed) {
  for_tampered(1, [](Tampered& tampered) {
    auto& window = tampered.seen.window;
    const pg::Position missing = window[tampered.place].position->change;
    for (std::size_t i = tampered.place; i + 1 < window.size(); ++i) {
      window[i].position = window[i + 1].position;
    }
    window.pop_back();
    tampered.seen.stream.last = window.back().sequence;
    forget_saved_tail(tampered.seen);
    detected(tampered, missing);
  });
}

TEST(RereadTampered, RecordThatWalDoesNotYieldIsSeen) {
  for_tampered(0, [](Tampered& tampered) {
    auto& window = tampered.seen.window;
    // No change has an ordinal above 5, no transaction is closer than 16 bytes to the next.
    const pg::Position before = window[tampered.place - 1].position->change;
    const pg::Position extra = {pg::Lsn(before.commit_lsn.value + 1), 1};
    const pg::Position next = window[tampered.place].position->change;
    const pg::Position at_place = extra < next ? extra : pg::Position{next.commit_lsn, 99};
    const auto behind = extra < next ? 0 : 1;
    const auto place = static_cast<std::ptrdiff_t>(tampered.place) + behind;
    if (behind == 1 && tampered.place + 1 < window.size() &&
        window[tampered.place + 1].position < at_place) {
      return;  // in the middle of a transaction: the ordinals leave no room
    }
    window.insert(window.begin() + place, ours(0, at_place));
    for (std::size_t i = 1; i < window.size(); ++i) {
      window[i].sequence = StreamSequence(window[i - 1].sequence.value + 1);
    }
    tampered.seen.stream.last = window.back().sequence;
    detected(tampered, no_limit);
  });
}

TEST(RereadTampered, SwappedRecordsAreSeen) {
  for_tampered(1, [](Tampered& tampered) {
    auto& window = tampered.seen.window;
    std::swap(window[tampered.place].position, window[tampered.place + 1].position);
    forget_saved_tail(tampered.seen);
    detected(tampered, no_limit);
  });
}

TEST(RereadTampered, ForeignMessageNamesWhatItReplaced) {
  for_tampered(1, [](Tampered& tampered) {
    StoredRecord& record = tampered.seen.window[tampered.place];
    const pg::Position missing = record.position->change;
    record.position.reset();
    const std::string what = detected(tampered, no_limit);
    EXPECT_THAT(what, HasSubstr("at sequence " + std::to_string(record.sequence.value) + ";"));
    EXPECT_THAT(what, HasSubstr("the place of " + to_string(missing)));
  });
}

TEST(RereadTampered, ForeignMessageBetweenOursReplacedNone) {
  for_tampered(0, [](Tampered& tampered) {
    auto& window = tampered.seen.window;
    window.insert(window.begin() + static_cast<std::ptrdiff_t>(tampered.place), foreign(0));
    for (std::size_t i = 1; i < window.size(); ++i) {
      window[i].sequence = StreamSequence(window[i - 1].sequence.value + 1);
    }
    tampered.seen.stream.last = window.back().sequence;
    EXPECT_THAT(detected(tampered, no_limit),
                HasSubstr("none of walferry's is known to be missing"));
  });
}

}  // namespace
}  // namespace connector
