// What the verbs beside `run` know of outboxes that are polled.
#pragma once

#include <cstdint>
#include <string>

#include "connector/check.h"
#include "connector/cli.h"
#include "connector/config.h"
#include "connector/poll_work.h"
#include "connector/stop.h"
#include "outbox/poller.h"

namespace connector {

// The PostgreSQL side of `check`.
Findings check_polled_postgres(const Config& config, PostgresView& seen);
// What `run` would do; as check_position().
Findings check_polled_position(const Config& config, PostgresView& postgres, const NatsView& nats,
                               Exit& code);

// The rows that are in no complete batch; no more than `most` are counted.
std::uint64_t pending_rows(const Config& config, PollWork work, outbox::Poller& poller,
                           std::uint64_t most);

// Throws Stop(usage) for a verb that reads WAL again.
void require_slot(const Config& config, const char* verb);
// The same for verify.
void require_tables(const Config& config);
// What of `run` needs a slot; "" where all is well.
std::string needs_slot(const RunCommand& command);

}  // namespace connector
