// What the verbs beside `run` do for snapshot-diff.
#pragma once

#include <pqxx/pqxx>

#include "connector/check.h"
#include "connector/config.h"
#include "connector/diff_work.h"
#include "connector/preconditions.h"
#include "connector/stop.h"
#include "publisher/key_value.h"

namespace connector {

Findings check_diff_postgres(const Config& config, PostgresView& seen);
Findings check_diff_position(const Config& config, PostgresView& postgres, const NatsView& nats,
                             Exit& code);

// Of a saved position. Throws Stop(position_lost) when it is none of snapshot-diff's.
DiffWork saved_diff_work(const publisher::KeyValueEntry& saved);

// Removes the folder's files, and the folder where nothing else is in it.
void remove_diff_files(const Config& config);

}  // namespace connector
