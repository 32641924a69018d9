// libpq keeps the SQLSTATE of a refused connection to itself, but writes it into the message when
// the verbosity is raised before the first byte arrives. Only a connection that is made in steps
// can be told so in time.
#include "pg/connect.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "pg/error.h"

namespace pg {
namespace {

using Clock = std::chrono::steady_clock;

// The SQLSTATE of the last server message in a verbose text: "FATAL:  28P01: password …".
std::string sqlstate_in(std::string_view text) {
  const auto is_state = [](std::string_view s) {
    return std::all_of(s.begin(), s.end(), [](unsigned char c) {
      return std::isdigit(c) != 0 || (c >= 'A' && c <= 'Z');
    });
  };
  for (auto at = text.rfind(":  "); at != std::string_view::npos && at > 0;
       at = text.rfind(":  ", at - 1)) {
    const std::string_view rest = text.substr(at + 3);
    if (rest.size() > 6 && rest[5] == ':' && is_state(rest.substr(0, 5))) {
      return std::string(rest.substr(0, 5));
    }
  }
  return "";
}

// The first line that says what is wrong; the verbose ones name the server's source files.
std::string without_location(const std::string& text) {
  return text.substr(0, text.find("\nLOCATION:"));
}

Clock::duration time_limit(const ConnectParams& params) {
  long seconds = 10;
  for (std::size_t i = 0; i < params.keywords.size(); ++i) {
    if (params.keywords[i] != "connect_timeout") continue;
    seconds = std::strtol(params.values[i].c_str(), nullptr, 10);
  }
  return std::chrono::seconds(std::max(seconds, 2L));
}

void wait(PGconn* connection, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd fd{.fd = PQsocket(connection), .events = events, .revents = 0};
  if (left <= 0 || poll(&fd, 1, static_cast<int>(left)) == 0) {
    throw Error("PostgreSQL does not answer: no connection within connect_timeout", "");
  }
}

}  // namespace

std::string trimmed(const char* text) {
  std::string_view view(text == nullptr ? "" : text);
  while (!view.empty() && (view.back() == '\n' || view.back() == ' ')) view.remove_suffix(1);
  return std::string(view);
}

namespace {

// Gives up after connect_timeout, which libpq itself heeds only where it blocks.
PgConnection connect_to_one(const ConnectParams& params) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (std::size_t i = 0; i < params.keywords.size(); ++i) {
    keywords.push_back(params.keywords[i].c_str());
    values.push_back(params.values[i].c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);

  const auto deadline = Clock::now() + time_limit(params);
  PgConnection connection(PQconnectStartParams(keywords.data(), values.data(), 0));
  if (!connection) throw std::bad_alloc();
  PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);
  auto state =
      PQstatus(connection.get()) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
    wait(connection.get(), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
    state = PQconnectPoll(connection.get());
  }
  if (state != PGRES_POLLING_OK) {
    const std::string why = trimmed(PQerrorMessage(connection.get()));
    throw Error(fmt::format("PostgreSQL, connecting: {}", without_location(why)), sqlstate_in(why));
  }
  PQsetErrorVerbosity(connection.get(), PQERRORS_DEFAULT);
  return connection;
}

}  // namespace

PgConnection connect(const ConnectParams& params) {
  std::string why;
  std::string state;
  for (const ConnectParams& one : for_each_host(params)) {
    try {
      return connect_to_one(one);
    } catch (const Error& error) {
      why += (why.empty() ? "" : "; ") + std::string(error.what());
      if (!error.sqlstate().empty()) state = error.sqlstate();
    }
  }
  throw Error(why, state);
}

}  // namespace pg
