// The words of JetStream as types, and the message that is to be stored.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace publisher {

// A place in a stream, 1-based; 0 is before the first message.
struct StreamSequence {
  std::uint64_t value = 0;
  constexpr StreamSequence() = default;
  constexpr explicit StreamSequence(std::uint64_t v) : value(v) {}
  friend constexpr auto operator<=>(const StreamSequence&, const StreamSequence&) = default;
};

// Both zero-terminated and legal in a header.
struct Header {
  const char* name = nullptr;
  const char* value = nullptr;
};

// One message to store. Borrows: the publisher copies what it needs before it returns.
struct Envelope {
  const char* subject = nullptr;     // zero-terminated, legal for NATS
  const char* message_id = nullptr;  // Nats-Msg-Id
  std::string_view payload;
  std::span<const Header> headers = {};  // beyond those that the publisher sets itself
};

}  // namespace publisher
