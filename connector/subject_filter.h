// What `tail` is asked to show: a subject's filter as NATS has them, or the name of a table.
#pragma once

#include <string>

#include "connector/config.h"

namespace connector {

// "public.orders" and "public.*" are tables, since no subject of the stream begins so:
// "cdc.public.orders.*". Everything that can match a subject of the stream stands as it is. Throws
// Stop(usage) for what is neither.
std::string subject_filter(const Config& config, const std::string& asked);

}  // namespace connector
