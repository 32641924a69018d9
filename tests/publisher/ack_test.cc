#include "publisher/ack.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace publisher {
namespace {

TEST(ParseAck, OfAStoredMessage) {
  for (const char* body :
       {R"({"stream":"CDC", "seq":42})", R"({"stream":"CDC","seq":42})",
        R"({"stream":"CDC", "domain":"hub", "seq":42})", R"({ "seq": 42, "stream": "CDC" })"}) {
    const Ack ack = parse_ack(body);
    EXPECT_EQ(ack.sequence, StreamSequence(42)) << body;
    EXPECT_FALSE(ack.duplicate) << body;
    EXPECT_EQ(ack.error, 0) << body;
  }
  EXPECT_EQ(parse_ack(R"({"stream":"CDC", "seq":18446744073709551615})").sequence,
            StreamSequence(18446744073709551615U));
}

TEST(ParseAck, OfADuplicate) {
  const Ack ack = parse_ack(R"({"stream":"CDC", "seq":42,"duplicate": true})");
  EXPECT_EQ(ack.sequence, StreamSequence(42));
  EXPECT_TRUE(ack.duplicate);
  EXPECT_EQ(ack.error, 0);
  EXPECT_FALSE(parse_ack(R"({"stream":"CDC", "seq":42,"duplicate":false})").duplicate);
}

TEST(ParseAck, SequenceZeroIsNotStored) {
  EXPECT_EQ(parse_ack(R"({"stream":"CDC", "seq":0,"duplicate":true})").sequence, StreamSequence());
  EXPECT_EQ(parse_ack(R"({"stream":"CDC", "seq":0})").sequence, StreamSequence());
}

TEST(ParseAck, OfARefusal) {
  const Ack ack =
      parse_ack(R"({"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},)"
                R"("stream":"CDC","seq":0})");
  EXPECT_EQ(ack.error, 10071);
  EXPECT_EQ(ack.description, "wrong last sequence: 7");
  EXPECT_EQ(ack.sequence, StreamSequence());
  EXPECT_EQ(parse_ack(R"({"error":{"code":503}})").error, 503);
  EXPECT_NE(parse_ack(R"({"error":{}})").error, 0);
}

TEST(ParseAck, ARefusalWithASequenceIsStillARefusal) {
  const Ack ack = parse_ack(R"({"stream":"CDC", "seq":42,"error":{"err_code":10077}})");
  EXPECT_EQ(ack.error, 10077);
  EXPECT_EQ(ack.sequence, StreamSequence());
}

TEST(ParseAck, NothingUnknownCountsAsStored) {
  const std::vector<std::string> bodies = {"",
                                           "+OK",
                                           "null",
                                           "42",
                                           "[]",
                                           "{}",
                                           R"({"stream":"CDC"})",
                                           R"({"stream":"CDC", "seq":-1})",
                                           R"({"stream":"CDC", "seq":"42"})",
                                           R"({"stream":"CDC", "seq":4.2})",
                                           R"({"stream":"CDC", "seq":18446744073709551616})",
                                           R"({"stream":"CDC", "seq":42)",
                                           R"({"stream":"CDC", "seq":42}x)",
                                           R"({"stream":"CDC", "seq":})",
                                           R"({"stream":"CDC", "seq")",
                                           R"({"stream":")",
                                           R"({"stream":"CDC", "seq":42)" + std::string("\0}", 2),
                                           "\xFF\xFE"};
  for (const std::string& body : bodies) {
    const Ack ack = parse_ack(body);
    EXPECT_NE(ack.error, 0) << body;
    EXPECT_EQ(ack.sequence, StreamSequence()) << body;
  }
}

// It runs on a thread of nats.c, where an exception would end the process.
TEST(ParseAck, ThrowsForNoTypeOfAnyField) {
  for (const char* value : {"null", "true", "1", "-1", "1e400", "\"x\"", "[]", "{}"}) {
    const std::string v = value;
    EXPECT_NO_THROW(parse_ack(R"({"error":)" + v + "}"));
    EXPECT_NO_THROW(parse_ack(R"({"error":{"code":)" + v + "}}"));
    EXPECT_NO_THROW(parse_ack(R"({"error":{"err_code":)" + v + "}}"));
    EXPECT_NO_THROW(parse_ack(R"({"error":{"description":)" + v + "}}"));
    EXPECT_NO_THROW(parse_ack(R"({"seq":)" + v + "}"));
    EXPECT_NO_THROW(parse_ack(R"({"seq":1,"duplicate":)" + v + "}"));
  }
}

}  // namespace
}  // namespace publisher
