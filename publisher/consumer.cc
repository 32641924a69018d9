#include "publisher/consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "publisher/error.h"

namespace publisher {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

constexpr std::chrono::seconds heartbeat{2};
// Silent for longer than this: the consumer is gone, and perhaps the stream.
constexpr std::chrono::seconds silence = heartbeat * 3;

std::int64_t nanoseconds(std::chrono::seconds duration) {
  return std::chrono::nanoseconds(duration).count();
}

Json consumer_config(const std::string& filter, StreamSequence from) {
  Json config{{"deliver_policy", "by_start_sequence"},
              {"opt_start_seq", std::max<std::uint64_t>(from.value, 1)},
              {"replay_policy", "instant"},
              {"mem_storage", true},
              {"num_replicas", 1}};
  if (!filter.empty()) config["filter_subject"] = filter;
  return config;
}

Json create(Connection& nats, const std::string& stream, const Json& config) {
  const Json request{{"stream_name", stream}, {"config", config}};
  return Json::parse(nats.api("CONSUMER.CREATE." + stream, request.dump()));
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

std::map<std::string, std::string> headers_of(natsMsg* message) {
  std::map<std::string, std::string> headers;
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message, &keys, &count) != NATS_OK) return headers;  // there are none
  for (int i = 0; i < count; ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(message, keys[i], &value) == NATS_OK) headers[keys[i]] = value;
  }
  std::free(static_cast<void*>(keys));
  return headers;
}

std::string header(natsMsg* message, const char* name) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, name, &value) == NATS_OK ? value : "";
}

}  // namespace

const std::string* Delivery::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nullptr : &found->second;
}

std::optional<DeliveryPlace> parse_reply(std::string_view reply) {
  std::vector<std::string_view> tokens;
  for (std::size_t start = 0; start <= reply.size();) {
    const auto dot = std::min(reply.find('.', start), reply.size());
    tokens.push_back(reply.substr(start, dot - start));
    start = dot + 1;
  }
  if (tokens.size() < 9 || tokens[0] != "$JS" || tokens[1] != "ACK") return std::nullopt;
  // Nine tokens, or eleven and more with domain and account in front of the stream.
  const std::size_t at = tokens.size() >= 11 ? 7 : 5;
  const auto stream_sequence = number(tokens[at]);
  const auto consumer_sequence = number(tokens[at + 1]);
  if (!stream_sequence || !consumer_sequence) return std::nullopt;
  return DeliveryPlace{*stream_sequence, *consumer_sequence};
}

Consumer::Consumer(Connection& nats, std::string stream, std::string filter, StreamSequence from)
    : nats_(nats),
      stream_(std::move(stream)),
      filter_(std::move(filter)),
      position_(from),
      subscription_(nats.own(nullptr)) {
  subscribe();
}

void Consumer::subscribe() {
  char* raw_inbox = nullptr;
  check(natsInbox_Create(&raw_inbox), "making an inbox");
  const std::unique_ptr<natsInbox, Closer<natsInbox_Destroy>> inbox(raw_inbox);
  natsSubscription* raw = nullptr;
  check(natsConnection_SubscribeSync(&raw, nats_.get(), inbox.get()), "subscribing");
  subscription_ = nats_.own(raw);
  // Flow control bounds what the server sends ahead; a limit here would drop.
  check(natsSubscription_SetPendingLimits(raw, -1, -1), "lifting the limits");
  Json config = consumer_config(filter_, position_);
  config["deliver_subject"] = inbox.get();
  config["ack_policy"] = "none";
  config["max_deliver"] = 1;
  config["flow_control"] = true;
  config["idle_heartbeat"] = nanoseconds(heartbeat);
  create(nats_, stream_, config);
  delivered_ = 0;
  heard_ = Clock::now();
}

std::optional<Delivery> Consumer::next(std::chrono::milliseconds wait) {
  const auto deadline = Clock::now() + wait;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    natsMsg* raw = nullptr;
    const natsStatus status = natsSubscription_NextMsg(&raw, subscription_.get(),
                                                       std::max<std::int64_t>(left.count(), 0));
    const NatsMessage message(raw);
    if (status == NATS_TIMEOUT) {
      nats_.check_permissions();
      if (Clock::now() - heard_ > silence) {
        throw Error(Failure::unavailable, "no heartbeat from stream " + stream_);
      }
      if (left.count() <= 0) return std::nullopt;
      continue;
    }
    if (status != NATS_OK) throw_status(status, "following stream " + stream_);
    heard_ = Clock::now();
    const char* reply = natsMsg_GetReply(raw);
    const auto place = reply == nullptr ? std::nullopt : parse_reply(reply);
    if (!place) {
      if (handle_status(raw)) subscribe();
      continue;
    }
    if (place->consumer_sequence != delivered_ + 1) {
      subscribe();
      continue;
    }
    delivered_ = place->consumer_sequence;
    position_ = StreamSequence(place->stream_sequence + 1);
    return Delivery{.sequence = StreamSequence(place->stream_sequence),
                    .subject = natsMsg_GetSubject(raw),
                    .payload = std::string(natsMsg_GetData(raw),
                                           static_cast<std::size_t>(natsMsg_GetDataLength(raw))),
                    .headers = headers_of(raw)};
  }
}

// True when the consumer must be made anew.
bool Consumer::handle_status(natsMsg* message) {
  const std::string status = header(message, "Status");
  if (status == "409" || status == "404") return true;  // it was deleted
  if (status != "100") return false;
  // Both answers are lost with the connection, and then so is the consumer.
  const char* reply = natsMsg_GetReply(message);
  if (reply != nullptr && *reply != '\0') {  // flow control: what came before is processed
    natsConnection_Publish(nats_.get(), reply, "", 0);
    return false;
  }
  const std::string stalled = header(message, "Nats-Consumer-Stalled");
  if (!stalled.empty()) natsConnection_Publish(nats_.get(), stalled.c_str(), "", 0);
  const auto last = number(header(message, "Nats-Last-Consumer"));
  return last && *last != delivered_;
}

std::uint64_t count_from(Connection& nats, const std::string& stream, const std::string& filter,
                         StreamSequence from) {
  Json config = consumer_config(filter, from);
  config["ack_policy"] = "explicit";  // without a deliver_subject: nothing is sent
  config["inactive_threshold"] = nanoseconds(heartbeat);
  const Json answer = create(nats, stream, config);
  nats.api("CONSUMER.DELETE." + stream + "." + answer.at("name").get<std::string>(), "");
  return answer.value("num_pending", std::uint64_t{0});
}

StreamSequence nth_last(Connection& nats, const std::string& stream, const std::string& filter,
                        StreamSequence first, StreamSequence last, std::uint64_t count) {
  const auto has = [&](std::uint64_t from) {
    return count_from(nats, stream, filter, StreamSequence(from)) >= count;
  };
  // Where nothing was removed and the filter takes all, this is it.
  const std::uint64_t nearest = last.value >= count ? last.value - count + 1 : 0;
  if (nearest > first.value && has(nearest)) return StreamSequence(nearest);
  // Counting is monotonic: bisect for the highest sequence with enough messages from it on.
  std::uint64_t enough = first.value;  // or there are fewer in all
  std::uint64_t too_few = std::max(nearest, first.value + 1);
  while (too_few - enough > 1) {
    const std::uint64_t middle = enough + (too_few - enough) / 2;
    (has(middle) ? enough : too_few) = middle;
  }
  return StreamSequence(enough);
}

}  // namespace publisher
