// A point in time as people write one: ISO 8601, or how long ago.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pg/types.h"

namespace connector {

// "2026-11-23T10:00:00.123456Z", "2026-11-23 10:00+01:00", "2026-11-23" (its midnight); without a
// zone it is UTC, as records are. "90s ago", "5m ago": as in the configuration, before `now`.
std::optional<pg::Timestamp> parse_when(std::string_view text, pg::Timestamp now);

// This machine's clock.
pg::Timestamp current_time();

}  // namespace connector
