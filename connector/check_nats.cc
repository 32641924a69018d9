// The NATS side of `check`: server, JetStream, permissions, stream, the bucket of the position.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "connector/attach.h"
#include "connector/check.h"
#include "connector/session.h"
#include "publisher/error.h"
#include "publisher/greeting.h"

namespace connector {
namespace {

// Whether this user may make streams of that name. An empty request is refused by JetStream in any
// case, and so changes nothing; without the permission no answer comes at all.
void try_create(publisher::Connection& nats, const std::string& stream) {
  try {
    nats.api("STREAM.CREATE." + stream, "{}");
  } catch (const publisher::Error& error) {
    if (error.failure() != publisher::Failure::api) throw;
  }
}

Finding server_finding(publisher::Connection& nats,
                       const std::optional<publisher::Greeting>& greeting) {
  return {Verdict::ok, "nats",
          fmt::format("nats-server {} at {}", greeting ? greeting->version : "(of unknown version)",
                      nats.connected_url()),
          ""};
}

// What the server says of the account is good to know, and run does not need it: a user who may not
// ask is no finding.
Findings jetstream_findings(publisher::Connection& nats) {
  try {
    const auto account = nlohmann::json::parse(nats.api("INFO", ""));
    return {{Verdict::ok, "jetstream",
             fmt::format("on, {} stored on file",
                         human_bytes(account.value("storage", std::uint64_t{0}))),
             ""}};
  } catch (const publisher::Error& error) {
    if (error.failure() == publisher::Failure::refused) return {};
    Finding finding = failed("jetstream", error);
    finding.fix =
        "turn JetStream on: `jetstream {}` in nats-server's configuration, or "
        "`nats-server -js`; with accounts, `jetstream: enabled` in this one";
    return {finding};
  }
}

std::vector<std::string> streams_that_take(publisher::Connection& nats,
                                           const std::string& subject) {
  try {
    const auto answer = nlohmann::json::parse(
        nats.api("STREAM.NAMES", nlohmann::json{{"subject", subject}}.dump()));
    const auto names = answer.value("streams", nlohmann::json(nullptr));
    return names.is_array() ? names.get<std::vector<std::string>>() : std::vector<std::string>();
  } catch (const publisher::Error& error) {
    if (error.failure() == publisher::Failure::refused) return {};
    throw;
  }
}

// What stands in the way of a request that run makes too.
Finding request_failed(const Config& config, const publisher::Connection& nats,
                       const std::exception& error) {
  Finding finding = failed("stream", error);
  const auto* known = dynamic_cast<const publisher::Error*>(&error);
  if (known != nullptr && known->failure() == publisher::Failure::refused) {
    finding.fix = fmt::format(
        "let this user publish to {}.>, $KV.walferry.> and {}, and subscribe to "
        "_INBOX.>",
        nats.api_prefix(), fmt::join(stream_settings(config).subjects, ", "));
  }
  return finding;
}

// What would keep `run` from making the stream.
Findings creation_findings(const Config& config, publisher::Connection& nats,
                           const std::optional<publisher::Greeting>& greeting) {
  Findings found;
  const publisher::StreamSettings wanted = stream_settings(config);
  for (const std::string& subject : wanted.subjects) {
    const auto names = streams_that_take(nats, subject);
    if (names.empty()) continue;
    found.push_back(
        {Verdict::fail, "stream",
         fmt::format("stream {} cannot be created: its subject {} overlaps with those of "
                     "stream {}",
                     wanted.name, subject, fmt::join(names, ", ")),
         "choose another stream.subject_prefix, or name that stream in stream.name"});
  }
  const bool alone = greeting && greeting->jetstream && greeting->cluster.empty();
  if (wanted.replicas > 1 && alone && config.nats.domain.empty()) {
    found.push_back({Verdict::fail, "stream",
                     fmt::format("stream.replicas is {}, and this nats-server is in no cluster",
                                 wanted.replicas),
                     "set stream.replicas = 1, or connect to a cluster"});
  }
  if (found.empty()) try_create(nats, wanted.name);
  return found;
}

void look_at_stream(const Config& config, NatsView& seen,
                    const std::optional<publisher::Greeting>& greeting, Findings& found) {
  // The saved position first: check.h says why.
  seen.saved = position_key(config).get(*seen.nats);
  seen.stream = publisher::stream_info(*seen.nats, config.stream.name);
  seen.complete = true;
  Findings obstacles;
  if (!seen.stream && config.stream.create) {
    obstacles = creation_findings(config, *seen.nats, greeting);
  }
  append(found, obstacles.empty() ? stream_findings(config, seen.stream) : std::move(obstacles));
  try_create(*seen.nats, "KV_walferry");
  found.push_back({Verdict::ok, "bucket",
                   seen.saved.value ? "the saved position can be read" : "no position is saved yet",
                   ""});
}

}  // namespace

Findings check_nats(const Config& config, NatsView& seen) {
  Findings found;
  try {
    seen.nats = attach_nats(config);
  } catch (const std::exception& error) {
    return {failed("nats", error)};
  }
  const auto greeting = publisher::greeting(*seen.nats);
  found.push_back(server_finding(*seen.nats, greeting));
  append(found, payload_findings(config, seen.nats->max_payload()));
  const Findings jetstream = jetstream_findings(*seen.nats);
  append(found, jetstream);
  if (!jetstream.empty() && jetstream.back().verdict == Verdict::fail) return found;
  try {
    look_at_stream(config, seen, greeting, found);
  } catch (const std::exception& error) {
    found.push_back(request_failed(config, *seen.nats, error));
  }
  return found;
}

}  // namespace connector
