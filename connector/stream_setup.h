// The stream and the bucket that a session stands on: made, or checked.
#pragma once

#include <optional>

#include "connector/config.h"
#include "connector/preconditions.h"
#include "publisher/connection.h"
#include "publisher/key_value.h"
#include "publisher/stream.h"

namespace connector {

void warn(const Findings& findings);

// Nothing when it does not exist and may be created. Throws Stop(precondition) when it does not
// fit.
std::optional<publisher::StreamInfo> require_stream(const Config& config,
                                                    publisher::Connection& nats);

publisher::StreamInfo create_stream(const Config& config, publisher::Connection& nats);

// Returns the bucket's replicas; `say`: warns where they are fewer than the stream's.
int ensure_bucket(const publisher::KeyValue& key, publisher::Connection& nats,
                  const publisher::StreamInfo& stream, bool say);

}  // namespace connector
