// The words of replication as types: ids are not numbers, and positions say what they are.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pg {

template <class Tag, std::unsigned_integral Rep>
struct Id {
  Rep value = 0;
  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};
using TransactionId = Id<struct XidTag, std::uint32_t>;
using RelationId = Id<struct RelationTag, std::uint32_t>;  // libpq owns the name Oid
using TypeId = Id<struct TypeTag, std::uint32_t>;
using Timeline = Id<struct TimelineTag, std::uint32_t>;

// A place in the write-ahead log. LSNs subtract (to bytes) but do not add.
struct Lsn {
  std::uint64_t value = 0;
  constexpr Lsn() = default;
  constexpr explicit Lsn(std::uint64_t v) : value(v) {}
  constexpr bool valid() const { return value != 0; }
  friend constexpr auto operator<=>(const Lsn&, const Lsn&) = default;
  // Bytes from `b` to `a`; 0 when `a` is not ahead.
  friend constexpr std::uint64_t operator-(Lsn a, Lsn b) {
    return a.value > b.value ? a.value - b.value : 0;
  }
};

std::string to_string(Lsn lsn);                       // "0/16B3748", as Postgres prints it
std::string to_hex16(Lsn lsn);                        // "00000000016B3748", as in Nats-Msg-Id
std::optional<Lsn> parse_lsn(std::string_view text);  // "X/X", strict
std::optional<Lsn> parse_hex16(std::string_view text);

// Microseconds since 2000-01-01 00:00 UTC, the server's clock.
struct Timestamp {
  std::int64_t micros = 0;
  friend constexpr auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// Where a change stands in the order of all changes: its transaction's commit LSN (which Begin
// announces), and its 1-based ordinal among all changes that Postgres sends for the transaction.
struct Position {
  Lsn commit_lsn;
  std::uint64_t ordinal = 0;
  friend constexpr auto operator<=>(const Position&, const Position&) = default;
};

}  // namespace pg
