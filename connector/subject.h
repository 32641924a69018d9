// Names and values as parts of a NATS subject: CONTRACT.md, "Subjects".
#pragma once

#include <string>
#include <string_view>

namespace connector {

// Every byte outside A-Z a-z 0-9 _ - as %XX; an empty one as "%". Injective, so that two tables
// never share a subject, and never a wildcard or a token of its own.
std::string escape_token(std::string_view name);
// The way back.
std::string unescape_token(std::string_view token);

// A schema's leading `_` is escaped too: `_message`, `_schema` and `_snapshot` are walferry's.
std::string escape_schema(std::string_view schema);

// For what goes into a header: `escaped` with the first letter of each "Nats-" escaped, in any case
// and wherever it stands. nats-server (2.9.10 and others before July 2025) looks for the names of
// its own headers in the whole block, values included, and takes one that it finds elsewhere for
// none: a row that named Nats-Expected-Last-Sequence would be stored whatever came before it.
std::string guard_header(std::string escaped);

// Whether some subject matches both filters; and whether the first matches all of the other.
bool subjects_overlap(std::string_view a, std::string_view b);
bool subject_covers(std::string_view wide, std::string_view narrow);

}  // namespace connector
