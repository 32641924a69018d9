#include "publisher/publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "publisher/error.h"

namespace publisher {
namespace {

// nats.c's callback: records, and owns the message.
void on_ack(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) {
  const NatsMessage message(raw);
  NumberedAck numbered;
  const char* subject = natsMsg_GetSubject(raw);
  const char* token = std::strrchr(subject, '.') + 1;
  const auto [end, error] = std::from_chars(token, subject + std::strlen(subject), numbered.number);
  if (error != std::errc() || *end != '\0') return;  // not a reply to anything that was sent
  numbered.ack = parse_ack(raw);
  (*static_cast<std::shared_ptr<AckInbox>*>(closure))->put(std::move(numbered));
}

void on_complete(void* closure) { delete static_cast<std::shared_ptr<AckInbox>*>(closure); }

}  // namespace

Publisher::Publisher(Connection& nats, StreamSequence last, Window window,
                     std::function<void()> wake)
    : nats_(nats),
      base_(last),
      window_(window),
      inbox_(std::make_shared<AckInbox>(std::move(wake))),
      subscription_(nats.own(nullptr)) {
  char* raw_inbox = nullptr;
  check(natsInbox_Create(&raw_inbox), "making an inbox");
  const std::unique_ptr<natsInbox, Closer<natsInbox_Destroy>> inbox(raw_inbox);
  reply_prefix_ = std::string(inbox.get()) + ".";
  const std::string wildcard = reply_prefix_ + "*";
  auto* shared = new std::shared_ptr<AckInbox>(inbox_);
  natsSubscription* raw = nullptr;
  const auto status = natsConnection_Subscribe(&raw, nats.get(), wildcard.c_str(), &on_ack, shared);
  if (status != NATS_OK) {
    delete shared;
    throw_status(status, "subscribing to acks");
  }
  subscription_ = nats.own(raw);
  // nats.c calls this once its last callback has returned: the inbox then has no other user.
  check(natsSubscription_SetOnCompleteCB(raw, &on_complete, shared), "watching the acks");
  check(natsSubscription_SetPendingLimits(raw, -1, -1), "lifting the limits on acks");
}

Publisher::~Publisher() { inbox_->close(); }

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
  send(key.put_subject(nats_).c_str(), reply_prefix_ + "0", value,
       {{"Nats-Expected-Last-Subject-Sequence", expected_.c_str()}});
  save_sent_ = now;
}

void Publisher::send(const char* subject, const std::string& reply, std::string_view payload,
                     std::initializer_list<Header> headers, std::span<const Header> more) {
  natsMsg* raw = nullptr;
  check(natsMsg_Create(&raw, subject, reply.c_str(), payload.data(),
                       static_cast<int>(payload.size())),
        "making a message");
  const NatsMessage message(raw);
  const auto set = [raw](const Header& header) {
    check(natsMsgHeader_Set(raw, header.name, header.value), "setting a header");
  };
  std::for_each(headers.begin(), headers.end(), set);
  std::for_each(more.begin(), more.end(), set);
  check(natsConnection_PublishMsg(nats_.get(), raw), "publishing");
}

Publisher::Settled Publisher::settle(Clock::time_point now) {
  Settled settled;
  arrived_.clear();
  inbox_->take(arrived_);
  for (const NumberedAck& numbered : arrived_) {
    const Ack& ack = numbered.ack;
    if (numbered.number == 0) {
      if (ack.error != 0 || ack.sequence.value == 0) {
        throw Error(Failure::unexpected_ack,
                    fmt::format("the position was not saved: {}", ack.description), ack.error);
      }
      settled.revision = ack.sequence.value;
      save_sent_.reset();
      continue;
    }
    const StreamSequence expected = sequence_of(stored_ + 1);
    if (ack.error != 0) {
      throw Error(Failure::unexpected_ack,
                  fmt::format("the stream refused message {}: {}", expected.value, ack.description),
                  ack.error);
    }
    if (numbered.number != stored_ + 1 || ack.duplicate || ack.sequence != expected) {
      throw Error(Failure::unexpected_ack,
                  fmt::format("an ack for message {} where {} was due, with sequence {}{}",
                              sequence_of(numbered.number).value, expected.value,
                              ack.sequence.value, ack.duplicate ? ", a duplicate" : ""));
    }
    ++stored_;
    bytes_ -= sizes_.front();
    sizes_.pop_front();
    progress_ = now;
  }
  settled.stored = stored_;
  const bool stalled = (!sizes_.empty() && now - progress_ > window_.stall) ||
                       (save_sent_ && now - *save_sent_ > window_.stall);
  if (stalled) {
    throw Error(Failure::unavailable, fmt::format("no ack within {} ms for {} messages in flight",
                                                  window_.stall.count(), sizes_.size()));
  }
  return settled;
}

}  // namespace publisher
