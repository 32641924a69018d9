// Runs the daemon: session after session until it is stopped, has reached its end, or meets an
// error that trying again would not mend.
#pragma once

#include "connector/cli.h"
#include "connector/config.h"
#include "connector/wakeup.h"

namespace connector {

// Returns the process's exit code. Logs; throws nothing.
int supervise(const Config& config, const RunCommand& command, Wakeup& wakeup);

}  // namespace connector
