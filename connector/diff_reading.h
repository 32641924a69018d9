// The rows of a table, or of some ranges of it, as snapshot-diff compares them: in the keys' order,
// each with its key and its hash.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "connector/diff_sessions.h"
#include "connector/work_progress.h"
#include "outbox/diff_table.h"
#include "outbox/table_merge.h"
#include "outbox/table_state.h"
#include "pg/ordered_copies.h"

namespace connector {

// Runs of blocks, cut so that two sessions can share them.
std::vector<outbox::BlockRange> cut(const std::vector<outbox::StateBlock>& blocks,
                                    outbox::BlockRange run);

class DiffReading {
 public:
  // Of `ranges` of `blocks`, in their order; {0, 0} of no blocks is all of the table. `second`:
  // nullptr to read by the first session alone. `tick` is called often, and may throw.
  DiffReading(DiffSessions& sessions, pg::SqlSession* second, const outbox::DiffTable& table,
              const std::vector<outbox::StateBlock>& blocks, std::vector<outbox::BlockRange> ranges,
              std::uint64_t seed, const std::function<void()>& tick);

  // Goes on to the next range, when next() has come to the end of the one before.
  void begin() { copies_.begin(); }
  // Valid until the next call; nullptr at the range's end. Throws pg::Error.
  const outbox::NewRow* next();

 private:
  const outbox::DiffTable& table_;
  const std::vector<outbox::BlockRange> ranges_;
  std::size_t asked_ = 0;  // ranges
  std::uint64_t seed_;
  const std::function<void()>& tick_;
  pg::OrderedCopies copies_;
  WorkProgress progress_;
  std::uint64_t rows_ = 0;
  std::string key_;
  std::string unescaped_;
  std::vector<pg::Value> row_;
  outbox::NewRow read_;
};

}  // namespace connector
