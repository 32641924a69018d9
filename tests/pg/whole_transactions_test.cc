// Protocol 2 with streaming against protocol 1, both as a real server sent them of the same WAL.
#include "pg/whole_transactions.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "pg/error.h"
#include "pg/pgoutput.h"
#include "tests/pg/wire.h"

namespace pg {
namespace {

struct Seen {
  std::string lsn;
  std::string message;
  friend bool operator==(const Seen&, const Seen&) = default;
};

SpoolSettings spool() { return {.dir = testing::TempDir(), .max_bytes = 1 << 20}; }

WalData data_of(const Captured& message) {
  return {.lsn = parse_lsn(message.lsn).value(), .message = message.bytes};
}

// What the decoder would get, once it is drained after each message.
std::vector<Seen> handed_on(WholeTransactions& transactions, const std::vector<Captured>& sent) {
  std::vector<Seen> seen;
  const auto note = [&](const Arrival& arrival) {
    if (const auto* data = std::get_if<WalData>(&arrival)) {
      seen.push_back({to_string(data->lsn), std::string(data->message)});
    }
  };
  for (const Captured& message : sent) {
    note(transactions.receive(data_of(message)));
    while (transactions.replaying()) note(transactions.replay());
  }
  return seen;
}

// Relation and Type messages may come more often than needed, and Begin's LSN means nothing.
std::vector<Seen> changes_of(const std::vector<Seen>& all) {
  std::vector<Seen> changes;
  for (const Seen& seen : all) {
    const char tag = seen.message.front();
    if (tag == 'R' || tag == 'Y') continue;
    changes.push_back({tag == 'B' ? "" : seen.lsn, seen.message});
  }
  return changes;
}

TEST(WholeTransactions, StreamedAndWholeTransactionsAreTheSameBytes) {
  WholeTransactions streamed(spool());
  const auto from_stream = handed_on(streamed, captured("streamed"));
  std::vector<Seen> whole;
  for (const Captured& message : captured("whole")) whole.push_back({message.lsn, message.bytes});
  EXPECT_EQ(changes_of(from_stream).size(), 19U);
  EXPECT_TRUE(changes_of(from_stream) == changes_of(whole));
}

TEST(WholeTransactions, TheDecoderUnderstandsAllThatIsHandedOn) {
  WholeTransactions streamed(spool());
  PgoutputDecoder decoder;
  for (const Seen& seen : handed_on(streamed, captured("streamed"))) {
    EXPECT_NO_THROW(decoder.decode(seen.message)) << seen.message;
  }
}

TEST(WholeTransactions, WithoutStreamingEverythingPasses) {
  WholeTransactions transactions(std::nullopt);
  const auto sent = captured("whole");
  const auto seen = handed_on(transactions, sent);
  ASSERT_EQ(seen.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_TRUE(seen[i] == (Seen{sent[i].lsn, sent[i].bytes})) << i;
  }
}

TEST(WholeTransactions, KeepalivesPassWithinAndBetweenBlocks) {
  WholeTransactions transactions(spool());
  for (const Captured& message : captured("streamed")) {
    if (message.bytes.front() == 'c') break;
    transactions.receive(data_of(message));
    const Arrival arrival = transactions.receive(Keepalive{.wal_end = Lsn(5)});
    EXPECT_TRUE(std::holds_alternative<Keepalive>(arrival));
    EXPECT_TRUE(std::holds_alternative<NothingYet>(transactions.receive(NothingYet{})));
  }
}

TEST(WholeTransactions, WhatIsSetAsideIsNoChange) {
  WholeTransactions transactions(spool());
  std::size_t handed = 0;
  for (const Captured& message : captured("streamed")) {
    if (message.bytes.front() == 'c') break;
    handed += std::holds_alternative<WalData>(transactions.receive(data_of(message))) ? 1U : 0U;
  }
  EXPECT_EQ(handed, 10U);  // the two small transactions
}

// Of the sub-transaction and the transaction that were rolled back: dropped unread.
bool is_dropped_part(const std::string& message) {
  const bool in_block = std::string("RYIUDTM").find(message.front()) != std::string::npos;
  const std::string xid = in_block ? message.substr(1, 4) : "";
  return xid == std::string("\0\0\2\xfb", 4) || xid == std::string("\0\0\2\xfc", 4);
}

TEST(WholeTransactions, AStreamedMessageCutAnywhereIsAnErrorAtTheLatestInTheDecoder) {
  const auto sent = captured("streamed");
  for (std::size_t cut = 0; cut < sent.size(); ++cut) {
    const std::size_t read = is_dropped_part(sent[cut].bytes) ? 5 : sent[cut].bytes.size();
    for (std::size_t length = 0; length < read; ++length) {
      auto messages = sent;
      messages[cut].bytes.resize(length);
      const auto run = [&] {
        WholeTransactions transactions(spool());
        PgoutputDecoder decoder;
        for (const Seen& seen : handed_on(transactions, messages)) decoder.decode(seen.message);
      };
      EXPECT_THROW(run(), ProtocolError) << "message " << cut << " at " << length;
    }
  }
}

// ---- messages made by hand: relation 1 under several names

std::string number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string start(std::uint32_t xid, bool first) {
  return "S" + number(xid) + (first ? '\1' : '\0');
}
std::string abort_of(std::uint32_t xid, std::uint32_t sub) {
  return "A" + number(xid) + number(sub);
}
std::string commit_of(std::uint32_t xid) { return "c" + number(xid) + std::string(25, '\0'); }
std::string relation(const std::string& xid, const std::string& name) {
  return "R" + xid + number(1) + "s" + '\0' + name + std::string("\0d\0\0", 4);
}

// The names under which relation 1 was described, and B and C.
std::string names(const std::vector<std::string>& sent) {
  std::vector<Captured> messages;
  messages.reserve(sent.size());
  for (const auto& bytes : sent) {
    messages.push_back({.lsn = "0/1", .xid = {}, .commit_time = {}, .bytes = bytes});
  }
  WholeTransactions transactions(spool());
  PgoutputDecoder decoder;
  std::string result;
  for (const Seen& seen : handed_on(transactions, messages)) {
    const Change change = decoder.decode(seen.message);
    const auto* described = std::get_if<RelationSeen>(&change);
    result += described == nullptr ? seen.message.substr(0, 1) : described->relation->name;
    result += ' ';
  }
  return result;
}

TEST(WholeTransactions, WhatASubTransactionAlteredAndTookBackIsNeverDescribed) {
  EXPECT_EQ(names({start(7, true), relation(number(7), "a"), relation(number(8), "altered"), "E",
                   abort_of(7, 8), start(7, false), relation(number(7), "a"), "E", commit_of(7)}),
            "B a a C ");
}

TEST(WholeTransactions, ANewerDescriptionIsInForceAgainAfterAnOlderStream) {
  EXPECT_EQ(
      names({start(7, true), relation(number(7), "old"), "E", relation("", "new"), commit_of(7)}),
      "new B old new C ");
}

TEST(WholeTransactions, TheNewestOfTwoStreamsIsInForceAlsoWhenItCommittedFirst) {
  EXPECT_EQ(names({start(7, true), relation(number(7), "old"), "E", start(8, true),
                   relation(number(8), "new"), "E", commit_of(8), commit_of(7)}),
            "B new C B old new C ");
}

TEST(WholeTransactions, ADescriptionThatIsTheNewestComesOnce) {
  EXPECT_EQ(
      names({relation("", "old"), start(7, true), relation(number(7), "new"), "E", commit_of(7)}),
      "old B new C ");
  EXPECT_EQ(names({start(7, true), relation(number(7), "a"), "E", relation("", "b"),
                   start(7, false), relation(number(7), "c"), "E", commit_of(7)}),
            "b B a c C ");
}

TEST(WholeTransactions, AnAbortedStreamDescribesNothing) {
  EXPECT_EQ(
      names({relation("", "a"), start(7, true), relation(number(7), "b"), "E", abort_of(7, 7)}),
      "a ");
}

}  // namespace
}  // namespace pg
