#include "publisher/publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "publisher/error.h"

namespace publisher {
namespace {

constexpr std::chrono::seconds absence{1};

// The last token of a reply's subject: what it answers. Nothing where it is no such number.
std::optional<std::uint64_t> number_of(natsMsg* reply) {
  const char* subject = natsMsg_GetSubject(reply);
  const char* token = std::strrchr(subject, '.') + 1;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(token, subject + std::strlen(subject), number);
  if (error != std::errc() || *end != '\0') return std::nullopt;
  return number;
}

}  // namespace

Publisher::Publisher(const ConnectionSettings& settings, StreamSequence last, Window window,
                     std::function<void()> wake)
    : nats_(settings, std::move(wake)),
      base_(last),
      window_(window),
      acks_(nats_.nats().own(nullptr)),
      looked_(Clock::now()) {
  char* raw_inbox = nullptr;
  check(natsInbox_Create(&raw_inbox), "making an inbox");
  const std::unique_ptr<natsInbox, Closer<natsInbox_Destroy>> inbox(raw_inbox);
  reply_prefix_ = std::string(inbox.get()) + ".";
  const std::string wildcard = reply_prefix_ + "*";
  natsSubscription* raw = nullptr;
  check(natsConnection_SubscribeSync(&raw, nats_.nats().get(), wildcard.c_str()),
        "subscribing to acks");
  acks_ = nats_.nats().own(raw);
  check(natsSubscription_SetPendingLimits(raw, -1, -1), "lifting the limits on acks");
}

std::uint64_t Publisher::publish(const Envelope& envelope, Clock::time_point now) {
  reply_.assign(reply_prefix_);
  fmt::format_to(std::back_inserter(reply_), "{}", sent_ + 1);
  expected_.clear();
  fmt::format_to(std::back_inserter(expected_), "{}", base_.value + sent_);
  send(envelope.subject, reply_, envelope.payload,
       {{"Nats-Msg-Id", envelope.message_id}, {"Nats-Expected-Last-Sequence", expected_.c_str()}},
       envelope.headers);
  if (sizes_.empty()) progress_ = now;
  sizes_.push_back(static_cast<std::uint32_t>(envelope.payload.size()));
  bytes_ += envelope.payload.size();
  return ++sent_;
}

void Publisher::save(const KeyValue& key, std::string_view value, std::uint64_t expected,
                     Clock::time_point now) {
  expected_ = std::to_string(expected);
  send(key.put_subject(nats_.nats()).c_str(), reply_prefix_ + "0", value,
       {{"Nats-Expected-Last-Subject-Sequence", expected_.c_str()}});
  save_sent_ = now;
}

void Publisher::send(const char* subject, const std::string& reply, std::string_view payload,
                     std::initializer_list<Header> headers, std::span<const Header> more) {
  natsMsg* raw = nullptr;
  check(natsMsg_Create(&raw, subject, reply.c_str(), payload.data(),
                       static_cast<int>(payload.size())),
        "making a message");
  NatsMessage message(raw);
  const auto set = [raw](const Header& header) {
    check(natsMsgHeader_Set(raw, header.name, header.value), "setting a header");
  };
  std::for_each(headers.begin(), headers.end(), set);
  std::for_each(more.begin(), more.end(), set);
  check(natsConnection_PublishMsg(nats_.nats().get(), raw), "publishing");
  spent_.add(std::move(message), payload.size());
  nats_.flush_much();
}

// Nothing: there is none.
NatsMessage Publisher::next_ack() {
  natsMsg* raw = nullptr;
  natsSubscription_NextMsg(&raw, acks_.get(), 0);
  return NatsMessage(raw);
}

// What stalls is the server, not the caller: of a time in which nobody looked a second counts.
Publisher::Settled Publisher::settle(Clock::time_point now) {
  if (const auto away = now - looked_; away > absence) {
    progress_ = std::min(now, progress_ + (away - absence));
    if (save_sent_) save_sent_ = std::min(now, *save_sent_ + (away - absence));
  }
  looked_ = now;
  nats_.turn();
  Settled settled;
  while (NatsMessage reply = next_ack()) {
    if (const auto number = number_of(reply.get())) {
      settle(*number, parse_ack(reply.get()), now, settled);
    }
    spent_.add(std::move(reply), 0);
  }
  settled.stored = stored_;
  nats_.nats().check_permissions();
  if (nats_.nats().lost()) throw Error(Failure::unavailable, "the connection to NATS was lost");
  const bool stalled = (!sizes_.empty() && now - progress_ > window_.stall) ||
                       (save_sent_ && now - *save_sent_ > window_.stall);
  if (stalled) {
    throw Error(Failure::unavailable, fmt::format("no ack within {} ms for {} messages in flight",
                                                  window_.stall.count(), sizes_.size()));
  }
  return settled;
}

void Publisher::settle(std::uint64_t number, const Ack& ack, Clock::time_point now,
                       Settled& settled) {
  if (number == 0) {
    if (ack.error != 0 || ack.sequence.value == 0) {
      throw Error(Failure::unexpected_ack,
                  fmt::format("the position was not saved: {}", ack.description), ack.error);
    }
    settled.revision = ack.sequence.value;
    save_sent_.reset();
    return;
  }
  const StreamSequence expected = sequence_of(stored_ + 1);
  if (ack.error != 0) {
    throw Error(Failure::unexpected_ack,
                fmt::format("the stream refused message {}: {}", expected.value, ack.description),
                ack.error);
  }
  if (number != stored_ + 1 || ack.duplicate || ack.sequence != expected) {
    throw Error(Failure::unexpected_ack,
                fmt::format("an ack for message {} where {} was due, with sequence {}{}",
                            sequence_of(number).value, expected.value, ack.sequence.value,
                            ack.duplicate ? ", a duplicate" : ""));
  }
  ++stored_;
  bytes_ -= sizes_.front();
  sizes_.pop_front();
  progress_ = now;
}

}  // namespace publisher
