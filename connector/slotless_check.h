// What `walferry check` says of the position of a capture without a slot.
#pragma once

#include <functional>
#include <string>

#include "connector/check.h"
#include "connector/config.h"
#include "connector/preconditions.h"
#include "connector/slotless_position.h"
#include "connector/stop.h"

namespace connector {

// As check_position(). `what_run_does` puts into words what follows from the decision, to
// whose notes it may add; what it throws is a finding too.
Findings check_slotless_position(const Config& config, const std::string& capture,
                                 PostgresView& postgres, const NatsView& nats,
                                 const std::function<std::string(SlotlessResume&)>& what_run_does,
                                 Exit& code);

}  // namespace connector
