// Connects with libpq, and learns why not.
#pragma once

#include <string>

#include "pg/conninfo.h"
#include "pg/handles.h"

namespace pg {

// Waits at most connect_timeout for each host. Throws pg::Error; unlike PQconnectdb it also learns
// the SQLSTATE of a refusal, which tells a wrong password (stop) from a server that is still
// starting (try again).
PgConnection connect(const ConnectParams& params);

// libpq's text without its trailing line break.
std::string trimmed(const char* text);

}  // namespace pg
