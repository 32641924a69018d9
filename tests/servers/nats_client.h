// A NATS client of the tests' own: the text protocol over one blocking socket, nothing shared with
// what is under test. It reads what the server stored, byte for byte.
//
//   -> CONNECT {..} SUB PUB HPUB PING        <- INFO {..} MSG HMSG PING PONG +OK -ERR
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tests/servers/wait.h"

namespace servers {

using NatsHeaders = std::map<std::string, std::string>;

struct NatsMessage {
  int sid = 0;  // of the subscription that it came for
  std::string subject;
  std::string reply;
  std::string status;  // "503" or "100 FlowControl Request": of a message without content
  NatsHeaders headers;
  std::string payload;
};

struct NatsLogin {
  std::string user = {};
  std::string password = {};
  std::string token = {};
  std::string jwt = {};   // of a user in operator mode,
  std::string seed = {};  // and its key
  bool given() const { return !user.empty() || !token.empty() || !jwt.empty(); }
};

// Splits "NATS/1.0[ status]\r\nName: value\r\n...\r\n\r\n".
NatsHeaders parse_nats_headers(std::string_view block, std::string& status);

class NatsClient {
 public:
  explicit NatsClient(std::uint16_t port, const NatsLogin& login = {});  // throws when refused
  ~NatsClient();
  NatsClient(const NatsClient&) = delete;
  NatsClient& operator=(const NatsClient&) = delete;

  void publish(const std::string& subject, std::string_view payload,
               const NatsHeaders& headers = {}, const std::string& reply = "");
  int subscribe(const std::string& subject);
  void unsubscribe(int sid);
  // The next message of any subscription; none when the period passes. PINGs are answered
  // meanwhile.
  std::optional<NatsMessage> next(Milliseconds period);
  NatsMessage request(const std::string& subject, std::string_view payload,
                      const NatsHeaders& headers = {}, Milliseconds deadline = seconds(5));
  std::string new_inbox();
  const std::string& server_info() const { return info_; }  // the JSON of INFO

 private:
  void send(std::string_view bytes);
  bool receive(Clock::time_point end);  // more bytes into buffer_; false when none came in time
  std::optional<std::string> line(Clock::time_point end);
  std::string exactly(std::size_t size);
  NatsMessage read_message(const std::string& control);
  std::optional<NatsMessage> receive_message(Milliseconds period);

  int socket_ = -1;
  int last_sid_ = 0;
  std::uint64_t inboxes_ = 0;
  std::string info_;
  std::deque<NatsMessage> set_aside_;  // came while a request waited for its answer
  std::string buffer_;
  std::size_t consumed_ = 0;  // of buffer_
};

}  // namespace servers
