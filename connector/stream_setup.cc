#include "connector/stream_setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "connector/session.h"

namespace connector {

void warn(const Findings& findings) {
  for (const Finding& finding : findings) {
    if (finding.verdict == Verdict::warn) spdlog::warn("{}", finding.detail);
  }
}

std::optional<publisher::StreamInfo> require_stream(const Config& config,
                                                    publisher::Connection& nats) {
  require(payload_findings(config, nats.max_payload()));
  auto info = publisher::stream_info(nats, config.stream.name);
  const Findings findings = stream_findings(config, info);
  warn(findings);
  require(findings);
  return info;
}

publisher::StreamInfo create_stream(const Config& config, publisher::Connection& nats) {
  const publisher::StreamSettings wanted = stream_settings(config);
  spdlog::info("creating stream {} for {}", wanted.name, fmt::join(wanted.subjects, ", "));
  return publisher::create_stream(nats, wanted);
}

int ensure_bucket(const publisher::KeyValue& key, publisher::Connection& nats,
                  const publisher::StreamInfo& stream, bool say) {
  const int replicas = key.ensure_bucket(nats, stream.replicas);
  if (say && replicas < stream.replicas) {
    spdlog::warn(
        "the key-value bucket walferry has {} of the stream's {} replicas: the position is "
        "not as safe as the records. What to do: nats stream edit KV_walferry --replicas={}",
        replicas, stream.replicas, stream.replicas);
  }
  return replicas;
}

}  // namespace connector
