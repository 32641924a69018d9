#include "publisher/connection.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "publisher/error.h"
#include "publisher/nkey.h"

namespace publisher {
namespace {

std::string text_of(natsStatus status) {
  natsStatus last = NATS_OK;
  const char* detail = nats_GetLastError(&last);
  std::string text = natsStatus_GetText(status);
  if (detail == nullptr || last != status) return text;
  std::string_view more = detail;
  const auto place = more.find("): ");  // nats.c puts its own file and line in front
  if (more.substr(0, 1) == "(" && place != std::string_view::npos) more.remove_prefix(place + 3);
  return more.empty() || more == text ? text : fmt::format("{} ({})", text, more);
}

Failure failure_of(natsStatus status) {
  switch (status) {
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED: return Failure::refused;
    case NATS_SSL_ERROR:
    case NATS_SECURE_CONNECTION_WANTED:
    case NATS_SECURE_CONNECTION_REQUIRED: return Failure::handshake;
    case NATS_INVALID_ARG:
    case NATS_NOT_FOUND: return Failure::bad_settings;
    default: return Failure::unavailable;
  }
}

void set_servers(natsOptions* options, const std::string& urls) {
  std::vector<std::string> list;
  std::string url;
  for (const char c : urls + ",") {
    if (c == ',') {
      if (!url.empty()) list.push_back(std::move(url));
      url.clear();
    } else if (c != ' ') {
      url += c;
    }
  }
  std::vector<const char*> pointers;
  pointers.reserve(list.size());
  for (const auto& one : list) pointers.push_back(one.c_str());
  check(natsOptions_SetServers(options, pointers.data(), static_cast<int>(pointers.size())),
        "reading nats.url");
}

void set_tls(natsOptions* options, const ConnectionSettings& settings) {
  const bool wanted = !settings.tls_ca.empty() || !settings.tls_cert.empty() ||
                      settings.url.find("tls://") != std::string::npos;
  if (!wanted) return;
  check(natsOptions_SetSecure(options, true), "turning on TLS");
  if (!settings.tls_ca.empty()) {
    check(natsOptions_LoadCATrustedCertificates(options, settings.tls_ca.c_str()),
          "loading nats.tls_ca");
  } else {
    // Without a CA of its own nats.c trusts nothing; the system's bundle is what users expect.
    check(natsOptions_LoadCATrustedCertificates(options, "/etc/ssl/certs/ca-certificates.crt"),
          "loading the system's certificates");
  }
  if (!settings.tls_cert.empty()) {
    check(natsOptions_LoadCertificatesChain(options, settings.tls_cert.c_str(),
                                            settings.tls_key.c_str()),
          "loading nats.tls_cert and nats.tls_key");
  }
}

// A URL may carry user and password before an @.
std::string without_credentials(const std::string& urls) {
  std::string result;
  std::string url;
  for (const char c : urls + ",") {
    if (c != ',') {
      url += c;
      continue;
    }
    const auto scheme = url.find("://");
    const auto at = url.rfind('@');
    if (at != std::string::npos) {
      url.erase(scheme == std::string::npos ? 0 : scheme + 3,
                at + 1 - (scheme == std::string::npos ? 0 : scheme + 3));
    }
    result += (result.empty() ? "" : ",") + url;
    url.clear();
  }
  return result;
}

// nats.c calls back on threads of its own, after the connection is closed too, and waits for
// nobody. So it is given a number, not a pointer: a connection that is gone is no longer listed.
class Watchers {
 public:
  std::uintptr_t add(std::function<void()> on_lost) {
    const std::lock_guard lock(mutex_);
    watchers_.emplace(++last_, Watcher{std::move(on_lost), ""});
    return last_;
  }
  void remove(std::uintptr_t number) {
    const std::lock_guard lock(mutex_);
    watchers_.erase(number);
  }
  void lost(std::uintptr_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = watchers_.find(number);
    if (found != watchers_.end()) found->second.on_lost();
  }
  void refused(std::uintptr_t number, const std::string& what) {
    const std::lock_guard lock(mutex_);
    const auto found = watchers_.find(number);
    if (found == watchers_.end()) return;
    found->second.refusal = what;
    found->second.on_lost();
  }
  std::string refusal(std::uintptr_t number) {
    const std::lock_guard lock(mutex_);
    return watchers_.at(number).refusal;
  }
  static Watchers& all() {
    static auto* watchers = new Watchers;  // outlives nats.c's threads at exit
    return *watchers;
  }

 private:
  struct Watcher {
    std::function<void()> on_lost;
    std::string refusal;
  };
  std::mutex mutex_;  // guards all below
  std::map<std::uintptr_t, Watcher> watchers_;
  std::uintptr_t last_ = 0;
};

void on_lost_connection(natsConnection*, void* number) {
  Watchers::all().lost(reinterpret_cast<std::uintptr_t>(number));
}

void on_error(natsConnection* connection, natsSubscription*, natsStatus status, void* number) {
  if (status != NATS_NOT_PERMITTED) return;  // the rest shows by itself, as a lost ack does
  const char* detail = nullptr;
  natsConnection_GetLastError(connection, &detail);
  Watchers::all().refused(reinterpret_cast<std::uintptr_t>(number),
                          detail != nullptr ? detail : natsStatus_GetText(status));
}

void forget(void* number) { Watchers::all().remove(reinterpret_cast<std::uintptr_t>(number)); }

NatsOptions make_options(const ConnectionSettings& settings, void* number) {
  natsOptions* raw = nullptr;
  check(natsOptions_Create(&raw), "preparing to connect");
  NatsOptions options(raw);
  set_servers(raw, settings.url);
  check(natsOptions_SetName(raw, settings.name.c_str()), "naming the connection");
  check(natsOptions_SetAllowReconnect(raw, false), "turning reconnect off");
  check(natsOptions_SetTimeout(raw, 5000), "setting the timeout");
  check(natsOptions_SetPingInterval(raw, 5000), "setting the ping interval");
  check(natsOptions_SetMaxPingsOut(raw, 2), "setting the pings");
  // Bounds how long a publish can block the thread that also keeps the replication slot alive.
  check(natsOptions_SetWriteDeadline(raw, 2000), "setting the write deadline");
  check(natsOptions_SetIOBufSize(raw, 128 * 1024), "sizing the buffer");
  check(natsOptions_SetDisconnectedCB(raw, &on_lost_connection, number), "watching");
  check(natsOptions_SetClosedCB(raw, &on_lost_connection, number), "watching");
  check(natsOptions_SetErrorHandler(raw, &on_error, number), "watching");
  set_tls(raw, settings);
  if (!settings.creds.empty()) {
    nkey_public(settings.creds,
                "nats.creds");  // nats.c would take a spoilt seed for a lost network
    check(natsOptions_SetUserCredentialsFromFiles(raw, settings.creds.c_str(), nullptr),
          "loading nats.creds");
  } else if (!settings.nkey_seed_file.empty()) {
    const std::string key = nkey_public(settings.nkey_seed_file, "nats.nkey_seed_file");
    check(natsOptions_SetNKeyFromSeed(raw, key.c_str(), settings.nkey_seed_file.c_str()),
          "loading nats.nkey_seed_file");
  } else if (!settings.token.empty()) {
    check(natsOptions_SetToken(raw, settings.token.c_str()), "setting the token");
  } else if (!settings.user.empty()) {
    check(natsOptions_SetUserInfo(raw, settings.user.c_str(), settings.password.c_str()),
          "setting the user");
  }
  return options;
}

}  // namespace

Connection::Connection(const ConnectionSettings& settings, std::function<void()> on_lost,
                       const std::function<void(natsOptions*)>& prepare)
    : in_domain_(!settings.domain.empty()),
      api_prefix_(settings.domain.empty() ? "$JS.API" : "$JS." + settings.domain + ".API"),
      watcher_(reinterpret_cast<void*>(Watchers::all().add(std::move(on_lost))), &forget) {
  const NatsOptions options = make_options(settings, watcher_.get());
  if (prepare) prepare(options.get());
  natsConnection* connection = nullptr;
  const natsStatus status = natsConnection_Connect(&connection, options.get());
  if (status != NATS_OK) {
    throw_status(status, "connecting to NATS at " + without_credentials(settings.url));
  }
  connection_.reset(connection);
}

Connection::~Connection() {
  watcher_.reset();
  natsConnection_Close(connection_.get());  // ends the thread that reads
}

void RetireSubscription::operator()(natsSubscription* subscription) const noexcept {
  natsSubscription_Unsubscribe(subscription);
  nats->retired_.emplace_back(subscription);
}

std::string Connection::api(const std::string& verb, std::string_view body) {
  const std::string subject = api_prefix_ + "." + verb;
  natsMsg* raw = nullptr;
  const natsStatus status =
      natsConnection_Request(&raw, connection_.get(), subject.c_str(), body.data(),
                             static_cast<int>(body.size()), request_timeout.count());
  const NatsMessage reply(raw);
  if (status == NATS_NO_RESPONDERS) {
    throw Error(Failure::unavailable,
                fmt::format("nobody answers {}: JetStream is off for this account, or has no "
                            "leader just now",
                            subject));
  }
  if (status != NATS_OK) {
    check_permissions();
    throw_status(status, "asking " + subject);
  }
  std::string answer(natsMsg_GetData(reply.get()),
                     static_cast<std::size_t>(natsMsg_GetDataLength(reply.get())));
  if (answer.find("\"error\"") == std::string::npos) return answer;
  const auto json = nlohmann::json::parse(answer, nullptr, false);
  if (json.is_discarded() || !json.contains("error")) return answer;
  const auto& error = json["error"];
  const int code = error.value("code", 0);
  // 503: no leader, or JetStream is not (yet) enabled on this server.
  throw Error(code == 503 ? Failure::unavailable : Failure::api,
              fmt::format("{}: {}", subject, error.value("description", "error without a text")),
              error.value("err_code", code));
}

void Connection::check_permissions() const {
  const std::string refusal =
      Watchers::all().refusal(reinterpret_cast<std::uintptr_t>(watcher_.get()));
  if (!refusal.empty()) throw Error(Failure::refused, "NATS refused: " + refusal);
}

std::int64_t Connection::max_payload() const {
  return natsConnection_GetMaxPayload(connection_.get());
}

std::string Connection::connected_url() const {
  char url[256] = "";
  check(natsConnection_GetConnectedUrl(connection_.get(), url, sizeof url), "asking for the URL");
  return without_credentials(url);
}

void throw_status(natsStatus status, const std::string& doing) {
  throw Error(failure_of(status), fmt::format("{}: {}", doing, text_of(status)));
}

}  // namespace publisher
