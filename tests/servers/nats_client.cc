// The protocol's text, read from one buffer; every read has a deadline.
#include "tests/servers/nats_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "tests/servers/nats_jwt.h"

namespace servers {
namespace {

constexpr Milliseconds io_deadline = seconds(10);

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    throw std::runtime_error("no nats-server on port " + std::to_string(port));
  }
  const int yes = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) {
    words.push_back(word);
  }
  return words;
}

}  // namespace

NatsHeaders parse_nats_headers(std::string_view block, std::string& status) {
  NatsHeaders headers;
  bool first = true;
  while (!block.empty()) {
    const auto end = std::min(block.find("\r\n"), block.size());
    const std::string_view text = block.substr(0, end);
    block.remove_prefix(std::min(end + 2, block.size()));
    if (first) {
      first = false;
      status = text.size() > 9 ? std::string(text.substr(9)) : "";
      continue;
    }
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
      continue;
    }
    std::string_view value = text.substr(colon + 1);
    while (value.starts_with(' ')) {
      value.remove_prefix(1);
    }
    headers.emplace(std::string(text.substr(0, colon)), std::string(value));
  }
  return headers;
}

NatsClient::NatsClient(std::uint16_t port, const NatsLogin& login) : socket_(connect_to(port)) {
  try {
    const auto end = Clock::now() + io_deadline;
    const auto greeting = line(end);
    if (!greeting.has_value() || !greeting->starts_with("INFO ")) {
      throw std::runtime_error("nats-server did not greet");
    }
    info_ = greeting->substr(5);
    nlohmann::json options = {{"verbose", false},      {"pedantic", false},      {"headers", true},
                              {"no_responders", true}, {"lang", "test"},         {"version", "1"},
                              {"protocol", 1},         {"name", "scenario test"}};
    if (!login.user.empty()) {
      options["user"] = login.user;
      options["pass"] = login.password;
    }
    if (!login.token.empty()) {
      options["auth_token"] = login.token;
    }
    if (!login.jwt.empty()) {
      options["jwt"] = login.jwt;
      options["sig"] = Nkey::from_seed(login.seed)
                           .sign(nlohmann::json::parse(info_).at("nonce").get<std::string>());
    }
    send("CONNECT " + options.dump() + "\r\nPING\r\n");
    for (auto answer = line(end); answer != "PONG"; answer = line(end)) {
      if (!answer.has_value() || answer->starts_with("-ERR")) {
        throw std::runtime_error("nats-server refused: " + answer.value_or("silence"));
      }
    }
  } catch (...) {
    ::close(socket_);
    throw;
  }
}

NatsClient::~NatsClient() { ::close(socket_); }

void NatsClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      throw std::runtime_error("connection to nats-server lost");
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool NatsClient::receive(Clock::time_point end) {
  const auto left = std::chrono::ceil<Milliseconds>(end - Clock::now()).count();
  pollfd ready{socket_, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) <= 0) {
    return false;
  }
  if (consumed_ > 0) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  const std::size_t size = buffer_.size();
  constexpr std::size_t chunk = 1U << 18U;
  buffer_.resize(size + chunk);
  const ssize_t got = ::recv(socket_, buffer_.data() + size, chunk, 0);
  buffer_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got <= 0) {
    throw std::runtime_error("connection to nats-server lost");
  }
  return true;
}

std::optional<std::string> NatsClient::line(Clock::time_point end) {
  while (true) {
    const auto found = buffer_.find("\r\n", consumed_);
    if (found != std::string::npos) {
      std::string text = buffer_.substr(consumed_, found - consumed_);
      consumed_ = found + 2;
      return text;
    }
    if (!receive(end)) {
      return std::nullopt;
    }
  }
}

std::string NatsClient::exactly(std::size_t size) {
  while (buffer_.size() - consumed_ < size + 2) {
    if (!receive(Clock::now() + io_deadline)) {
      throw std::runtime_error("nats-server stopped within a message");
    }
  }
  std::string bytes = buffer_.substr(consumed_, size);
  consumed_ += size + 2;
  return bytes;
}

void NatsClient::publish(const std::string& subject, std::string_view payload,
                         const NatsHeaders& headers, const std::string& reply) {
  const std::string to = subject + " " + (reply.empty() ? "" : reply + " ");
  std::string head;
  if (!headers.empty()) {
    head = "NATS/1.0\r\n";
    for (const auto& [name, value] : headers) {
      head.append(name).append(": ").append(value).append("\r\n");
    }
    head += "\r\n";
  }
  const std::string total = std::to_string(head.size() + payload.size());
  const std::string control =
      head.empty() ? "PUB " + to + total : "HPUB " + to + std::to_string(head.size()) + " " + total;
  send(control + "\r\n" + head + std::string(payload) + "\r\n");
}

int NatsClient::subscribe(const std::string& subject) {
  ++last_sid_;
  send("SUB " + subject + " " + std::to_string(last_sid_) + "\r\n");
  return last_sid_;
}

void NatsClient::unsubscribe(int sid) { send("UNSUB " + std::to_string(sid) + "\r\n"); }

// MSG subject sid [reply] size, or HMSG subject sid [reply] header-size size
NatsMessage NatsClient::read_message(const std::string& control) {
  const auto words = words_of(control);
  const bool with_headers = words[0] == "HMSG";
  const std::size_t sizes = with_headers ? 2 : 1;
  NatsMessage message;
  message.subject = words[1];
  message.sid = std::stoi(words[2]);
  if (words.size() == 4 + sizes) {
    message.reply = words[3];
  }
  std::string bytes = exactly(std::stoul(words.back()));
  if (with_headers) {
    const std::size_t head = std::stoul(words[words.size() - 2]);
    message.headers = parse_nats_headers(std::string_view(bytes).substr(0, head), message.status);
    bytes.erase(0, head);
  }
  message.payload = std::move(bytes);
  return message;
}

std::optional<NatsMessage> NatsClient::next(Milliseconds period) {
  if (set_aside_.empty()) {
    return receive_message(period);
  }
  NatsMessage message = std::move(set_aside_.front());
  set_aside_.pop_front();
  return message;
}

std::optional<NatsMessage> NatsClient::receive_message(Milliseconds period) {
  const auto end = Clock::now() + period;
  while (const auto control = line(end)) {
    if (control->starts_with("MSG ") || control->starts_with("HMSG ")) {
      return read_message(*control);
    }
    if (*control == "PING") {
      send("PONG\r\n");
    } else if (control->starts_with("-ERR")) {
      throw std::runtime_error("nats-server: " + *control);
    }
  }
  return std::nullopt;
}

std::string NatsClient::new_inbox() {
  static const unsigned run = std::random_device()();
  return "_INBOX.test" + std::to_string(run) + "." +
         std::to_string(reinterpret_cast<std::uintptr_t>(this)) + "." + std::to_string(++inboxes_);
}

NatsMessage NatsClient::request(const std::string& subject, std::string_view payload,
                                const NatsHeaders& headers, Milliseconds deadline) {
  const std::string inbox = new_inbox();
  const int sid = subscribe(inbox);
  publish(subject, payload, headers, inbox);
  const auto end = Clock::now() + deadline;
  while (Clock::now() < end) {
    auto message = receive_message(std::chrono::ceil<Milliseconds>(end - Clock::now()));
    if (message.has_value() && message->sid == sid) {
      unsubscribe(sid);
      return *message;
    }
    if (message.has_value()) {
      set_aside_.push_back(std::move(*message));
    }
  }
  throw std::runtime_error("no answer on " + subject);
}

}  // namespace servers
