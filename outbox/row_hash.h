// The hash that PostgreSQL itself has of bytes and of numbers, computed here: what the server says
// of a range of rows can be compared with what is known of it without a row being sent.
//
// Which function a server has is its own affair: it depends on the machine's byte order, and might
// change with a release. So before the server's hashes are believed they are probed, and a server
// that disagrees is only ever read from (see DiffTable::probe_query).
// Source: PostgreSQL, src/common/hashfn.c (Bob Jenkins's lookup3), little-endian.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace outbox {

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed);  // hash_any_extended()
std::uint64_t hash_uint32(std::uint32_t number, std::uint64_t seed);   // hash_uint32_extended()

// Of a row: its text's hash, and that of its columns which the server computes too. The seeds are
// drawn for each state of a table: two rows that collide under one pair do not under the next.
struct RowHash {
  std::uint64_t text = 0, columns = 0;
  friend constexpr auto operator<=>(const RowHash&, const RowHash&) = default;
};

struct Seeds {
  std::uint64_t text = 0;
  std::uint64_t columns = 0;  // of what the server computes
  friend constexpr bool operator==(const Seeds&, const Seeds&) = default;
};
Seeds draw_seeds();

inline RowHash hash_row(std::string_view text, std::int64_t server_hash, const Seeds& seeds) {
  return {hash_bytes(text, seeds.text), static_cast<std::uint64_t>(server_hash)};
}

// The sum of the rows' hashes, as the server's sum(bigint) has it: whatever their order.
__extension__ typedef __int128 HashSum;  // NOLINT(modernize-use-using)

}  // namespace outbox
