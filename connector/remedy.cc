#include "connector/remedy.h"

#include <pqxx/pqxx>
#include <string_view>
#include <typeinfo>

#include "outbox/checked_file.h"
#include "pg/error.h"
#include "publisher/error.h"

namespace connector {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

Remedy again(const std::string& hint = "") { return {.retry = true, .hint = hint}; }
Remedy stop(Exit code, const std::string& hint) { return {.code = code, .hint = hint}; }

// Source: PostgreSQL's documentation, "Error Codes".
Remedy for_sqlstate(std::string_view state) {
  if (state.empty() || starts_with(state, "08") || starts_with(state, "57") ||
      starts_with(state, "40")) {
    return again();
  }
  if (state == "55006") return again("another session holds the slot");
  if (state == "42710" || state == "23505") return again("another walferry has just made it");
  if (state == "55P03") return again("another session holds a lock on the table");
  if (state == "53400") {
    return stop(Exit::precondition, "raise max_replication_slots, or drop a slot that nobody uses");
  }
  if (state == "26000") return again("the session was replaced by a new one");
  if (starts_with(state, "53")) return again("the server is short of connections, memory or disk");
  if (starts_with(state, "28")) {
    return stop(Exit::precondition,
                "correct user and password in source.dsn, or pg_hba.conf; the role needs "
                "REPLICATION (ALTER ROLE … REPLICATION)");
  }
  if (state == "3D000") return stop(Exit::precondition, "correct dbname in source.dsn");
  if (state == "42501") {
    return stop(Exit::precondition,
                "grant walferry's role what it lacks: `walferry check` prints the commands");
  }
  if (state == "42P01" || state == "42703" || state == "3F000") {
    return stop(
        Exit::precondition,
        "a table or column that walferry reads is gone or has another name: put it back, or "
        "name what is there now in the configuration; `walferry check` says what is missing");
  }
  if (state == "42704") {
    return stop(
        Exit::position_lost,
        "a slot or publication that the position needs is gone, or was at that place in WAL; "
        "`run --accept-gap` goes on with a new slot, and says what was lost");
  }
  if (state == "58P01") {
    return stop(Exit::position_lost,
                "the WAL is gone; `run --accept-gap` goes on from where both sides can, and says "
                "what was lost");
  }
  if (state == "55000") {
    return stop(Exit::position_lost,
                "the slot can no longer be read; `run --accept-gap` makes a new one, goes on from "
                "there, and says what was lost");
  }
  return stop(Exit::failed, "");
}

// libpqxx 6 throws a type of its own for some states, and then leaves the state out.
Remedy for_sql_error(const pqxx::sql_error& error) {
  if (!error.sqlstate().empty()) return for_sqlstate(error.sqlstate());
  if (dynamic_cast<const pqxx::insufficient_privilege*>(&error) != nullptr) {
    return for_sqlstate("42501");
  }
  if (dynamic_cast<const pqxx::unique_violation*>(&error) != nullptr) return for_sqlstate("23505");
  if (dynamic_cast<const pqxx::insufficient_resources*>(&error) != nullptr) {
    return for_sqlstate("53000");
  }
  // A server that closes the connection gives no state.
  if (typeid(error) == typeid(pqxx::sql_error)) return again();
  return stop(Exit::failed, "");
}

Remedy for_failure(const publisher::Error& error) {
  constexpr int stream_full_messages = 10064;
  constexpr int stream_full = 10077;
  constexpr int stream_not_found = 10059;
  switch (error.failure()) {
    case publisher::Failure::unavailable: return again();
    case publisher::Failure::unexpected_ack:
      if (error.api_code() == stream_full || error.api_code() == stream_full_messages) {
        return again(
            "the stream is full: raise its limits or remove messages; WAL is kept "
            "meanwhile");
      }
      return again("asking the stream's tail where to go on");
    case publisher::Failure::refused:
      return stop(Exit::precondition,
                  "correct the credentials under [nats], or the permissions of that user");
    case publisher::Failure::handshake:
      return stop(
          Exit::precondition,
          "correct nats.tls_ca, nats.tls_cert and nats.tls_key, or the server's certificate");
    case publisher::Failure::bad_settings:
      return stop(Exit::precondition, "correct [nats] in the configuration");
    case publisher::Failure::api:
      if (error.api_code() == stream_not_found) return again("the stream has just been deleted");
      return stop(Exit::precondition, "`walferry check` says what the stream needs");
  }
  return stop(Exit::failed, "");
}

}  // namespace

Remedy remedy_for(const std::exception& error) {
  if (const auto* known = dynamic_cast<const Stop*>(&error)) {
    return stop(known->code(), known->hint());
  }
  if (const auto* pg_error = dynamic_cast<const pg::Error*>(&error)) {
    return for_sqlstate(pg_error->sqlstate());
  }
  if (const auto* nats_error = dynamic_cast<const publisher::Error*>(&error)) {
    return for_failure(*nats_error);
  }
  if (dynamic_cast<const pg::SpillError*>(&error) != nullptr) {
    return again("raise source.spill_max, or make room in source.spill_dir");
  }
  if (dynamic_cast<const outbox::DiskError*>(&error) != nullptr) {
    return again("make room in diff.state_dir, or correct the owner of its files");
  }
  if (dynamic_cast<const pg::AmbiguousStream*>(&error) != nullptr) return again();
  if (dynamic_cast<const pqxx::broken_connection*>(&error) != nullptr) return again();
  // Of libpqxx's own kind, beside sql_error: a deadlock, and a connection lost within COMMIT.
  if (dynamic_cast<const pqxx::transaction_rollback*>(&error) != nullptr) return again();
  if (dynamic_cast<const pqxx::in_doubt_error*>(&error) != nullptr) return again();
  if (const auto* sql_error = dynamic_cast<const pqxx::sql_error*>(&error)) {
    return for_sql_error(*sql_error);
  }
  if (dynamic_cast<const pg::ProtocolError*>(&error) != nullptr) {
    return stop(Exit::failed, "the server speaks another protocol than PostgreSQL 14 to 18");
  }
  return stop(Exit::failed, "");
}

std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace connector
