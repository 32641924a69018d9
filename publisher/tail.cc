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
// Requests under way at once. Bounded by what their answers may weigh, too: each holds a message.
constexpr std::uint64_t batch_size = 128;

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

// The answers to one request for each sequence in [from, to], in any order of arrival.
std::vector<StoredMessage> ask_many(Connection& nats, const std::string& stream, std::uint64_t from,
                                    std::uint64_t to) {
  const std::string subject = nats.api_prefix() + ".STREAM.MSG.GET." + stream;
  char* raw_inbox = nullptr;
  check(natsInbox_Create(&raw_inbox), "making an inbox");
  const std::unique_ptr<natsInbox, Closer<natsInbox_Destroy>> inbox(raw_inbox);
  natsSubscription* raw_subscription = nullptr;
  check(natsConnection_SubscribeSync(&raw_subscription, nats.get(), inbox.get()), "subscribing");
  const Subscription subscription = nats.own(raw_subscription);
  check(natsSubscription_SetPendingLimits(subscription.get(), -1, -1), "lifting the limits");
  for (std::uint64_t sequence = from; sequence <= to; ++sequence) {
    const std::string body = fmt::format(R"({{"seq":{}}})", sequence);
    check(natsConnection_PublishRequest(nats.get(), subject.c_str(), inbox.get(), body.data(),
                                        static_cast<int>(body.size())),
          "asking for stored messages");
  }
  std::vector<StoredMessage> messages;
  for (std::uint64_t n = from; n <= to; ++n) {
    natsMsg* raw_reply = nullptr;
    const auto status = natsSubscription_NextMsg(&raw_reply, subscription.get(),
                                                 static_cast<int64_t>(request_timeout.count()));
    const NatsMessage reply(raw_reply);
    if (status != NATS_OK) throw_status(status, "reading stored messages of " + stream);
    const std::string_view text(natsMsg_GetData(reply.get()),
                                static_cast<std::size_t>(natsMsg_GetDataLength(reply.get())));
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) {
      throw Error(Failure::unavailable, fmt::format("{} has no leader just now", stream));
    }
    if (!json.contains("error")) {
      messages.push_back(to_message(json));
    } else if (json["error"].value("err_code", 0) != no_message_found) {
      throw Error(json["error"].value("code", 0) == 503 ? Failure::unavailable : Failure::api,
                  fmt::format("{}: {}", subject, json["error"].value("description", "")),
                  json["error"].value("err_code", 0));
    }
  }
  return messages;
}

}  // namespace

const std::string* StoredMessage::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nullptr : &found->second;
}

std::optional<StoredMessage> get_message(Connection& nats, const std::string& stream,
                                         StreamSequence sequence) {
  return ask(nats, stream, {{"seq", sequence.value}});
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
  std::uint64_t bytes = 0;
  // Small batches first: the messages may be large, and the tail alone is often enough.
  std::uint64_t batch = 8;
  for (std::uint64_t to = last.value; to >= lowest && bytes < max_bytes;) {
    const std::uint64_t from = std::max(lowest, to >= batch ? to - batch + 1 : 1);
    for (StoredMessage& message : ask_many(nats, stream, from, to)) {
      bytes += message.payload.size();
      message.payload = {};
      window.push_back(std::move(message));
    }
    to = from - 1;
    batch = bytes / (last.value - to) > 64 * 1024 ? 8 : std::min(batch * 2, batch_size);
  }
  std::sort(window.begin(), window.end(),
            [](const StoredMessage& a, const StoredMessage& b) { return a.sequence < b.sequence; });
  return window;
}

}  // namespace publisher
