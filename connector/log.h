// Logs go to standard error, as text or as one JSON object a line. Results go to standard output
// and are none of this module's business. Row values and secrets are never logged.
#pragma once

#include "connector/config.h"

namespace connector {

// Before a configuration is known: text, level info.
void start_logging();
void configure_logging(const LogConfig& config);

}  // namespace connector
