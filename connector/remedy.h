// One function maps every error to what is done about it: try again, or stop and tell the operator
// what to change. A lost connection is never a reason to stop.
#pragma once

#include <exception>
#include <string>

#include "connector/stop.h"

namespace connector {

struct Remedy {
  bool retry = false;
  Exit code = Exit::failed;  // when it is not tried again
  std::string hint;          // may be empty
};

Remedy remedy_for(const std::exception& error);

// libpq and libpqxx end their messages with a line break, and may quote several lines.
std::string one_line(const std::string& text);

}  // namespace connector
