// Follows a stream: its messages in order, from one sequence on, as they arrive.
//
// An ephemeral push consumer without acks, as the client libraries' "ordered consumers" are: the
// server pushes and counts, and each delivery's reply subject says the stream's sequence and the
// consumer's. When the consumer's counting has a gap, the consumer is made anew behind the last
// message that was returned; so no message is skipped or returned twice. When the server falls
// silent, that is thrown: the stream may be gone, or another one.
//
//   "$JS.ACK.{stream}.{consumer}.{delivered}.{stream seq}.{consumer seq}.{time}.{pending}"
//   "$JS.ACK.{domain}.{account}.{stream}.…"   with two tokens more, from newer servers
//
// Source: github.com/nats-io/nats-architecture-and-design, ADR-17 (ordered consumer), ADR-15.
//
// One thread. Throws publisher::Error; after Failure::unavailable connect anew and go on at next().
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "publisher/connection.h"
#include "publisher/types.h"

namespace publisher {

struct Delivery {
  StreamSequence sequence;
  std::string subject;
  std::string payload;
  std::map<std::string, std::string> headers;

  const std::string* header(const std::string& name) const;
};

class Consumer {
 public:
  // `filter`: a subject with wildcards, empty for all. `nats` must outlive the consumer.
  Consumer(Connection& nats, std::string stream, std::string filter, StreamSequence from);

  // The next message; nothing when none came in time.
  std::optional<Delivery> next(std::chrono::milliseconds wait);

  // Where to go on: behind the last message that was returned.
  StreamSequence position() const { return position_; }

 private:
  void subscribe();
  bool out_of_order(std::uint64_t consumer_sequence);
  bool handle_status(natsMsg* message);

  Connection& nats_;
  std::string stream_;
  std::string filter_;
  StreamSequence position_;
  Subscription subscription_;
  std::uint64_t delivered_ = 0;  // the consumer's own count
  std::chrono::steady_clock::time_point heard_;
};

// How many stored messages that match `filter` (empty: all) have the sequence `from` or a higher
// one.
std::uint64_t count_from(Connection& nats, const std::string& stream, const std::string& filter,
                         StreamSequence from);

// The sequence from which on there are `count` matching messages; the first one when there are
// fewer.
StreamSequence nth_last(Connection& nats, const std::string& stream, const std::string& filter,
                        StreamSequence first, StreamSequence last, std::uint64_t count);

// The two sequences in a delivery's reply subject; nothing when it is none.
struct DeliveryPlace {
  std::uint64_t stream_sequence = 0;
  std::uint64_t consumer_sequence = 0;
};
std::optional<DeliveryPlace> parse_reply(std::string_view reply);

}  // namespace publisher
