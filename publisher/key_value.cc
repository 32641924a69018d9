#include "publisher/key_value.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "publisher/ack.h"
#include "publisher/error.h"
#include "publisher/stream.h"
#include "publisher/tail.h"

namespace publisher {
namespace {

constexpr int stream_not_found = 10059;
constexpr int stream_exists = 10058;  // with another configuration

Ack request_ack(Connection& nats, natsMsg* message, const std::string& doing) {
  natsMsg* raw = nullptr;
  const natsStatus status =
      natsConnection_RequestMsg(&raw, nats.get(), message, request_timeout.count());
  const NatsMessage reply(raw);
  if (status != NATS_OK) throw_status(status, doing);
  return parse_ack(reply.get());
}

}  // namespace

int KeyValue::ensure_bucket(Connection& nats, int replicas) const {
  const nlohmann::json config{{"name", "KV_" + bucket_},
                              {"subjects", {"$KV." + bucket_ + ".>"}},
                              {"retention", "limits"},
                              {"max_consumers", -1},
                              {"max_msgs", -1},
                              {"max_msgs_per_subject", 1},
                              {"max_bytes", -1},
                              {"max_age", 0},
                              {"max_msg_size", -1},
                              {"storage", "file"},
                              {"discard", "new"},
                              {"num_replicas", replicas},
                              {"duplicate_window", 120'000'000'000},
                              {"deny_delete", true},
                              {"allow_rollup_hdrs", true},
                              {"allow_direct", true}};
  try {
    nats.api("STREAM.CREATE.KV_" + bucket_, config.dump());
    return replicas;
  } catch (const Error& error) {
    if (error.api_code() != stream_exists) throw;
  }
  const auto info = nlohmann::json::parse(nats.api("STREAM.INFO.KV_" + bucket_, ""));
  const auto& there = info.at("config");
  for (const char* key : {"storage", "max_age", "max_msgs_per_subject", "retention"}) {
    if (there.value(key, config[key]) == config[key]) continue;
    throw Error(Failure::api,
                fmt::format("the key-value bucket {} has {} = {}, and would lose the position: it "
                            "must be {}",
                            bucket_, key, there[key].dump(), config[key].dump()));
  }
  return there.value("num_replicas", 1);
}

std::string KeyValue::put_subject(const Connection& nats) const {
  return nats.in_domain() ? nats.api_prefix() + "." + subject_ : subject_;
}

KeyValueEntry KeyValue::get(Connection& nats) const {
  KeyValueEntry entry;
  try {
    // nats-server (2.9.10) crashes when a message is asked of a stream that another client is just
    // creating: of one that says it is empty nothing is asked.
    const auto info = stream_info(nats, "KV_" + bucket_);
    if (!info || info->messages == 0) return entry;
    auto message = last_message(nats, "KV_" + bucket_, subject_);
    if (!message) return entry;
    entry.revision = message->sequence.value;
    if (message->header("KV-Operation") == nullptr) entry.value = std::move(message->payload);
  } catch (const Error& error) {
    if (error.api_code() != stream_not_found) throw;
  }
  return entry;
}

std::uint64_t KeyValue::put(Connection& nats, std::string_view value,
                            std::uint64_t expected) const {
  natsMsg* raw = nullptr;
  check(natsMsg_Create(&raw, put_subject(nats).c_str(), nullptr, value.data(),
                       static_cast<int>(value.size())),
        "making a message");
  const NatsMessage message(raw);
  check(natsMsgHeader_Set(raw, "Nats-Expected-Last-Subject-Sequence",
                          std::to_string(expected).c_str()),
        "setting a header");
  const Ack ack = request_ack(nats, raw, "saving the position in " + subject_);
  if (ack.error != 0 || ack.sequence.value == 0) {
    throw Error(Failure::unexpected_ack,
                fmt::format("the position in {} was not saved: {}", subject_, ack.description),
                ack.error);
  }
  return ack.sequence.value;
}

void KeyValue::purge(Connection& nats) const {
  natsMsg* raw = nullptr;
  check(natsMsg_Create(&raw, put_subject(nats).c_str(), nullptr, "", 0), "making a message");
  const NatsMessage message(raw);
  check(natsMsgHeader_Set(raw, "KV-Operation", "PURGE"), "setting a header");
  check(natsMsgHeader_Set(raw, "Nats-Rollup", "sub"), "setting a header");
  const Ack ack = request_ack(nats, raw, "deleting " + subject_);
  if (ack.error != 0) throw Error(Failure::api, "deleting " + subject_ + ": " + ack.description);
}

}  // namespace publisher
