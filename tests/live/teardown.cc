// Dropping a publisher while its acks still arrive, as every resync does. What may go wrong there
// lies within nats.c and takes the whole process with it, about once in some hundred times: too
// seldom to be seen through the program's own backoff, so here it is done over and over.
#include <gtest/gtest.h>

#include "publisher/error.h"
#include "publisher/publisher.h"
#include "publisher/stream.h"
#include "publisher/tail.h"
#include "tests/servers/nats_server.h"

namespace servers {
namespace {

TEST(Teardown, ManyPublishersAreDroppedWithAcksUnderWay) {
  NatsServer server;
  server.jetstream().create_stream(
      {{"name", "FULL"}, {"subjects", {"full.>"}}, {"discard", "new"}, {"max_bytes", 50'000}});
  const std::string body(600, 'x');
  const int rounds = long_tests() ? 5000 : 500;
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    publisher::ConnectionSettings settings;
    settings.url = server.url();
    publisher::Connection nats(settings, [] {});
    const auto info = publisher::stream_info(nats, "FULL");
    ASSERT_TRUE(info);
    publisher::read_back(nats, "FULL", info->first, info->last, 64, 1U << 20U);
    publisher::Publisher publisher(settings, info->last, {}, [] {});
    using Clock = publisher::Publisher::Clock;
    try {
      // All that is sent behind the first message that does not fit is refused, one by one.
      const int messages = 100 + 37 * (round % 50);
      for (int i = 0; i < messages; ++i) {
        const std::string id = std::to_string(round) + ":" + std::to_string(i);
        publisher.publish({.subject = "full.x", .message_id = id.c_str(), .payload = body},
                          Clock::now());
        publisher.settle(Clock::now());
      }
      while (publisher.in_flight() > 0) {
        publisher.settle(Clock::now());  // has a deadline of its own
      }
    } catch (const publisher::Error&) {
      ++refused;
    }
  }
  EXPECT_EQ(refused, rounds);
}

}  // namespace
}  // namespace servers
