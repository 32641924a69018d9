// Connections for the verbs that look and end: what keeps the daemon trying again is an error here.
#pragma once

#include <memory>
#include <pqxx/pqxx>

#include "connector/config.h"
#include "publisher/connection.h"

namespace connector {

// Throws pg::Error with the SQLSTATE of a refusal, which libpqxx keeps to itself.
std::unique_ptr<pqxx::connection> attach_postgres(const Config& config);

// Throws publisher::Error. Refused credentials are tried again: one nkey or creds signature in 256
// of nats.c before 3.8 is wrong.
std::unique_ptr<publisher::Connection> attach_nats(const Config& config);

}  // namespace connector
