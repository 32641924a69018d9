// The publisher against a real server: what it sends in parts, what it drops, and what it takes for
// lost. Its settle() is called as a session would, with a clock of the test's own where a deadline
// is looked at.
#include "publisher/publisher.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "publisher/error.h"
#include "publisher/stream.h"
#include "tests/servers/nats_server.h"

namespace servers {
namespace {

using publisher::Error;
using publisher::Failure;
using Clock = publisher::Publisher::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

class PublisherLive : public testing::Test {
 protected:
  PublisherLive() {
    server_.jetstream().create_stream({{"name", "S"}, {"subjects", {"s.>"}}});
    settings_.url = server_.url();
  }

  std::uint64_t stored() {
    publisher::Connection nats(settings_, [] {});
    return publisher::stream_info(nats, "S")->messages;
  }

  void publish(publisher::Publisher& publisher, const std::string& body,
               const char* subject = "s.x") {
    const std::string id = std::to_string(publisher.sent());
    publisher.publish({.subject = subject, .message_id = id.c_str(), .payload = body},
                      Clock::now());
  }

  // Until all is stored, which has a deadline of the publisher's own.
  void drain(publisher::Publisher& publisher) {
    while (true) {
      publisher.settle(Clock::now());
      if (publisher.in_flight() == 0) return;
      pollfd waiting{.fd = publisher.socket(), .events = publisher.events(), .revents = 0};
      poll(&waiting, 1, 100);
    }
  }

  NatsServer server_;
  publisher::ConnectionSettings settings_;
};

// A message is larger than what the socket takes at once, so each goes out in parts.
TEST_F(PublisherLive, SendsInPartsWhatTheSocketDoesNotTakeAtOnce) {
  publisher::Publisher publisher(settings_, {}, {.messages = 20, .bytes = 1ULL << 30}, [] {});
  const std::string body(900'000, 'x');
  for (int i = 0; i < 60; ++i) {
    if (!publisher.has_room()) drain(publisher);
    publish(publisher, body);
  }
  drain(publisher);
  EXPECT_EQ(stored(), 60U);
}

TEST_F(PublisherLive, SendsAWholeWindowBeforeItLooks) {
  publisher::Publisher publisher(settings_, {}, {.messages = 50'000, .bytes = 1ULL << 30}, [] {});
  for (int i = 0; i < 50'000; ++i) publish(publisher, "x");
  EXPECT_FALSE(publisher.has_room());
  drain(publisher);
  EXPECT_EQ(stored(), 50'000U);
}

// nats.c would wait for an answer to it, half a second each time.
TEST_F(PublisherLive, DropsWhatIsUnsent) {
  {
    publisher::Publisher publisher(settings_, {}, {.messages = 100, .bytes = 1ULL << 30}, [] {});
    server_.suspend();
    const std::string body(900'000, 'x');
    while (publisher.has_room()) publish(publisher, body);
    publisher.flush();
    ASSERT_NE(publisher.events() & POLLOUT, 0);
  }
  server_.resume();
  EXPECT_LT(stored(), 100U);
}

TEST_F(PublisherLive, ALostConnectionShowsAtTheNextLook) {
  publisher::Publisher publisher(settings_, {}, {}, [] {});
  publish(publisher, "x");
  drain(publisher);
  server_.kill_hard();
  const auto deadline = Clock::now() + seconds(30);
  try {
    while (Clock::now() < deadline) publisher.settle(Clock::now());
    FAIL() << "not lost";
  } catch (const Error& error) {
    EXPECT_EQ(error.failure(), Failure::unavailable) << error.what();
  }
  EXPECT_EQ(publisher.socket(), -1);
}

// What goes to "elsewhere" is stored by nobody, and so nobody answers: with a subscriber there it
// is not refused either.
class PublisherUnanswered : public PublisherLive {
 protected:
  PublisherUnanswered() {
    natsSubscription* raw = nullptr;
    EXPECT_EQ(natsConnection_SubscribeSync(&raw, other_.get(), "elsewhere"), NATS_OK);
    subscription_ = other_.own(raw);
    EXPECT_EQ(natsConnection_Flush(other_.get()), NATS_OK);
  }

  publisher::Connection other_{settings_, [] {}};
  publisher::Subscription subscription_ = other_.own(nullptr);
  publisher::Publisher publisher_{settings_, {}, {.stall = milliseconds(5000)}, [] {}};
};

TEST_F(PublisherUnanswered, StallsOnlyWhileSomebodyLooks) {
  auto now = Clock::now();
  publish(publisher_, "x", "elsewhere");
  publisher_.settle(now);
  EXPECT_NO_THROW(publisher_.settle(now += seconds(100)));  // of which one counts
  for (int i = 0; i < 4; ++i) EXPECT_NO_THROW(publisher_.settle(now += milliseconds(900)));
  EXPECT_NO_THROW(publisher_.settle(now += milliseconds(300)));
  try {
    publisher_.settle(now += milliseconds(900));
    FAIL() << "not stalled";
  } catch (const Error& error) {
    EXPECT_EQ(error.failure(), Failure::unavailable) << error.what();
    EXPECT_NE(std::string(error.what()).find("no ack within 5000 ms"), std::string::npos);
  }
}

// The time before it was sent is not one in which it was waited for.
TEST_F(PublisherUnanswered, StallsInTimeAfterALongAbsence) {
  auto now = Clock::now() + seconds(10'000);
  publisher_.publish({.subject = "elsewhere", .message_id = "1", .payload = "x"}, now);
  publisher_.settle(now);
  for (int i = 0; i < 5; ++i) EXPECT_NO_THROW(publisher_.settle(now += milliseconds(900)));
  EXPECT_THROW(publisher_.settle(now += milliseconds(900)), Error);
}

// One look in a while is enough to see it.
TEST_F(PublisherUnanswered, StallsThoughItIsSeldomLookedAt) {
  auto now = Clock::now();
  publish(publisher_, "x", "elsewhere");
  publisher_.settle(now);
  for (int i = 0; i < 5; ++i) EXPECT_NO_THROW(publisher_.settle(now += seconds(30)));
  EXPECT_THROW(publisher_.settle(now += seconds(30)), Error);
}

}  // namespace
}  // namespace servers
