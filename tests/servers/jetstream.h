// JetStream as an operator and a reader use it: its JSON API, and every stored message of a stream
// in order. Connects anew whenever the servers were down; with several ports, takes the first that
// works.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/servers/nats_client.h"

namespace servers {

// A stored message.
struct Stored {
  std::uint64_t sequence = 0;
  std::string subject;
  NatsHeaders headers;
  std::string payload;
};

class JetStream {
 public:
  explicit JetStream(std::vector<std::uint16_t> ports, NatsLogin login = {})
      : ports_(std::move(ports)), login_(std::move(login)) {}

  // $JS.API.{what}; throws when the answer is an error.
  nlohmann::json api(const std::string& what, const nlohmann::json& request = nullptr);
  // The same, with the error as part of the answer.
  nlohmann::json ask(const std::string& what, const nlohmann::json& request = nullptr);

  bool available();
  std::optional<nlohmann::json> stream(
      const std::string& name);                          // STREAM.INFO; none: no such stream
  std::uint64_t last_sequence(const std::string& name);  // 0: no such stream
  std::uint64_t message_count(const std::string& name);
  // Of the messages that are there, those whose subject matches the filter.
  std::uint64_t count(const std::string& name, const std::string& filter);
  std::string leader(const std::string& name);  // a server's name, "" without one

  void create_stream(const nlohmann::json& config) {
    api("STREAM.CREATE." + config.at("name").get<std::string>(), config);
  }
  void delete_stream(const std::string& name) { api("STREAM.DELETE." + name); }
  void purge(const std::string& name) { api("STREAM.PURGE." + name); }
  void delete_message(const std::string& name, std::uint64_t sequence) {
    api("STREAM.MSG.DELETE." + name, {{"seq", sequence}});
  }
  // Publishes as another application would, and returns the acknowledgement.
  nlohmann::json publish(const std::string& subject, const std::string& payload,
                         const NatsHeaders& headers = {});

  // All messages from sequence `from` to the last one of this moment, read through a push consumer.
  std::vector<Stored> read(const std::string& name, std::uint64_t from = 1);
  // The same one by one, of streams that are larger than memory.
  void for_each(const std::string& name, const std::function<void(Stored)>& use,
                std::uint64_t from = 1);
  std::optional<std::string> key_value(const std::string& bucket, const std::string& key);

 private:
  NatsClient& client();
  template <class Use>
  auto with_client(Use use, bool twice);

  std::vector<std::uint16_t> ports_;
  NatsLogin login_;
  std::unique_ptr<NatsClient> client_;
};

}  // namespace servers
