// What went wrong on the NATS side. The thrower says what happened; connector/remedy.h decides
// whether to try again or to stop.
#pragma once

#include <stdexcept>
#include <string>

namespace publisher {

enum class Failure {
  unavailable,     // no connection, no answer, no leader: passes by itself
  refused,         // credentials or permissions
  handshake,       // TLS: certificates that do not fit, or a server that broke off
  bad_settings,    // the settings themselves: a file that cannot be read, a malformed URL
  api,             // JetStream answered with an error; see api_code()
  unexpected_ack,  // the chain broke: resync finds out why
};

class Error : public std::runtime_error {
 public:
  Error(Failure failure, const std::string& what, int api_code = 0)
      : std::runtime_error(what), failure_(failure), api_code_(api_code) {}
  Failure failure() const { return failure_; }
  int api_code() const { return api_code_; }  // JetStream's err_code, 0 when there is none

 private:
  Failure failure_;
  int api_code_;
};

}  // namespace publisher
