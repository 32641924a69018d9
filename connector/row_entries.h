// The stream's entries, sorted by the names of rows, read as the fold of one row after the other;
// and what a row takes along when its key changes:
//
//   {"id":1,"big":"…"}    update, key 1 ─▶ 2, "big" unchanged: not sent, and the same as under key
//   1
//        key 1  …  gone ──────────big──────────▶ update  …  key 2
//
// Sorted by names, the two are far apart. So where there are such changes, the entries are read
// once before: each row that is left hands its values over, by the name and the order of the entry
// that takes them, and these are sorted as well. A row whose key changes again and again hands over
// what the reading before has brought it: one reading more for each change of key in a row that
// left the same value alone, up to `most_readings`. What is not known then counts as unchanged, and
// unknown.
//
// One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connector/external_sort.h"
#include "connector/row_fold.h"
#include "connector/verified_table.h"
#include "connector/verify_stream.h"

namespace connector {

class RowEntries {
 public:
  // Both are finished and must live longer. `carried` nullptr: nothing is handed over.
  RowEntries(ExternalSort& entries, ExternalSort* carried);

  // Whether there is an entry that is not folded yet; then name() is its row's, behind the table's
  // prefix.
  bool any() const { return any_; }
  std::string_view name() const { return entries_.item().key; }

  // Folds the entries of the row `name`, which may have none, from `floor` on. Before each, `each`
  // sees it, and the fold as it was.
  using Each = std::function<void(const FoldEntry&)>;
  void fold(std::string_view name, std::uint64_t floor, RowFold& fold, const Each& each = {});

 private:
  void carry(std::string_view name, std::uint64_t order, RowFold& fold);

  ExternalSort& entries_;
  ExternalSort* carried_;
  bool any_;
  bool any_carried_;
};

inline constexpr int most_readings = 16;

struct HandOver {
  const std::vector<VerifiedTable>& tables;
  const std::vector<TableHistory>& histories;
  const FoldView& view;
  bool hides_unknown;  // see RowFold
  std::string dir;
  std::function<void()> go_on;  // called now and then; throws where it should not
};

// The values that rows take along, for RowEntries. Leaves `entries` to be read from its beginning.
std::unique_ptr<ExternalSort> values_taken_along(const HandOver& hand_over, ExternalSort& entries);

}  // namespace connector
