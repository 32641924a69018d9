#include "connector/row_entries.h"

#include <utility>

#include "connector/json_members.h"

namespace connector {
namespace {

using Kind = FoldEntry::Kind;

// One reading of all entries, with what the one before has handed over.
class Reading {
 public:
  Reading(const HandOver& hand_over, ExternalSort& entries, ExternalSort* carried)
      : hand_over_(hand_over),
        rows_(entries, carried),
        fold_(hand_over.view, hand_over.hides_unknown) {}

  // Returns how many values were handed over.
  std::uint64_t make(ExternalSort& handed) {
    for (std::size_t table = 0; table < hand_over_.tables.size(); ++table) {
      const std::string prefix = table_prefix(table);
      const FoldFloor floor = hand_over_.histories[table].floor(hand_over_.view);
      while (rows_.any() && rows_.name().starts_with(prefix)) {
        hand_over_.go_on();
        name_ = rows_.name();
        fold_.begin(hand_over_.tables[table], floor.lsn);
        rows_.fold(name_, floor.order, fold_, [&](const FoldEntry& entry) {
          if (entry.kind == Kind::leaves) hand(prefix, entry, handed);
        });
      }
    }
    return count_;
  }

 private:
  void hand(const std::string& prefix, const FoldEntry& leaves, ExternalSort& handed) {
    if (!hand_over_.view.sees(leaves) || !fold_.present()) return;
    for (const std::string& column : json_texts(leaves.unchanged)) {
      const RowFold::Value value = fold_.column(column);
      if (value.state != RowFold::Value::known) continue;
      FoldEntry entry{.kind = Kind::carried,
                      .format = value.format,
                      .commit_lsn = leaves.commit_lsn,
                      .after = value.text,
                      .unchanged = column};
      key_ = prefix;
      key_ += leaves.after;
      value_.clear();
      entry.append_to(value_);
      handed.add({.key = key_, .order = leaves.sequence, .value = value_});
      ++count_;
    }
  }

  const HandOver& hand_over_;
  RowEntries rows_;
  RowFold fold_;
  std::uint64_t count_ = 0;
  std::string name_, key_, value_;
};

}  // namespace

RowEntries::RowEntries(ExternalSort& entries, ExternalSort* carried)
    : entries_(entries),
      carried_(carried),
      any_(entries.next()),
      any_carried_(carried != nullptr && carried->next()) {}

// What an entry takes along stands at its own order. (What an entry below the floor would have
// taken is passed over with it.)
void RowEntries::carry(std::string_view name, std::uint64_t order, RowFold& fold) {
  const auto is_before = [&](const ExternalSort::Item& item) {
    const int side = item.key.compare(name);
    return side < 0 || (side == 0 && item.order <= order);
  };
  for (; any_carried_ && is_before(carried_->item()); any_carried_ = carried_->next()) {
    const ExternalSort::Item& item = carried_->item();
    if (item.key == name && item.order == order) fold.carry(FoldEntry::from(item.value));
  }
}

void RowEntries::fold(std::string_view name, std::uint64_t floor, RowFold& fold, const Each& each) {
  for (; any_ && entries_.item().key == name; any_ = entries_.next()) {
    const ExternalSort::Item& item = entries_.item();
    if (item.order < floor) continue;
    const FoldEntry entry = FoldEntry::from(item.value);
    carry(name, item.order, fold);
    if (each) each(entry);
    fold.add(entry);
  }
}

std::unique_ptr<ExternalSort> values_taken_along(const HandOver& hand_over, ExternalSort& entries) {
  std::unique_ptr<ExternalSort> carried;
  std::uint64_t known = 0;
  for (int reading = 0; reading < most_readings; ++reading) {
    auto handed = std::make_unique<ExternalSort>(hand_over.dir);
    const std::uint64_t now = Reading(hand_over, entries, carried.get()).make(*handed);
    handed->finish();
    entries.read_again();
    carried = std::move(handed);
    if (now == known) break;
    known = now;
  }
  return carried;
}

}  // namespace connector
