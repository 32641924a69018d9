// The [[outbox]]es: which rows or logical messages are events, and where these go. Whether a table
// has such columns is for the database to say.
#pragma once

#include "connector/config.h"
#include "connector/config_reader.h"

namespace connector {

// Reads them into config.outboxes, those from a table's WAL into config.tables too: to everything
// that deals with tables, such an outbox is one, of which inserts alone are published. All else of
// `config` that the rules between them look at has been read.
void read_outboxes(Section& root, Config& config);

}  // namespace connector
