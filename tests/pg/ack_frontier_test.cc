#include "pg/ack_frontier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace pg {
namespace {

TEST(AckFrontier, NothingIsKnownAtFirst) {
  const AckFrontier frontier;
  EXPECT_FALSE(frontier.stored().valid());
  EXPECT_TRUE(frontier.idle());
}

TEST(AckFrontier, ATransactionCountsWhenCommittedAndWhollyAcked) {
  AckFrontier frontier;
  frontier.begin();
  frontier.sent(1);
  frontier.sent(2);
  frontier.acked(1);
  frontier.acked(2);
  EXPECT_FALSE(frontier.stored().valid());  // all sent is acked, and more may come
  frontier.sent(3);
  frontier.committed(Lsn(100));
  EXPECT_FALSE(frontier.stored().valid());
  frontier.acked(3);
  EXPECT_EQ(frontier.stored(), Lsn(100));
}

TEST(AckFrontier, CommittedAfterItsAcksCountsAtOnce) {
  AckFrontier frontier;
  frontier.begin();
  frontier.sent(1);
  frontier.acked(1);
  frontier.committed(Lsn(100));
  EXPECT_EQ(frontier.stored(), Lsn(100));
}

TEST(AckFrontier, ALaterTransactionWaitsForTheEarlier) {
  AckFrontier frontier;
  for (const std::uint64_t number : {1U, 2U}) {
    frontier.begin();
    frontier.sent(number);
    frontier.committed(Lsn(100 * number));
  }
  frontier.acked(2);
  EXPECT_FALSE(frontier.stored().valid());
  EXPECT_EQ(frontier.in_flight(), 2U);
  frontier.acked(1);
  EXPECT_EQ(frontier.stored(), Lsn(200));
  EXPECT_EQ(frontier.in_flight(), 0U);
}

TEST(AckFrontier, ATransactionWithoutMessagesCountsAtOnceOrBehindThoseInFlight) {
  AckFrontier frontier;
  frontier.begin();
  frontier.committed(Lsn(100));
  EXPECT_EQ(frontier.stored(), Lsn(100));

  frontier.begin();
  frontier.sent(1);
  frontier.committed(Lsn(200));
  for (const std::uint64_t end : {300U, 400U}) {
    frontier.begin();
    frontier.committed(Lsn(end));
  }
  EXPECT_EQ(frontier.stored(), Lsn(100));
  frontier.acked(1);
  EXPECT_EQ(frontier.stored(), Lsn(400));
}

// Neither on what was sent of a later transaction nor on less than all of its own.
TEST(AckFrontier, SaysOnWhichMessageItRests) {
  AckFrontier frontier;
  frontier.keepalive(Lsn(50));
  EXPECT_EQ(frontier.rests_on(), 0U);
  frontier.begin();
  frontier.sent(1);
  frontier.sent(2);
  frontier.committed(Lsn(100));
  frontier.begin();
  frontier.sent(3);
  frontier.acked(1);
  EXPECT_EQ(frontier.rests_on(), 0U);
  frontier.acked(3);
  frontier.acked(2);
  EXPECT_EQ(frontier.stored(), Lsn(100));
  EXPECT_EQ(frontier.rests_on(), 2U);
  frontier.committed(Lsn(200));
  EXPECT_EQ(frontier.rests_on(), 3U);
  frontier.keepalive(Lsn(300));
  frontier.keepalive(Lsn(250));
  EXPECT_EQ(frontier.stored(), Lsn(300));
  EXPECT_EQ(frontier.rests_on(), 3U);
}

TEST(AckFrontier, KeepaliveWhenIdleAdvances) {
  AckFrontier frontier;
  frontier.keepalive(Lsn(500));
  EXPECT_EQ(frontier.stored(), Lsn(500));
  frontier.keepalive(Lsn(400));  // never back
  EXPECT_EQ(frontier.stored(), Lsn(500));
}

TEST(AckFrontier, KeepaliveInsideTransactionDoesNotAdvance) {
  AckFrontier frontier;
  frontier.begin();
  frontier.keepalive(Lsn(500));
  EXPECT_FALSE(frontier.stored().valid());
  frontier.sent(1);
  frontier.acked(1);
  frontier.keepalive(Lsn(500));
  EXPECT_FALSE(frontier.stored().valid());
  frontier.committed(Lsn(100));
  EXPECT_EQ(frontier.stored(), Lsn(100));
}

TEST(AckFrontier, KeepaliveWithMessagesInFlightDoesNotAdvanceNowOrLater) {
  AckFrontier frontier;
  frontier.begin();
  frontier.sent(1);
  frontier.committed(Lsn(100));
  frontier.keepalive(Lsn(500));
  EXPECT_FALSE(frontier.stored().valid());
  frontier.acked(1);
  EXPECT_EQ(frontier.stored(), Lsn(100));
}

TEST(AckFrontierDeathTest, NumbersOutOfOrderAreAMistakeOfOurs) {
  AckFrontier frontier;
  frontier.begin();
  EXPECT_DEATH(frontier.sent(2), "");
  EXPECT_DEATH(frontier.acked(1), "");
  EXPECT_DEATH(frontier.begin(), "");
}

// The same rules said plainly: all transactions and all acks are kept.
class Model {
 public:
  void begin() { transactions_.push_back({}); }
  void sent(std::uint64_t number) {
    transactions_.back().messages.push_back(number);
    acked_.resize(number + 1, false);
  }
  void committed(Lsn end) { transactions_.back().end = end; }
  void acked(std::uint64_t number) { acked_[number] = true; }
  void keepalive(Lsn end) {
    if (std::all_of(transactions_.begin(), transactions_.end(),
                    [&](const auto& transaction) { return stored(transaction); })) {
      floor_ = std::max(floor_, end);
    }
  }
  Lsn stored() const {
    Lsn result = floor_;
    for (const Transaction& transaction : transactions_) {
      if (!stored(transaction)) break;
      result = std::max(result, transaction.end);
    }
    return result;
  }

 private:
  struct Transaction {
    std::vector<std::uint64_t> messages;
    Lsn end;  // invalid: still open
  };
  bool stored(const Transaction& transaction) const {
    return transaction.end.valid() &&
           std::all_of(transaction.messages.begin(), transaction.messages.end(),
                       [&](std::uint64_t number) { return acked_[number]; });
  }
  std::vector<Transaction> transactions_;
  std::vector<bool> acked_;
  Lsn floor_;
};

TEST(AckFrontier, AgreesWithTheModelUnderRandomOrders) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::size_t n) { return random() % n; };
    AckFrontier frontier;
    Model model;
    std::vector<std::uint64_t> unacked;
    std::uint64_t next = 1;
    std::uint64_t wal = 1000;
    bool open = false;
    for (int step = 0; step < 300; ++step) {
      wal += 1 + pick(50);
      const auto choice = pick(10);
      if (choice < 4 && open) {
        frontier.sent(next);
        model.sent(next);
        unacked.push_back(next++);
      } else if (choice < 6) {
        if (open) {
          frontier.committed(Lsn(wal));
          model.committed(Lsn(wal));
        } else {
          frontier.begin();
          model.begin();
        }
        open = !open;
      } else if (choice < 9 && !unacked.empty()) {
        const auto at = unacked.begin() + static_cast<std::ptrdiff_t>(pick(unacked.size()));
        frontier.acked(*at);
        model.acked(*at);
        unacked.erase(at);
      } else {
        frontier.keepalive(Lsn(wal));
        model.keepalive(Lsn(wal));
      }
      ASSERT_EQ(frontier.stored(), model.stored()) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace pg
