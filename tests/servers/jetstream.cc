// The reader uses an ephemeral ordered-like push consumer without acknowledgements, with the
// server's flow control so that it is never cut off as slow, and insists on every sequence that the
// consumer announces: what it returns is what is stored.
#include "tests/servers/jetstream.h"

#include <stdexcept>

namespace servers {
namespace {

using nlohmann::json;

std::vector<std::string> tokens_of(const std::string& subject) {
  std::vector<std::string> tokens(1);
  for (const char c : subject) {
    if (c == '.') {
      tokens.emplace_back();
    } else {
      tokens.back() += c;
    }
  }
  return tokens;
}

std::string decode_base64(const std::string& text) {
  static const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    const auto digit = alphabet.find(c);
    if (digit == std::string::npos) {
      break;
    }
    bits = bits << 6U | static_cast<unsigned>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> static_cast<unsigned>(held) & 0xFFU);
    }
  }
  return bytes;
}

// The reply subject of a delivered message tells where it came from:
// $JS.ACK.{stream}.{consumer}.{delivered}.{stream sequence}..., or with {domain}.{account} before.
struct Delivery {
  std::uint64_t sequence;
  std::uint64_t pending;
};

Delivery delivery_of(const std::string& reply) {
  const auto tokens = tokens_of(reply);
  const std::size_t skip = tokens.size() >= 11 ? 2 : 0;
  if (tokens.size() < 9) {
    throw std::runtime_error("not a delivery: " + reply);
  }
  return {std::stoull(tokens[5 + skip]), std::stoull(tokens[8 + skip])};
}

}  // namespace

NatsClient& JetStream::client() {
  if (client_ == nullptr) {
    for (const auto port : ports_) {
      try {
        client_ = std::make_unique<NatsClient>(port, login_);
        return *client_;
      } catch (const std::exception&) {
        if (port == ports_.back()) {
          throw;
        }
      }
    }
  }
  return *client_;
}

// A connection that failed is not used again. What may be asked twice is, when the connection was
// one of before: the server may have been restarted meanwhile.
template <class Use>
auto JetStream::with_client(Use use, bool twice) {
  const bool reused = client_ != nullptr;
  try {
    return use(client());
  } catch (...) {
    client_.reset();
    if (!twice || !reused) {
      throw;
    }
  }
  return with_client(use, false);
}

json JetStream::ask(const std::string& what, const json& request) {
  const std::string body = request.is_null() ? "" : request.dump();
  const NatsMessage answer =
      with_client([&](NatsClient& nats) { return nats.request("$JS.API." + what, body); }, true);
  if (answer.payload.empty()) {
    throw std::runtime_error("$JS.API." + what + ": " + answer.status);
  }
  return json::parse(answer.payload);
}

json JetStream::api(const std::string& what, const json& request) {
  json answer = ask(what, request);
  if (answer.contains("error")) {
    throw std::runtime_error("$JS.API." + what + ": " + answer["error"].dump());
  }
  return answer;
}

bool JetStream::available() {
  try {
    return !ask("INFO").contains("error");
  } catch (const std::exception&) {
    return false;
  }
}

std::optional<json> JetStream::stream(const std::string& name) {
  json answer = ask("STREAM.INFO." + name);
  if (answer.contains("error")) {
    if (answer["error"]["code"] == 404) {
      return std::nullopt;
    }
    throw std::runtime_error("stream " + name + ": " + answer["error"].dump());
  }
  return answer;
}

std::uint64_t JetStream::last_sequence(const std::string& name) {
  const auto info = stream(name);
  return info ? (*info)["state"]["last_seq"].get<std::uint64_t>() : 0;
}

std::uint64_t JetStream::count(const std::string& name, const std::string& filter) {
  const json answer = ask("STREAM.INFO." + name, {{"subjects_filter", filter}});
  std::uint64_t messages = 0;
  if (!answer.contains("error") && answer["state"].contains("subjects")) {
    for (const auto& [subject, number] : answer["state"]["subjects"].items()) {
      messages += number.get<std::uint64_t>();
    }
  }
  return messages;
}

std::uint64_t JetStream::message_count(const std::string& name) {
  const auto info = stream(name);
  return info ? (*info)["state"]["messages"].get<std::uint64_t>() : 0;
}

std::string JetStream::leader(const std::string& name) {
  const auto info = stream(name);
  if (!info || !info->contains("cluster")) {
    return "";
  }
  return (*info)["cluster"].value("leader", "");
}

json JetStream::publish(const std::string& subject, const std::string& payload,
                        const NatsHeaders& headers) {
  return with_client(
      [&](NatsClient& nats) {
        return json::parse(nats.request(subject, payload, headers).payload);
      },
      false);
}

std::vector<Stored> JetStream::read(const std::string& name, std::uint64_t from) {
  std::vector<Stored> messages;
  for_each(
      name, [&](Stored message) { messages.push_back(std::move(message)); }, from);
  return messages;
}

void JetStream::for_each(const std::string& name, const std::function<void(Stored)>& use,
                         std::uint64_t from) {
  const auto info = stream(name);  // also connects anew where that is needed
  if (!info) {
    throw std::runtime_error("no stream " + name);
  }
  const auto last = (*info)["state"]["last_seq"].get<std::uint64_t>();
  if ((*info)["state"]["messages"] == 0 || last < from) {
    return;
  }
  with_client(
      [&](NatsClient& nats) {
        const std::string inbox = nats.new_inbox();
        const int sid = nats.subscribe(inbox);
        json config = {{"deliver_subject", inbox},    {"ack_policy", "none"},
                       {"replay_policy", "instant"},  {"deliver_policy", "by_start_sequence"},
                       {"opt_start_seq", from},       {"flow_control", true},
                       {"idle_heartbeat", 5000000000}};
        const json created =
            json::parse(nats.request("$JS.API.CONSUMER.CREATE." + name,
                                     json{{"stream_name", name}, {"config", config}}.dump())
                            .payload);
        if (created.contains("error")) {
          throw std::runtime_error("consumer: " + created["error"].dump());
        }
        std::uint64_t pending = created.value("num_pending", std::uint64_t{1});
        std::uint64_t read_to = 0;
        while (pending > 0 && read_to < last) {
          auto message = nats.next(seconds(20));
          if (!message.has_value()) {
            throw std::runtime_error("the consumer fell silent");
          }
          if (message->status.starts_with("100")) {
            if (!message->reply.empty()) {
              nats.publish(message->reply, "");  // flow control: all so far has been read
            }
            continue;
          }
          const Delivery delivery = delivery_of(message->reply);
          pending = delivery.pending;
          read_to = delivery.sequence;
          use({delivery.sequence, std::move(message->subject), std::move(message->headers),
               std::move(message->payload)});
        }
        nats.unsubscribe(sid);
        nats.request("$JS.API.CONSUMER.DELETE." + name + "." + created["name"].get<std::string>(),
                     "");
      },
      false);
}

std::optional<std::string> JetStream::key_value(const std::string& bucket, const std::string& key) {
  const json answer =
      ask("STREAM.MSG.GET.KV_" + bucket, {{"last_by_subj", "$KV." + bucket + "." + key}});
  if (answer.contains("error")) {
    return std::nullopt;
  }
  return decode_base64(answer["message"].value("data", ""));
}

}  // namespace servers
