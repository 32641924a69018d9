#include "publisher/consumer.h"

#include <gtest/gtest.h>

namespace publisher {
namespace {

TEST(ParseReply, FindsBothSequencesInTheShortForm) {
  const auto place = parse_reply("$JS.ACK.CDC.Xum7BMkm.1.1234.7.1700000000000000000.42");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->stream_sequence, 1234U);
  EXPECT_EQ(place->consumer_sequence, 7U);
}

TEST(ParseReply, FindsBothSequencesBehindDomainAndAccount) {
  for (const char* reply : {"$JS.ACK._.hash.CDC.cons.1.1234.7.1700000000000000000.42",
                            "$JS.ACK.hub.hash.CDC.cons.1.1234.7.1700000000000000000.42.token"}) {
    const auto place = parse_reply(reply);
    ASSERT_TRUE(place) << reply;
    EXPECT_EQ(place->stream_sequence, 1234U);
    EXPECT_EQ(place->consumer_sequence, 7U);
  }
}

TEST(ParseReply, TakesNothingElseForADelivery) {
  for (const char* reply :
       {"", "$JS.FC.CDC.cons.abcd", "_INBOX.x.1", "$JS.ACK", "$JS.ACK.CDC.cons.1.2.3.4",
        "$JS.ACK.CDC.cons.1.x.7.1700000000000000000.42", "$JS.ACK.CDC.cons.1.1234..17.42"}) {
    EXPECT_FALSE(parse_reply(reply)) << reply;
  }
}

}  // namespace
}  // namespace publisher
