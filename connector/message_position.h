// Which place in WAL a message of the stream holds.
//
// Most messages are one change each. The others belong to a change as well: a schema record stands
// before the first row of a shape, a record that is too large comes in parts, a change of key can
// be two records (Debezium's delete and create), a pack ends with its last change. So a message's
// place is a change and a part of it, and the order of places is the order of messages:
//
//   schema record < removal's part 1 < … < removal < part 1 < part 2 < … < whole
//
// where `removal` and `whole` are a record's last part too, and `whole` is also a pack's last
// change and every record that is a message of its own.
//
// Hence the stream's last message tells where to go on, in the middle of a record too.
//
// A snapshot's messages are no function of WAL. Their place is the mark that they were published
// at, (LSN, 0): all changes before it lie before them in the stream, all others behind.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pg/types.h"

namespace connector {

struct MessagePosition {
  static constexpr std::uint32_t schema = 0;
  static constexpr std::uint32_t removal = ~std::uint32_t{0} / 2;  // its part k: k
  static constexpr std::uint32_t whole = ~std::uint32_t{0};        // its part k: removal + k

  pg::Position change;
  std::uint32_t part = whole;

  constexpr MessagePosition() = default;
  // What holds for a change holds for its record: the common case needs no word.
  // NOLINTNEXTLINE(google-explicit-constructor,hicpp-explicit-conversions)
  constexpr MessagePosition(pg::Position position, std::uint32_t part_of = whole)
      : change(position), part(part_of) {}
  constexpr pg::Lsn commit_lsn() const { return change.commit_lsn; }
  // The last place before the record that this is a part of; itself where that is no part.
  constexpr MessagePosition before_its_record() const {
    if (part == schema || part == removal || part == whole) return *this;
    return {change, part < removal ? schema : removal};
  }
  friend constexpr auto operator<=>(const MessagePosition&, const MessagePosition&) = default;
};

// "00000000016B3748:3"; a part "…:3.2", a schema record "…:3:schema", a removal "…:3:delete" and
// its part "…:3:delete.2". What follows the slot's name in a Nats-Msg-Id, but for packs and last
// parts, whose ids are their first change's and "….{n}".
std::string to_string(const MessagePosition& position);
std::string to_string(pg::Position position);
std::optional<MessagePosition> parse_message_position(std::string_view text);
std::optional<pg::Position> parse_position(std::string_view text);

// The headers beside Nats-Msg-Id that tell a message's place.
inline constexpr const char* position_header = "Walferry-Position";
inline constexpr const char* part_header = "Walferry-Part";
inline constexpr const char* parts_header = "Walferry-Parts";
inline constexpr const char* changes_header = "Walferry-Changes";        // of a pack
inline constexpr const char* commit_time_header = "Walferry-Commit-Ts";  // of an event

// Whether the message with that id, without "{slot}:", is a snapshot's:
// "00000000016B3748:snapshot:…".
bool is_of_snapshot(std::string_view id);

// The place of a stored message, from its id without "{slot}:" and those headers (nullptr: not
// there). Nothing when they are not what walferry writes.
std::optional<MessagePosition> stored_position(std::string_view id, const std::string* position,
                                               const std::string* part, const std::string* parts);

}  // namespace connector
