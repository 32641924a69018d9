// The operator's dsn, with what walferry needs of every session laid over it.
#pragma once

#include <string>
#include <vector>

namespace pg {

enum class Session { sql, replication };

// Keywords and values for PQconnectdbParams, in order. Throws pg::Error when the dsn is malformed
// (the message never repeats the dsn, which may hold a password).
struct ConnectParams {
  std::vector<std::string> keywords;
  std::vector<std::string> values;
};

// The session's text formats are part of what is published: they are fixed here, never inherited
// from the server's or the role's settings.
ConnectParams connect_params(const std::string& dsn, Session session);

// Parameters for each of several hosts, in their order; the same parameters where there is one.
std::vector<ConnectParams> for_each_host(const ConnectParams& params);

// The same as one conninfo string, for libraries that take only that.
std::string conninfo(const ConnectParams& params);

// "host=db port=5432 dbname=app user=walferry": what may be logged.
std::string describe(const std::string& dsn);

}  // namespace pg
