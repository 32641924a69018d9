// Why walferry ends: CONTRACT.md, "Exit codes".
#pragma once

#include <stdexcept>
#include <string>

namespace connector {

enum class Exit {
  done = 0,
  failed = 1,
  usage = 2,          // command line or configuration
  precondition = 3,   // what `check` would say
  position_lost = 4,  // nothing is skipped silently: the operator decides
};

// Thrown where trying again would not help. `what` says what happened and to what; `hint` says what
// to do about it.
class Stop : public std::runtime_error {
 public:
  Stop(Exit code, const std::string& what, std::string hint)
      : std::runtime_error(what), code_(code), hint_(std::move(hint)) {}
  Exit code() const { return code_; }
  const std::string& hint() const { return hint_; }

 private:
  Exit code_;
  std::string hint_;
};

}  // namespace connector
