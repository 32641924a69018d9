// The spool on a real disk: what comes back, what is dropped, what is refused, what is left behind.
#include "pg/stream_spool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "pg/error.h"

namespace pg {
namespace {

class StreamSpoolTest : public testing::Test {
 protected:
  StreamSpoolTest() {
    std::string name = testing::TempDir() + "walferry-spool-XXXXXX";
    dir_ = ::mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  static StreamStart block(std::uint32_t xid, bool first) {
    return {.xid = TransactionId(xid), .first = first};
  }
  static StreamAbort aborted(std::uint32_t xid, std::uint32_t sub) {
    return {.xid = TransactionId(xid), .sub = TransactionId(sub)};
  }
  // An Insert in a block; behind its xid it is no more than bytes to the spool.
  static std::string insert(std::uint32_t xid, const std::string& bytes) {
    std::string message = "I";
    for (int shift = 24; shift >= 0; shift -= 8) message += static_cast<char>(xid >> shift);
    return message + bytes;
  }
  void add(StreamSpool& spool, std::uint32_t xid, const std::string& bytes) {
    ++arrivals_;
    spool.add(insert(xid, bytes), Lsn(0x1000 + arrivals_), arrivals_);
  }
  static std::vector<std::string> all(SpoolReader reader) {
    std::vector<std::string> messages;
    while (const auto message = reader.next()) messages.emplace_back(message->message);
    return messages;
  }
  bool nothing_left() const { return std::filesystem::is_empty(dir_); }

  std::string dir_;
  std::uint64_t arrivals_ = 0;
};

using Messages = std::vector<std::string>;

TEST_F(StreamSpoolTest, WhatWentInComesOutInOrderWithItsLsn) {
  StreamSpool spool({dir_, 1 << 20});
  spool.start(block(7, true));
  spool.add(insert(7, "a"), Lsn(0x200), 1);
  spool.add(insert(8, std::string("\0b", 2)), Lsn(0x100), 2);
  spool.stop();
  spool.start(block(7, false));
  spool.add(std::string("O\0\0\0\0\0\0\0\0x\0", 11), Lsn(), 3);
  spool.stop();
  SpoolReader reader = spool.commit(TransactionId(7));
  EXPECT_EQ(spool.used(), 0U);
  auto message = reader.next();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message, "Ia");
  EXPECT_EQ(message->lsn, Lsn(0x200));
  EXPECT_EQ(message->arrival, 1U);
  message = reader.next();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message, std::string("I\0b", 3));
  EXPECT_EQ(message->lsn, Lsn(0x100));
  message = reader.next();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message, std::string("O\0\0\0\0\0\0\0\0x\0", 11));
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST_F(StreamSpoolTest, MessagesOfAllSizesSurvive) {
  StreamSpool spool({dir_, 1ULL << 30});
  const std::size_t around = 256 << 10;  // the size of the buffers
  Messages expected;
  spool.start(block(7, true));
  for (const std::size_t size : {std::size_t{0}, around - 30, std::size_t{1}, around, around + 1,
                                 5 * around, std::size_t{3}, around - 1, std::size_t{0}}) {
    const std::string bytes(size, static_cast<char>('a' + expected.size()));
    add(spool, 7, bytes);
    expected.push_back("I" + bytes);
  }
  spool.stop();
  EXPECT_EQ(all(spool.commit(TransactionId(7))), expected);
}

TEST_F(StreamSpoolTest, AnAbortedSubTransactionTakesItsOwnChangesOnly) {
  StreamSpool spool({dir_, 1 << 20});
  spool.start(block(7, true));
  for (const std::uint32_t xid : {7U, 9U, 8U, 10U, 7U}) add(spool, xid, std::to_string(xid));
  spool.stop();
  spool.abort(aborted(7, 10));
  spool.abort(aborted(7, 8));
  spool.start(block(7, false));
  add(spool, 11, "later");
  spool.stop();
  EXPECT_EQ(all(spool.commit(TransactionId(7))), (Messages{"I7", "I9", "I7", "Ilater"}));
}

TEST_F(StreamSpoolTest, WhoseMessagesAnAbortedSubTransactionTakesIsNotGuessed) {
  StreamSpool spool({dir_, 1 << 20});
  std::string message = insert(7, "\1message");
  message[0] = 'M';
  spool.start(block(7, true));
  spool.add(message, Lsn(0x1000), 1);
  add(spool, 8, "row");
  spool.stop();
  spool.start(block(9, true));
  add(spool, 10, "row");
  spool.stop();
  spool.abort(aborted(9, 10));  // of one without messages
  try {
    spool.abort(aborted(7, 8));
    FAIL();
  } catch (const AmbiguousStream& error) {
    EXPECT_NE(std::string(error.what()).find("transaction 7 "), std::string::npos) << error.what();
  }
  spool.abort(aborted(7, 7));  // the whole of it is no question
}

TEST_F(StreamSpoolTest, AnAbortedTransactionGivesItsRoomBack) {
  StreamSpool spool({dir_, 1 << 20});
  for (const std::uint32_t xid : {7U, 8U}) {
    spool.start(block(xid, true));
    add(spool, xid, std::string(1000, 'x'));
    spool.stop();
  }
  const auto both = spool.used();
  spool.abort(aborted(7, 7));
  EXPECT_EQ(spool.used(), both / 2);
  EXPECT_THROW(spool.commit(TransactionId(7)), ProtocolError);
  EXPECT_EQ(all(spool.commit(TransactionId(8))).size(), 1U);
  EXPECT_EQ(spool.used(), 0U);
  spool.abort(aborted(99, 99));  // what never came is not missed
  spool.start(block(7, true));   // and a number may come again
}

TEST_F(StreamSpoolTest, TheLimitCountsAllTransactionsTogether) {
  StreamSpool spool({dir_, 4000});
  for (const std::uint32_t xid : {7U, 8U, 9U}) {
    spool.start(block(xid, true));
    add(spool, xid, std::string(1000, 'x'));
    spool.stop();
  }
  spool.start(block(7, false));
  try {
    add(spool, 7, std::string(1000, 'x'));
    ADD_FAILURE() << "the limit does not count";
  } catch (const SpillError& error) {
    EXPECT_NE(std::string(error.what()).find("more than 4000 bytes"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find(dir_), std::string::npos);
  }
}

TEST_F(StreamSpoolTest, AFullDiskIsSaid) {
  // No file of this process may grow beyond this.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  StreamSpool spool({dir_, 1 << 20});
  spool.start(block(7, true));
  add(spool, 7, std::string(8000, 'x'));
  EXPECT_THROW(spool.stop(), SpillError);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
}

TEST_F(StreamSpoolTest, AFolderThatIsNotThereIsNamed) {
  StreamSpool spool({dir_ + "/none", 1 << 20});
  try {
    spool.start(block(7, true));
    ADD_FAILURE() << "there is no such folder";
  } catch (const SpillError& error) {
    EXPECT_EQ(std::string(error.what()),
              "in " + dir_ + "/none: a file cannot be made: No such file or directory");
  }
}

TEST_F(StreamSpoolTest, FilesHaveNoNameWhileTheyAreUsed) {
  StreamSpool spool({dir_, 1 << 20});
  spool.start(block(7, true));
  add(spool, 7, "x");
  spool.stop();
  EXPECT_TRUE(nothing_left());
  SpoolReader reader = spool.commit(TransactionId(7));
  EXPECT_TRUE(nothing_left());
  EXPECT_TRUE(reader.next());
}

TEST_F(StreamSpoolTest, BlocksThatContradictEachOtherAreErrors) {
  StreamSpool spool({dir_, 1 << 20});
  EXPECT_THROW(spool.stop(), ProtocolError);
  EXPECT_THROW(add(spool, 7, "x"), ProtocolError);
  EXPECT_THROW(spool.start(block(7, false)), ProtocolError);
  EXPECT_THROW(spool.commit(TransactionId(7)), ProtocolError);
  spool.start(block(7, true));
  EXPECT_THROW(spool.start(block(8, true)), ProtocolError);
  EXPECT_THROW(spool.abort(aborted(7, 8)), ProtocolError);
  EXPECT_THROW(spool.commit(TransactionId(7)), ProtocolError);
  spool.stop();
  EXPECT_THROW(spool.start(block(7, true)), ProtocolError);
}

}  // namespace
}  // namespace pg
