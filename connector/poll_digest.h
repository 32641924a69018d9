// Which rows a batch was published from: to tell, later, that a table has others in their place.
//
// Of all rows in their order, a digest; and of those with the smallest hashes, the hashes. Where
// rows have been deleted since, the digest says nothing any more; the sample still shows a row with
// so small a hash that is not among them. (Of a batch that is not larger than the sample, any row.)
//
// No I/O.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "pg/change.h"

namespace connector {

class PollDigest {
 public:
  static constexpr std::size_t most = 128;
  using Sample = std::vector<std::uint32_t>;  // sorted

  PollDigest();
  // A row, by what tells it from others (outbox::PolledTable::identity).
  void add(std::size_t table, pg::Row identity);

  std::uint64_t value() const { return value_; }
  Sample sample() const { return {smallest_.begin(), smallest_.end()}; }

 private:
  std::uint64_t value_;
  std::multiset<std::uint32_t> smallest_;
};

// Whether a row of `now` is none of those of `before`; nothing is known of an empty one.
bool has_others(const PollDigest::Sample& before, const PollDigest::Sample& now);

}  // namespace connector
