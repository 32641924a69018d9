#include "connector/message_position.h"

#include <fmt/format.h>

#include <charconv>

namespace connector {
namespace {

constexpr std::string_view schema_tag = ":schema";
constexpr std::string_view removal_tag = ":delete";
constexpr std::string_view snapshot_tag = ":snapshot:";
constexpr std::size_t lsn_size = 16;

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace

std::string to_string(pg::Position position) {
  return fmt::format("{:016X}:{}", position.commit_lsn.value, position.ordinal);
}

std::string to_string(const MessagePosition& position) {
  std::string text = to_string(position.change);
  if (position.part == MessagePosition::schema) return text.append(schema_tag);
  const bool of_removal = position.part <= MessagePosition::removal;
  if (of_removal) text.append(removal_tag);
  if (position.part != MessagePosition::removal && position.part != MessagePosition::whole) {
    text += fmt::format(".{}", position.part - (of_removal ? 0 : MessagePosition::removal));
  }
  return text;
}

std::optional<pg::Position> parse_position(std::string_view text) {
  if (text.size() < 18 || text[16] != ':') return std::nullopt;
  const auto lsn = pg::parse_hex16(text.substr(0, 16));
  const auto ordinal = parse_number<std::uint64_t>(text.substr(17));
  if (!lsn || !ordinal) return std::nullopt;
  return pg::Position{*lsn, *ordinal};
}

std::optional<MessagePosition> parse_message_position(std::string_view text) {
  std::optional<std::uint32_t> number;
  if (const auto dot = text.find('.'); dot != std::string_view::npos) {
    number = parse_number<std::uint32_t>(text.substr(dot + 1));
    if (!number || *number == 0 || *number >= MessagePosition::removal) return std::nullopt;
    text = text.substr(0, dot);
  }
  std::uint32_t part = number ? MessagePosition::removal + *number : MessagePosition::whole;
  if (text.ends_with(removal_tag)) {
    part = number.value_or(MessagePosition::removal);
    text.remove_suffix(removal_tag.size());
  } else if (text.ends_with(schema_tag) && !number) {
    part = MessagePosition::schema;
    text.remove_suffix(schema_tag.size());
  }
  const auto change = parse_position(text);
  if (!change) return std::nullopt;
  return MessagePosition(*change, part);
}

bool is_of_snapshot(std::string_view id) {
  return id.size() > lsn_size && id.substr(lsn_size, snapshot_tag.size()) == snapshot_tag &&
         pg::parse_hex16(id.substr(0, lsn_size)).has_value();
}

std::optional<MessagePosition> stored_position(std::string_view id, const std::string* position,
                                               const std::string* part, const std::string* parts) {
  if (is_of_snapshot(id)) return pg::Position{*pg::parse_hex16(id.substr(0, lsn_size)), 0};
  auto stored = parse_message_position(id);
  if (!stored) return std::nullopt;
  if (part != nullptr || parts != nullptr) {
    const bool last = part != nullptr && parts != nullptr && *part == *parts;
    if (last) {
      const bool of_removal = stored->part <= MessagePosition::removal;
      stored->part = of_removal ? MessagePosition::removal : MessagePosition::whole;
    }
  } else if (position != nullptr && stored->part == MessagePosition::whole) {
    const auto covered = parse_position(*position);
    if (!covered || *covered < stored->change) return std::nullopt;
    stored->change = *covered;
  }
  return stored;
}

}  // namespace connector
