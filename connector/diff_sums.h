// Which ranges of a table are to be read: those whose sums differ, of the ones that the server was
// asked for, and all that it was not asked for.
//
//   64 blocks, spread over the table ─▶ most of them changed?  all is read
//                                   └─▶ else the sums of the parts where they are as they were
//
// Asking costs the server about as much as reading. So of the parts whose sample has changed the
// sums are not asked, unless such parts are few and all over the table. The sample decides what a
// round costs, never what it finds: what is not known to be as it was is read.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "connector/diff_state.h"
#include "outbox/diff_table.h"
#include "outbox/table_state.h"
#include "pg/sql_session.h"

namespace connector {

// Blocks, spread evenly, one of each part of the table; empty: it is too small for that. Part i of
// n begins at block i * blocks / n.
std::vector<std::size_t> sampled_blocks(std::size_t blocks);
// What to ask for, by which of the sampled blocks have changed; empty: nothing.
std::vector<outbox::BlockRange> asked_blocks(std::size_t blocks, const std::vector<bool>& changed);

// Which blocks may have changed, by the server's sums; a table that has no ranges is one for all.
// Throws pg::Error.
std::vector<bool> changed_blocks(pg::SqlSession& sql, const outbox::DiffTable& table,
                                 const OldState& old);

// The runs of neighbours among them, when reading those alone is cheaper than all.
std::optional<std::vector<outbox::BlockRange>> runs_to_read(const outbox::DiffTable& table,
                                                            const std::vector<bool>& changed);

}  // namespace connector
