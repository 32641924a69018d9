// A row's key as bytes whose order is the order that the table is read in: integers by value, all
// else by the bytes of its text (COLLATE "C"), NULL before everything. The server's own collations
// cannot be reproduced outside of it.
//
//   key     part…                   one for each column
//   part    \0                      NULL
//           \1 8 bytes              an integer: big-endian, its sign flipped
//           \2 byte… \0             text, in which PostgreSQL has no \0
//
// So keys compare as memcmp() does, and no key is another's beginning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outbox {

void append_null(std::string& key);
void append_integer(std::string& key, std::int64_t value);
void append_text(std::string& key, std::string_view text);

// Nothing where the text is no integer.
std::optional<std::int64_t> parse_integer(std::string_view text);

// The parts as text again; nothing for NULL. Throws FileError when the bytes are no key.
std::vector<std::optional<std::string>> parts_of(std::string_view key);
// Of a key that is one integer.
std::int64_t integer_of(std::string_view key);

}  // namespace outbox
