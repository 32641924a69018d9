// Where a session has the progress of snapshots from. Session::save_snapshots() and take_order()
// are in the same place.
#pragma once

#include "connector/config.h"
#include "connector/resume.h"
#include "connector/session.h"

namespace connector {

// Reads what is kept, and takes back what the stream has lost of it. `plan` learns whether rows of
// snapshots may stand behind what is known of the stream.
void load_snapshots(const Config& config, Session& session, const Observed& seen, Resume& plan);

}  // namespace connector
