// Publishes in order, in a pipeline, and believes only what the stream says.
//
//   publish(1) publish(2) publish(3) …     each with Nats-Expected-Last-Sequence = the one before
//        └──────────┴─────────┴─────▶ JetStream ──▶ {"seq": base + n} ──▶ settle()
//
// Because each message names the sequence that must precede it, one that is not stored, for
// whatever reason, makes the server refuse all that follow: what is stored is always a prefix of
// what was sent. The chain compares places, not contents, so each ack's sequence must also be the
// one that was computed here; any other means that somebody else writes into the stream.
//
// There is no retry of a message. Anything unexpected (an error, a wrong sequence, a duplicate, an
// ack out of turn, no ack for the oldest message in time, a lost connection) throws, and the whole
// window is dropped: the caller connects anew and asks the stream's tail where to go on.
//
// One thread calls; nats.c's threads only record acks and wake the caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "publisher/ack_inbox.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"
#include "publisher/types.h"

namespace publisher {

struct Window {
  std::uint32_t messages = 4096;
  std::uint64_t bytes = 8ULL << 20;
  std::chrono::milliseconds stall{5000};  // the longest that the oldest message waits for its ack
};

class Publisher {
 public:
  using Clock = std::chrono::steady_clock;

  // `last` is the stream's last sequence: the first message is stored behind it or not at all.
  // `wake` is called on a thread of nats.c when there is something to settle; it may only record.
  // `nats` must outlive the publisher.
  Publisher(Connection& nats, StreamSequence last, Window window, std::function<void()> wake);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // False when the window is full in messages or in bytes. One message may be larger than the
  // window: it goes out alone.
  bool has_room() const {
    return sizes_.size() < window_.messages && (sizes_.empty() || bytes_ < window_.bytes);
  }

  // Sends, without waiting. Messages are numbered 1, 2, 3… Throws Failure::unavailable.
  std::uint64_t publish(const Envelope& envelope, Clock::time_point now);

  // Writes to the key when its revision is still `expected`; the answer comes with settle(). At
  // most one may be under way.
  void save(const KeyValue& key, std::string_view value, std::uint64_t expected,
            Clock::time_point now);
  bool saving() const { return save_sent_.has_value(); }

  // What has been acknowledged since the last call. Throws when the chain broke or stalled.
  struct Settled {
    std::uint64_t stored = 0;               // messages 1 to `stored` are in the stream
    std::optional<std::uint64_t> revision;  // the save's new revision
  };
  Settled settle(Clock::time_point now);

  std::uint64_t sent() const { return sent_; }
  std::uint64_t in_flight() const { return sizes_.size(); }
  // The stream's last sequence once messages 1 to `number` are stored.
  StreamSequence sequence_of(std::uint64_t number) const {
    return StreamSequence(base_.value + number);
  }

 private:
  void send(const char* subject, const std::string& reply, std::string_view payload,
            std::initializer_list<Header> headers, std::span<const Header> more = {});

  Connection& nats_;
  StreamSequence base_;
  Window window_;
  std::shared_ptr<AckInbox> inbox_;  // shared with nats.c until it has delivered its last ack
  Subscription subscription_;
  std::vector<NumberedAck> arrived_;  // emptied, never freed: settle() allocates nothing
  std::string reply_prefix_;
  std::uint64_t sent_ = 0;
  std::uint64_t stored_ = 0;
  std::deque<std::uint32_t> sizes_;  // of the messages in flight
  std::uint64_t bytes_ = 0;
  Clock::time_point progress_;  // when the oldest message became the oldest
  std::optional<Clock::time_point> save_sent_;
  std::string reply_;
  std::string expected_;
};

}  // namespace publisher
