// The keys of snapshot-diff: a [[table]]'s capture and its [table.diff], and [diff]; and what does
// not go together with them.
#pragma once

#include "connector/config.h"
#include "connector/config_reader.h"

namespace connector {

// Fills `table.diff`.
void read_capture(Section& section, TableConfig& table);
void read_state_dir(Section section, Config& config);
// A walferry has one capture: the stream's tail must tell where to go on.
void check_captures(Section& root, const Config& config);

}  // namespace connector
