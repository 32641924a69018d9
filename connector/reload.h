// SIGHUP: the configuration, read again while walferry runs.
//
// One that could not start does not replace one that runs: it is looked at as `run` would, and
// refused, with the reasons in the log, before anything of the old is given up. What is in flight
// is then settled, and a new session goes on under the new settings, in the same process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/session.h"

namespace connector {

// What says where a position is cannot change while it is held: that is put back into `next`, and
// named ("source.slot"). Renaming a stream or a slot is another walferry.
std::vector<std::string> keep_fixed(Config& next, const Config& running);

// The configuration to go on with; nothing when the file has not changed, or is refused (said in
// the log). Throws what a lost connection throws.
std::optional<Config> reload(const Config& running, Session& session);

// The same as far as the file alone tells.
std::optional<Config> reload(const Config& running);

}  // namespace connector
