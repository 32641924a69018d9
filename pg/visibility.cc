#include "pg/visibility.h"

#include <algorithm>
#include <charconv>

namespace pg {
namespace {

// The lower half: what WAL has of a transaction id.
std::optional<std::uint32_t> take_xid(std::string_view& text, char end) {
  std::uint64_t xid = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), xid);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (!text.empty()) {
    if (text.front() != end) return std::nullopt;
    text.remove_prefix(1);
  }
  return static_cast<std::uint32_t>(xid);
}

bool precedes(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

std::optional<Visibility> Visibility::parse(std::string_view text) {
  Visibility made;
  made.text_ = text;
  if (std::count(text.begin(), text.end(), ':') != 2) return std::nullopt;
  const auto xmin = take_xid(text, ':');
  const auto xmax = xmin ? take_xid(text, ':') : std::nullopt;
  if (!xmax) return std::nullopt;
  made.xmin_ = *xmin;
  made.xmax_ = *xmax;
  while (!text.empty()) {
    const auto xid = take_xid(text, ',');
    if (!xid) return std::nullopt;
    made.running_.push_back(*xid);
  }
  return made;
}

bool Visibility::sees(TransactionId committed) const {
  const std::uint32_t xid = committed.value;
  if (precedes(xid, xmin_)) return true;
  if (!precedes(xid, xmax_)) return false;
  return std::find(running_.begin(), running_.end(), xid) == running_.end();
}

}  // namespace pg
