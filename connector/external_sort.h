// Sorts what is larger than memory: items by the bytes of their key, then by their order.
//
//   add() ─▶ memory, up to the budget ─▶ sorted runs on disk ─▶ merged while they are read
//
// Memory stays at the budget and a buffer a run: runs of one size are merged once there are many,
// so that their number grows with the logarithm of what is added. An item larger than the budget
// passes alone. What fits into the budget never touches the disk.
//
// One thread. Throws pg::SpillError when the disk does not take it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "connector/scratch_file.h"

namespace connector {

// Sorted runs, read as one.
class RunMerge {
 public:
  RunMerge() = default;
  explicit RunMerge(std::vector<ScratchFile> runs);

  // False at the end. Else item() is valid until the next call.
  bool next();
  const ScratchFile::Item& item() const { return runs_[heap_.front()].item(); }
  void read_again();

 private:
  void begin();

  std::vector<ScratchFile> runs_;
  std::vector<std::size_t> heap_;  // of runs by their present item, the least in front
  bool started_ = false;
};

class ExternalSort {
 public:
  using Item = ScratchFile::Item;
  static constexpr std::size_t default_budget = 16U << 20;
  static constexpr std::size_t merged_at_once = 24;

  explicit ExternalSort(std::string dir, std::size_t budget = default_budget)
      : dir_(std::move(dir)), budget_(budget) {}

  void add(const Item& item);
  // Ends the adding; then each next() goes one item on.
  void finish();
  // False at the end. Else item() is valid until the next call.
  bool next();
  const Item& item() const { return item_; }
  // Once more from the first.
  void read_again();

 private:
  struct Place {  // of an item in memory_: key, then value
    std::size_t begin;
    std::size_t key_size;
    std::size_t value_size;
    std::uint64_t order;
  };
  struct Run {
    ScratchFile file;
    int level = 0;  // how often its items have been merged
  };
  Item at(const Place& place) const;
  void sort();
  void write_run();
  void merge_equals();

  std::string dir_;
  std::size_t budget_;
  std::string memory_;
  std::vector<Place> places_;
  std::vector<Run> runs_;  // of falling levels, at most merged_at_once of each
  bool on_disk_ = false;
  RunMerge merge_;
  std::size_t next_place_ = 0;
  Item item_;
};

}  // namespace connector
