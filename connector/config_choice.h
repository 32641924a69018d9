// The keys of a [[table]] that choose what of its changes is published: columns, exclude, mask,
// ops, where, key. Whether the table has such columns is for the database to say.
#pragma once

#include "connector/config.h"
#include "connector/config_reader.h"

namespace connector {

// Fills all of `table` but its name.
void read_choice(Section& section, TableConfig& table);

}  // namespace connector
