#include "pg/visibility.h"

#include <algorithm>
#include <charconv>

namespace pg {
namespace {

// From `from` to `to` the shorter way around the circle of 32 bits.
std::int64_t distance(std::uint32_t from, std::uint32_t to) {
  return static_cast<std::int32_t>(to - from);
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  return number;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<Visibility> Visibility::parse(std::string_view text) {
  Visibility snapshot;
  const auto xmin = take_number(text);
  if (!xmin || !take(text, ':')) return std::nullopt;
  const auto xmax = take_number(text);
  if (!xmax || !take(text, ':') || *xmax < *xmin) return std::nullopt;
  snapshot.xmin_ = *xmin;
  snapshot.xmax_ = *xmax;
  for (bool first = true; !text.empty(); first = false) {
    if (!first && !take(text, ',')) return std::nullopt;
    const auto xid = take_number(text);
    if (!xid) return std::nullopt;
    snapshot.running_.push_back(*xid);
  }
  std::sort(snapshot.running_.begin(), snapshot.running_.end());
  return snapshot;
}

bool Visibility::lists(std::uint64_t xid) const {
  return std::binary_search(running_.begin(), running_.end(), xid);
}

bool Visibility::sees(std::uint64_t xid) const {
  return xid < xmin_ || (xid < xmax_ && !lists(xid));
}

std::int64_t XidUnwinder::follow(TransactionId xid) {
  if (any_) last_ += distance(last_xid_, xid.value);
  any_ = true;
  last_xid_ = xid.value;
  return last_;
}

std::uint64_t XidUnwinder::whole(std::int64_t relative, const Visibility& snapshot) const {
  const auto low = static_cast<std::uint32_t>(snapshot.xmax());
  const auto anchor = static_cast<std::int64_t>(snapshot.xmax()) + distance(low, last_xid_);
  return static_cast<std::uint64_t>(anchor - last_ + relative);
}

}  // namespace pg
