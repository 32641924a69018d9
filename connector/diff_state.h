// What a table's state of the round before is good for, and what is said where it is good for
// nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "connector/diff_store.h"
#include "outbox/diff_table.h"
#include "outbox/table_state.h"

namespace connector {

struct OldState {
  std::optional<outbox::StateReader> state;  // nothing: there is none to compare with
  outbox::Seeds seeds;
  bool keeps_text = false;
  bool same_columns = false;
  bool begins_again = false;  // what was published of the table is to be forgotten
};

// What a state says of itself. `probe`: of the server's hashes, by which rows without a key are in
// order.
std::string state_head(const outbox::DiffTable& table, const outbox::Seeds& seeds, bool keeps_text,
                       std::int64_t probe);

// Reads its head and its index. A state that is missing, damaged or of other keys is said, and the
// table begins again.
OldState open_state(const DiffStore& store, const outbox::DiffTable& table,
                    const DiffManifest::Table& entry, std::int64_t probe);

// Reads all of it; false where it was damaged, which is said: then the table begins again.
bool check(OldState& old, const outbox::DiffTable& table);

}  // namespace connector
