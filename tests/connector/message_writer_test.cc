// Records become messages: held until it is known which is the last, packed, cut into parts.
#include "connector/message_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "connector/stop.h"

namespace connector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Sent {
  MessagePosition position;
  std::string subject, id, payload;
  std::map<std::string, std::string> headers;
};

class Writer {
 public:
  explicit Writer(const PublishConfig& publish) {
    config_.source.slot = "s";
    config_.publish = publish;
  }

  void change(std::uint64_t ordinal, const std::string& body, std::uint64_t lsn = 0x10) {
    HeldRecord& held = writer_.hold({pg::Lsn(lsn), ordinal});
    held.source = "table public.t";
    held.subject = "cdc.public.t.insert";
    held.body = body;
  }
  void message(std::uint64_t ordinal, const std::string& body) {
    change(ordinal, body);
    HeldRecord& held = writer_.hold({pg::Lsn(0x10), ordinal + 1});
    held.subject = "cdc._message.p";
    held.body = body;
    held.raw = true;
    held.headers.emplace_back("Walferry-Prefix", "p");
  }
  // A change that is two records.
  void two(std::uint64_t ordinal, const std::string& removal, const std::string& body) {
    HeldRecord& held = writer_.hold({pg::Lsn(0x10), ordinal});
    held.source = "table public.t";
    held.subject = "cdc.public.t.insert";
    held.removal_subject = "cdc.public.t.delete";
    held.removal = removal;
    held.body = body;
  }
  MessageWriter& writer() { return writer_; }
  std::vector<std::string> payloads() const {
    std::vector<std::string> all;
    for (const Sent& sent : sent_) all.push_back(sent.payload);
    return all;
  }
  const std::vector<Sent>& sent() const { return sent_; }

 private:
  Config config_;
  std::vector<Sent> sent_;
  MessageWriter writer_{
      config_, [](std::string& body, bool last) { body += last ? "!" : "."; },
      [](const HeldRecord&, const char*) { return std::span<const publisher::Header>(); },
      [this](const Message& message) {
        Sent sent{.position = message.position,
                  .subject = message.envelope.subject,
                  .id = message.envelope.message_id,
                  .payload = std::string(message.envelope.payload),
                  .headers = {}};
        for (const auto& [name, value] : message.envelope.headers) {
          sent.headers[name] = value;
        }
        sent_.push_back(std::move(sent));
      }};
};

TEST(MessageWriter, OnlyTheLastOfATransactionIsMarked) {
  Writer writer({});
  writer.change(1, "a");
  writer.change(2, "b");
  writer.writer().commit();
  writer.change(1, "c", 0x20);
  writer.writer().commit();
  writer.writer().commit();  // a transaction without a record
  EXPECT_THAT(writer.payloads(), ElementsAre("a.", "b!", "c!"));
  EXPECT_EQ(writer.sent()[1].id, "s:0000000000000010:2");
  EXPECT_TRUE(writer.sent()[1].headers.empty());
}

TEST(MessageWriter, ALogicalMessageIsRawAndSaysInAHeaderThatItIsTheLast) {
  Writer writer({});
  writer.message(1, "x");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("x.", "x"));
  EXPECT_EQ(writer.sent()[1].headers, (std::map<std::string, std::string>{
                                          {"Walferry-Prefix", "p"}, {"Walferry-Tx-Last", "true"}}));
}

TEST(MessageWriter, ALogicalMessageOutsideOfTransactionsIsNoTransactionsLast) {
  Writer writer({});
  HeldRecord& held = writer.writer().hold({pg::Lsn(0x20), 0});
  held.subject = "cdc._message.p";
  held.body = "x";
  held.raw = true;
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("x"));
  EXPECT_TRUE(writer.sent()[0].headers.empty());
}

TEST(MessageWriter, ASchemaRecordStandsBetween) {
  Writer writer({});
  writer.change(1, "a");
  writer.writer().schema({pg::Lsn(0x10), 2}, "table public.t", "cdc._schema.public.t", "S");
  writer.change(2, "b");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("a.", "S", "b!"));
  EXPECT_EQ(writer.sent()[1].id, "s:0000000000000010:2:schema");
  EXPECT_EQ(writer.sent()[1].headers.at("Walferry-Position"), "0000000000000010:1");
  EXPECT_LT(writer.sent()[0].position, writer.sent()[1].position);
  EXPECT_LT(writer.sent()[1].position, writer.sent()[2].position);
}

TEST(MessageWriter, AChangeThatIsTwoRecordsIsTwoMessages) {
  Writer writer({});
  writer.two(2, "gone", "new");
  writer.change(3, "c");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("gone.", "new.", "c!"));
  const Sent& gone = writer.sent()[0];
  EXPECT_EQ(gone.id, "s:0000000000000010:2:delete");
  EXPECT_EQ(gone.subject, "cdc.public.t.delete");
  EXPECT_EQ(gone.headers.at("Walferry-Position"), "0000000000000010:1");
  EXPECT_EQ(gone.position, MessagePosition({pg::Lsn(0x10), 2}, MessagePosition::removal));
  EXPECT_EQ(writer.sent()[1].id, "s:0000000000000010:2");
  EXPECT_EQ(writer.sent()[1].subject, "cdc.public.t.insert");
  EXPECT_TRUE(writer.sent()[1].headers.empty());
  EXPECT_LT(gone.position, writer.sent()[1].position);
}

TEST(MessageWriter, TwoRecordsOfOneChangeStayInOnePack) {
  Writer writer({.pack = "transaction", .max_message = 12});
  writer.change(1, "a");
  writer.two(2, "gone", "new");  // "a.\ngone.\nnew." does not fit
  writer.change(3, "c");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("a.", "gone.\nnew.", "c!"));
  const Sent& both = writer.sent()[1];
  EXPECT_EQ(both.id, "s:0000000000000010:2");
  EXPECT_EQ(both.headers.at("Walferry-Position"), "0000000000000010:2");
  EXPECT_EQ(both.headers.at("Walferry-Changes"), "2");
  EXPECT_EQ(both.position, MessagePosition({pg::Lsn(0x10), 2}));
}

TEST(MessageWriter, TwoRecordsThatDoNotFitIntoOnePackAreSentApart) {
  Writer writer({.pack = "transaction", .max_message = 8});
  writer.change(1, "a");
  writer.two(2, "gone", "new");
  writer.change(3, "c");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("a.", "gone.", "new.", "c!"));
  EXPECT_EQ(writer.sent()[1].id, "s:0000000000000010:2:delete");
  EXPECT_EQ(writer.sent()[2].id, "s:0000000000000010:2");
}

TEST(MessageWriter, EachOfTwoRecordsIsSplitByItself) {
  Writer writer({.max_message = 4, .oversize = "split"});
  writer.two(2, "abcde", "uvwxyz");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("abcd", "e.", "uvwx", "yz!"));
  std::vector<std::string> ids, covered;
  for (std::size_t i = 0; i < writer.sent().size(); ++i) {
    ids.push_back(writer.sent()[i].id.substr(19));
    covered.push_back(writer.sent()[i].headers.at("Walferry-Position").substr(17));
    EXPECT_TRUE(i == 0 || writer.sent()[i - 1].position < writer.sent()[i].position) << i;
  }
  EXPECT_THAT(ids, ElementsAre("2:delete.1", "2:delete.2", "2.1", "2.2"));
  EXPECT_THAT(covered, ElementsAre("1", "1", "1", "2"));
}

TEST(MessageWriter, ARecordAboveTheLimitStopsWithTableAndSize) {
  Writer writer({.max_message = 4});
  writer.change(1, "abcd");
  try {
    writer.writer().commit();
    FAIL();
  } catch (const Stop& stop) {
    EXPECT_EQ(stop.code(), Exit::precondition);
    EXPECT_THAT(stop.what(), HasSubstr("table public.t, position 0000000000000010:1: the record "
                                       "has 5 bytes, and publish.max_message is 4"));
  }
  EXPECT_TRUE(writer.sent().empty());
}

TEST(MessageWriter, PartsJoinToTheRecord) {
  for (std::size_t size = 1; size < 14; ++size) {
    Writer writer({.max_message = 4, .oversize = "split"});
    writer.change(2, std::string(size, 'x'));
    writer.writer().commit();
    std::string joined;
    const std::size_t parts = writer.sent().size();
    ASSERT_EQ(parts, (size + 1 + 3) / 4);
    for (std::size_t i = 0; i < parts && parts > 1; ++i) {
      const Sent& sent = writer.sent()[i];
      EXPECT_EQ(sent.id, "s:0000000000000010:2." + std::to_string(i + 1));
      EXPECT_EQ(sent.headers.at("Walferry-Part"), std::to_string(i + 1));
      EXPECT_EQ(sent.headers.at("Walferry-Parts"), std::to_string(parts));
      EXPECT_EQ(sent.headers.at("Walferry-Position"),
                i + 1 == parts ? "0000000000000010:2" : "0000000000000010:1");
      EXPECT_LE(sent.payload.size(), 4U);
    }
    for (const Sent& sent : writer.sent()) joined += sent.payload;
    EXPECT_EQ(joined, std::string(size, 'x') + "!");
    EXPECT_EQ(writer.sent().back().position, MessagePosition({pg::Lsn(0x10), 2}));
  }
}

TEST(MessageWriter, APackHoldsATransactionUpToTheLimit) {
  Writer writer({.pack = "transaction", .max_message = 8});
  for (std::uint64_t i = 1; i <= 5; ++i) writer.change(i, "ab");
  writer.writer().commit();
  writer.change(1, "c", 0x20);
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("ab.\nab.", "ab.\nab.", "ab!", "c!"));
  const Sent& second = writer.sent()[1];
  EXPECT_EQ(second.subject, "cdc._transaction");
  EXPECT_EQ(second.id, "s:0000000000000010:3");
  EXPECT_EQ(second.headers.at("Walferry-Position"), "0000000000000010:4");
  EXPECT_EQ(second.headers.at("Walferry-Changes"), "2");
  EXPECT_EQ(second.position, MessagePosition({pg::Lsn(0x10), 4}));
}

TEST(MessageWriter, APackEndsWhereWhatIsStoredEnds) {
  Writer writer({.pack = "transaction"});
  writer.writer().cut_after({pg::Lsn(0x10), 3});
  for (const std::uint64_t i : {1U, 2U, 5U, 6U}) writer.change(i, "a");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("a.\na.", "a.\na!"));
}

TEST(MessageWriter, APackGivesWayToWhatStandsAlone) {
  Writer writer({.pack = "transaction", .max_message = 8, .oversize = "split"});
  writer.change(1, "a");
  writer.change(2, "0123456789");
  writer.message(3, "m");
  writer.change(5, "b");
  writer.writer().schema({pg::Lsn(0x10), 6}, "table public.t", "cdc._schema.public.t", "S");
  writer.change(6, "c");
  writer.writer().commit();
  EXPECT_THAT(writer.payloads(), ElementsAre("a.", "01234567", "89.", "m.", "m", "b.", "S", "c!"));
  EXPECT_EQ(writer.sent()[1].subject, "cdc.public.t.insert");
}

}  // namespace
}  // namespace connector
