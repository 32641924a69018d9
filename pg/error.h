// What went wrong on the Postgres side. The thrower says what happened; connector/remedy.h decides
// whether to try again or to stop.
#pragma once

#include <stdexcept>
#include <string>

namespace pg {

// The server refused, or the connection is gone (sqlstate empty: no answer came at all).
class Error : public std::runtime_error {
 public:
  Error(const std::string& what, std::string sqlstate)
      : std::runtime_error(what), sqlstate_(std::move(sqlstate)) {}
  const std::string& sqlstate() const { return sqlstate_; }

 private:
  std::string sqlstate_;
};

// What the server sends of transactions in progress cannot be kept on disk. Nothing is lost by it:
// a session without streaming gets it at their commit.
class SpillError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the server sends of transactions in progress does not tell what of it was rolled back. The
// same holds: at their commit it comes without that.
class AmbiguousStream : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The bytes from the server are not what the protocol's documentation says.
class ProtocolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace pg
