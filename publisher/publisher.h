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
// One thread does it all: nothing is sent or received but in the calls below, and none of them
// waits, but the constructor, which connects.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "publisher/ack.h"
#include "publisher/key_value.h"
#include "publisher/polled_connection.h"
#include "publisher/spent_messages.h"
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
  // `wake` is called on a thread of nats.c when the connection is lost, or the server has refused
  // something; it may only record. Throws what connecting throws.
  Publisher(const ConnectionSettings& settings, StreamSequence last, Window window,
            std::function<void()> wake);

  // False when the window is full in messages or in bytes. One message may be larger than the
  // window: it goes out alone.
  bool has_room() const {
    return sizes_.size() < window_.messages && (sizes_.empty() || bytes_ < window_.bytes);
  }

  // Messages are numbered 1, 2, 3… What is published goes out when much has gathered, and with the
  // next flush() or settle(). Throws Failure::unavailable.
  std::uint64_t publish(const Envelope& envelope, Clock::time_point now);

  // Writes to the key when its revision is still `expected`; the answer comes with settle(). At
  // most one may be under way.
  void save(const KeyValue& key, std::string_view value, std::uint64_t expected,
            Clock::time_point now);
  bool saving() const { return save_sent_.has_value(); }
  void flush() { nats_.flush(); }
  // Answers the server, which otherwise ends the connection after some minutes. For those who do
  // not settle() for that long.
  void keep_alive() { nats_.turn(); }

  // For poll(2): what has to be waited for before settle() has something to do.
  int socket() const { return nats_.socket(); }
  short events() const { return nats_.events(); }

  // What has been acknowledged since the last call. Throws when the chain broke or stalled, or the
  // connection is lost.
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

  // Number 0 is the save's.
  void settle(std::uint64_t number, const Ack& ack, Clock::time_point now, Settled& settled);
  NatsMessage next_ack();

  PolledConnection nats_;
  StreamSequence base_;
  Window window_;
  Subscription acks_;
  SpentMessages spent_;
  std::string reply_prefix_;
  std::uint64_t sent_ = 0;
  std::uint64_t stored_ = 0;
  std::deque<std::uint32_t> sizes_;  // of the messages in flight
  std::uint64_t bytes_ = 0;
  Clock::time_point progress_;  // when the oldest message became the oldest
  Clock::time_point looked_;    // for acks
  std::optional<Clock::time_point> save_sent_;
  std::string reply_;
  std::string expected_;
};

}  // namespace publisher
