#include "connector/seek.h"

#include <algorithm>
#include <cstdint>

namespace connector {
namespace {

using publisher::StreamSequence;

// The first message from `low` on, and before `end`, for which `reached` is true, given that it is
// true for all behind one for which it is.
template <class Reached>
std::optional<Stamp> bisect(const NextStamp& next, Wanted wanted, std::uint64_t low,
                            std::uint64_t end, Reached reached) {
  std::optional<Stamp> found;
  while (low < end) {
    const std::uint64_t middle = low + (end - low) / 2;
    const std::optional<Stamp> stamp = next(StreamSequence(middle), wanted);
    if (!stamp || stamp->sequence.value >= end) {
      end = middle;  // what there is between here and there says nothing
    } else if (reached(*stamp)) {
      found = stamp;
      end = middle;
    } else {
      low = stamp->sequence.value + 1;
    }
  }
  return found;
}

// The first record behind the transaction of `stamp`, however many it has: in growing steps beyond
// it, then back.
std::optional<Stamp> behind_transaction(StreamRange range, const NextStamp& next, Stamp stamp) {
  const auto is_behind = [&](const Stamp& other) {
    return other.position.commit_lsn() != stamp.position.commit_lsn();
  };
  std::uint64_t within = stamp.sequence.value;
  for (std::uint64_t step = 1;; step *= 2) {
    const auto reached = next(StreamSequence(within + step), Wanted::time);
    const bool over = !reached || is_behind(*reached);
    if (over && step == 1) return reached;
    if (over) {
      const std::uint64_t end = reached ? reached->sequence.value + 1 : range.last.value + 1;
      return bisect(next, Wanted::time, within + 1, end, is_behind);
    }
    within = reached->sequence.value;
  }
}

}  // namespace

std::optional<Stamp> seek_lsn(StreamRange range, const NextStamp& next, pg::Lsn lsn) {
  return bisect(next, Wanted::place, range.first.value, range.last.value + 1,
                [&](const Stamp& stamp) { return stamp.position.commit_lsn() >= lsn; });
}

std::optional<Stamp> seek_time(StreamRange range, const NextStamp& next, pg::Timestamp time) {
  const pg::Timestamp early{time.micros - most_backwards.count()};
  std::optional<Stamp> stamp = bisect(next, Wanted::time, range.first.value, range.last.value + 1,
                                      [&](const Stamp& other) { return other.committed >= early; });
  while (stamp && stamp->committed < time) stamp = behind_transaction(range, next, *stamp);
  return stamp;
}

}  // namespace connector
