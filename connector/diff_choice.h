// What the [[table]] of a snapshot-diff means for one table: what must be there of it, what it
// hides, and which settings its records were made under.
//
// A hidden column that is renamed would be shown, so each round remembers the number that
// PostgreSQL gave it in that table: it stays when the name changes.
#pragma once

#include <string>
#include <string_view>

#include "connector/config.h"
#include "connector/diff_store.h"
#include "outbox/diff_table.h"

namespace connector {

outbox::DiffChoice choice_of(const TableConfig& config);

// The columns of the table that are masked or left out, for the manifest.
DiffManifest::Hidden hidden_columns(const outbox::DiffTable& table, const TableConfig& config);

// `then`: what was hidden in the round before. Throws Stop(precondition) where a column is missing
// or generated that the [[table]] needs (of a pattern a table need not have all of its columns), or
// where one that was hidden would be shown under another name.
void require_choice(const outbox::DiffTable& table, const TableConfig& config,
                    const DiffManifest::Hidden& then);

// What is said of an unlogged table where it cannot be read, and what to do.
std::string unlogged_on_standby(const std::string& table);
constexpr const char* unlogged_hint =
    "give source.dsn the primary, make the table LOGGED there, or leave it out";

// A fingerprint of the settings that shape the table's records; where a record is cut is not among
// them.
std::string choice_fingerprint(const Config& config, const TableConfig& table);

}  // namespace connector
