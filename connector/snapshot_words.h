// How far a reading of a table is, in words and numbers for people.
#pragma once

#include <string>

#include "connector/snapshot_progress.h"

namespace connector {

// "1,234 of about 5,000 rows (25 %), 300 a second, 12.6 s left"; of one that is not being read its
// state before: "paused, 1,234 of about 5,000 rows (25 %)".
std::string how_far(const TableSnapshot& reading);

}  // namespace connector
