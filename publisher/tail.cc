#include "publisher/tail.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "publisher/base64.h"
#include "publisher/error.h"

namespace publisher {
namespace {

using Json = nlohmann::json;

constexpr int no_message_found = 10037;
// Requests under way at once: bounded by what their answers may weigh, for each holds a message.
constexpr std::uint64_t answers_at_once = 16ULL << 20;
constexpr std::uint64_t fewest_at_once = 8;
constexpr std::uint64_t most_at_once = 128;

std::string decoded(const Json& message, const char* key) {
  if (!message.contains(key)) return "";
  auto bytes = base64_decode(message[key].get<std::string>());
  if (!bytes) {
    throw Error(Failure::api, fmt::format("a stored message's {} is not base64", key));
  }
  return std::move(*bytes);
}

// "NATS/1.0\r\nName: value\r\n…\r\n\r\n"
std::map<std::string, std::string> parse_headers(std::string_view text) {
  std::map<std::string, std::string> headers;
  std::size_t line_start = text.find("\r\n");
  while (line_start != std::string_view::npos) {
    line_start += 2;
    const auto line_end = text.find("\r\n", line_start);
    const auto line = text.substr(line_start, line_end - line_start);
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) {
      std::string_view value = line.substr(colon + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      headers.emplace(std::string(line.substr(0, colon)), std::string(value));
    }
    line_start = line_end;
  }
  return headers;
}

StoredMessage to_message(const Json& json) {
  const Json& message = json.at("message");
  StoredMessage stored;
  stored.sequence = StreamSequence(message.at("seq").get<std::uint64_t>());
  stored.subject = message.at("subject").get<std::string>();
  stored.time = message.value("time", "");
  stored.headers = parse_headers(decoded(message, "hdrs"));
  stored.payload = decoded(message, "data");
  return stored;
}

std::optional<StoredMessage> ask(Connection& nats, const std::string& stream, const Json& which) {
  try {
    return to_message(Json::parse(nats.api("STREAM.MSG.GET." + stream, which.dump())));
  } catch (const Error& error) {
    if (error.api_code() == no_message_found) return std::nullopt;
    throw;
  }
}

// Requests for stored messages of which many are under way at once, answered in any order.
class Requests {
 public:
  Requests(Connection& nats, const std::string& stream)
      : nats_(nats), stream_(stream), subject_(nats.api_prefix() + ".STREAM.MSG.GET." + stream) {
    char* raw_inbox = nullptr;
    check(natsInbox_Create(&raw_inbox), "making an inbox");
    inbox_.reset(raw_inbox);
    natsSubscription* raw_subscription = nullptr;
    check(natsConnection_SubscribeSync(&raw_subscription, nats.get(), inbox_.get()), "subscribing");
    subscription_ = nats.own(raw_subscription);
    check(natsSubscription_SetPendingLimits(subscription_.get(), -1, -1), "lifting the limits");
  }

  void ask(std::uint64_t sequence) {
    const std::string body = fmt::format(R"({{"seq":{}}})", sequence);
    check(natsConnection_PublishRequest(nats_.get(), subject_.c_str(), inbox_.get(), body.data(),
                                        static_cast<int>(body.size())),
          "asking for stored messages");
    ++under_way_;
  }

  // The next answer: nothing where the message is gone.
  std::optional<StoredMessage> answer() {
    natsMsg* raw_reply = nullptr;
    const auto status = natsSubscription_NextMsg(&raw_reply, subscription_.get(),
                                                 static_cast<int64_t>(request_timeout.count()));
    const NatsMessage reply(raw_reply);
    if (status != NATS_OK) throw_status(status, "reading stored messages of " + stream_);
    --under_way_;
    const std::string_view text(natsMsg_GetData(reply.get()),
                                static_cast<std::size_t>(natsMsg_GetDataLength(reply.get())));
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) {
      throw Error(Failure::unavailable, fmt::format("{} has no leader just now", stream_));
    }
    if (!json.contains("error")) return to_message(json);
    if (json["error"].value("err_code", 0) == no_message_found) return std::nullopt;
    throw Error(json["error"].value("code", 0) == 503 ? Failure::unavailable : Failure::api,
                fmt::format("{}: {}", subject_, json["error"].value("description", "")),
                json["error"].value("err_code", 0));
  }

  std::uint64_t under_way() const { return under_way_; }

 private:
  Connection& nats_;
  const std::string& stream_;
  std::string subject_;
  std::unique_ptr<natsInbox, Closer<natsInbox_Destroy>> inbox_;
  Subscription subscription_;
  std::uint64_t under_way_ = 0;
};

}  // namespace

const std::string* StoredMessage::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nullptr : &found->second;
}

std::optional<StoredMessage> get_message(Connection& nats, const std::string& stream,
                                         StreamSequence sequence) {
  return ask(nats, stream, {{"seq", sequence.value}});
}

std::optional<StoredMessage> next_message(Connection& nats, const std::string& stream,
                                          StreamSequence from, const std::string& filter) {
  return ask(nats, stream, {{"seq", from.value}, {"next_by_subj", filter}});
}

std::optional<StoredMessage> last_message(Connection& nats, const std::string& stream,
                                          const std::string& filter) {
  return ask(nats, stream, {{"last_by_subj", filter}});
}

std::vector<StoredMessage> read_back(Connection& nats, const std::string& stream,
                                     StreamSequence first, StreamSequence last,
                                     std::uint64_t max_messages, std::uint64_t max_bytes) {
  std::vector<StoredMessage> window;
  const std::uint64_t lowest =
      std::max({first.value, std::uint64_t{1},
                last.value >= max_messages ? last.value - max_messages + 1 : 1});
  // However small the messages were that have been seen, those to come may be the largest.
  const std::uint64_t at_once = std::clamp(
      answers_at_once / static_cast<std::uint64_t>(std::max<std::int64_t>(nats.max_payload(), 1)),
      fewest_at_once, most_at_once);
  Requests requests(nats, stream);
  std::uint64_t bytes = 0;
  std::uint64_t next = last.value;
  std::uint64_t allowed = fewest_at_once;  // few first: the tail alone is often enough
  while (true) {
    while (next >= lowest && bytes < max_bytes && requests.under_way() < allowed) {
      requests.ask(next--);
    }
    if (requests.under_way() == 0) break;
    auto message = requests.answer();
    allowed = std::min(allowed + 1, at_once);
    if (!message) continue;
    bytes += message->payload.size();
    std::string().swap(message->payload);  // a moved or cleared string keeps its memory
    window.push_back(std::move(*message));
  }
  std::sort(window.begin(), window.end(),
            [](const StoredMessage& a, const StoredMessage& b) { return a.sequence < b.sequence; });
  return window;
}

}  // namespace publisher
