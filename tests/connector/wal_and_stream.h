// A made-up past, for tests against a model: transactions in WAL, what of them a stream holds, what
// was deleted there since, how far the saved position and the slot had come. The model knows which
// records are stored; what decide() and Reread conclude from the remains is held against it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "connector/resume.h"
#include "tests/connector/observed.h"

namespace connector {

struct WalChange {
  pg::Position position;
  bool captured = true;  // its table is selected
};

class WalAndStream {
 public:
  explicit WalAndStream(std::uint32_t seed) : random_(seed) {
    pg::Lsn lsn(0x10000);
    const auto transactions = pick(1, 12);
    for (std::uint64_t t = 0; t < transactions; ++t) {
      lsn = pg::Lsn(lsn.value + pick(0x10, 0x400));
      std::vector<WalChange> changes;
      const auto count = pick(0, 5);
      for (std::uint64_t n = 1; n <= count; ++n) {
        changes.push_back({.position = {lsn, n}, .captured = pick(0, 3) != 0});
        if (changes.back().captured) records.push_back(changes.back().position);
      }
      wal.push_back(std::move(changes));
      commits.push_back(lsn);
    }
    base = pick(0, 1) * pick(0, 500);
    stored = pick(0, records.size());
    saved = pick(0, stored);
    window = pick(1, 20);
    // The slot may have passed the transactions whose every record the saved position covers.
    std::size_t limit = 0;
    while (limit < wal.size() && covered(wal[limit])) ++limit;
    slot_at = pick(0, limit);
  }

  std::uint64_t pick(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }

  // The oldest, as limits do; the newest, as an operator may; any.
  void expire(std::uint64_t count) {
    for (std::uint64_t i = 1; i <= count; ++i) deleted.insert(base + i);
  }
  void purge_newest(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) deleted.insert(base + stored - i);
  }
  void delete_some() {
    for (std::uint64_t i = 1; i <= stored; ++i) {
      if (pick(0, 2) == 0) deleted.insert(base + i);
    }
  }

  Observed observed() const {
    Observed seen = agreeing();
    seen.saved->last = StreamSequence(base + saved);
    seen.saved->tail = saved == 0 ? pg::Position{} : records[saved - 1];
    seen.saved->origin = pg::Lsn(0x10000);
    confirm(seen, slot_at == 0 ? 0x10000 : commits[slot_at - 1].value + 8);
    seen.stream.last = StreamSequence(base + stored);
    seen.stream.first = StreamSequence(base + 1);
    while (seen.stream.first <= seen.stream.last && deleted.count(seen.stream.first.value) > 0) {
      ++seen.stream.first.value;
    }
    // What is gone from between, or from behind, can only be counted where the stream does that.
    seen.stream.thinned = base + deleted.size() >= seen.stream.first.value;
    seen.window.clear();
    const std::uint64_t first = stored > window ? stored - window : 0;
    for (std::uint64_t i = first; i < stored; ++i) {
      if (deleted.count(base + i + 1) == 0) seen.window.push_back(ours(base + i + 1, records[i]));
    }
    return seen;
  }

  // The first of the transactions that the server sends.
  std::size_t first_sent(const Observed& seen, pg::Lsn start) const {
    const pg::Lsn from = std::max(start, *seen.slot->confirmed);
    return static_cast<std::size_t>(std::lower_bound(commits.begin(), commits.end(), from) -
                                    commits.begin());
  }

  // Reads WAL as the pump does: what Reread says of each record, in order, until it throws.
  struct Answers {
    std::vector<std::pair<pg::Position, bool>> records;
    std::optional<Stop> stop;
  };
  Answers read(Reread& reread, std::size_t from) const {
    Answers answers;
    try {
      for (std::size_t t = from; t < wal.size(); ++t) {
        for (const WalChange& change : wal[t]) {
          reread.saw_change(change.position);
          if (!change.captured) continue;
          answers.records.emplace_back(change.position, reread.is_stored(change.position));
        }
        reread.passed(commits[t]);
      }
    } catch (const Stop& stop) {
      answers.stop = stop;
    }
    return answers;
  }

  bool is_in_stream(pg::Position position) const {
    const auto end = records.begin() + static_cast<std::ptrdiff_t>(stored);
    return std::find(records.begin(), end, position) != end;
  }

  std::vector<std::vector<WalChange>> wal;
  std::vector<pg::Lsn> commits;
  std::vector<pg::Position> records;  // the captured ones, in order
  std::uint64_t base = 0;             // the stream's last sequence before the first of ours
  std::uint64_t stored = 0;           // so many records are in the stream
  std::uint64_t saved = 0;            // so many of them the saved position covers
  std::uint64_t window = 1;
  std::size_t slot_at = 0;  // the slot is confirmed to the end of so many transactions
  std::set<std::uint64_t> deleted;

 private:
  bool covered(const std::vector<WalChange>& transaction) const {
    return std::all_of(transaction.begin(), transaction.end(), [&](const WalChange& change) {
      return !change.captured || (saved > 0 && change.position <= records[saved - 1]);
    });
  }

  std::mt19937 random_;
};

}  // namespace connector
