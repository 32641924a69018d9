#include "connector/poll_digest.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <variant>

namespace connector {
namespace {

// FNV-1a, 64 bits.
constexpr std::uint64_t begin = 14695981039346656037ULL;

std::uint64_t with(std::uint64_t hash, unsigned char byte) {
  return (hash ^ byte) * 1099511628211ULL;
}

std::uint64_t with(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = with(hash, static_cast<unsigned char>(c));
  return with(hash, static_cast<unsigned char>(0));
}

std::uint64_t hash_of(std::size_t table, pg::Row identity) {
  std::uint64_t hash = with(begin, std::to_string(table));
  for (const pg::Value& value : identity) {
    const auto* text = std::get_if<std::string_view>(&value);
    hash = with(hash, text == nullptr ? std::string_view() : *text);
  }
  return hash;
}

}  // namespace

PollDigest::PollDigest() : value_(begin) {}

void PollDigest::add(std::size_t table, pg::Row identity) {
  const std::uint64_t row = hash_of(table, identity);
  value_ = (value_ ^ row) * 1099511628211ULL;
  // The upper half: the lower bits of neighbours in FNV-1a are too much alike.
  const auto part = static_cast<std::uint32_t>((row ^ (row >> 29)) >> 32);
  if (smallest_.size() == most && part >= *smallest_.rbegin()) return;
  smallest_.insert(part);
  if (smallest_.size() > most) smallest_.erase(std::prev(smallest_.end()));
}

bool has_others(const PollDigest::Sample& before, const PollDigest::Sample& now) {
  if (before.empty()) return false;
  return std::any_of(now.begin(), now.end(), [&](std::uint32_t row) {
    if (before.size() == PollDigest::most && row > before.back()) return false;
    return !std::binary_search(before.begin(), before.end(), row);
  });
}

}  // namespace connector
