#include "connector/external_sort.h"

#include <algorithm>
#include <utility>

namespace connector {
namespace {

bool before(const ScratchFile::Item& a, const ScratchFile::Item& b) {
  const int order = a.key.compare(b.key);
  return order != 0 ? order < 0 : a.order < b.order;
}

}  // namespace

RunMerge::RunMerge(std::vector<ScratchFile> runs) : runs_(std::move(runs)) { begin(); }

void RunMerge::begin() {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    if (runs_[i].next()) heap_.push_back(i);
  }
}

void RunMerge::read_again() {
  for (ScratchFile& run : runs_) run.read_again();
  heap_.clear();
  started_ = false;
  begin();
}

bool RunMerge::next() {
  const auto later = [this](std::size_t a, std::size_t b) {
    return before(runs_[b].item(), runs_[a].item());
  };
  if (!std::exchange(started_, true)) {
    std::make_heap(heap_.begin(), heap_.end(), later);
  } else if (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    if (runs_[heap_.back()].next()) {
      std::push_heap(heap_.begin(), heap_.end(), later);
    } else {
      heap_.pop_back();
    }
  }
  return !heap_.empty();
}

ExternalSort::Item ExternalSort::at(const Place& place) const {
  const std::string_view bytes(memory_);
  return {.key = bytes.substr(place.begin, place.key_size),
          .order = place.order,
          .value = bytes.substr(place.begin + place.key_size, place.value_size)};
}

void ExternalSort::add(const Item& item) {
  const std::size_t bytes = item.key.size() + item.value.size();
  const std::size_t held = memory_.size() + places_.size() * sizeof(Place);
  if (!places_.empty() && held + bytes + sizeof(Place) > budget_) write_run();
  if (memory_.empty()) memory_.reserve(budget_);
  places_.push_back({.begin = memory_.size(),
                     .key_size = item.key.size(),
                     .value_size = item.value.size(),
                     .order = item.order});
  memory_ += item.key;
  memory_ += item.value;
}

void ExternalSort::sort() {
  std::sort(places_.begin(), places_.end(),
            [this](const Place& a, const Place& b) { return before(at(a), at(b)); });
}

void ExternalSort::write_run() {
  sort();
  Run run{.file = ScratchFile(dir_)};
  for (const Place& place : places_) run.file.add(at(place));
  run.file.rewind();
  runs_.push_back(std::move(run));
  places_.clear();
  memory_.clear();
  if (memory_.capacity() > 2 * budget_) std::string().swap(memory_);
  merge_equals();
}

void ExternalSort::merge_equals() {
  while (runs_.size() >= merged_at_once &&
         runs_[runs_.size() - merged_at_once].level == runs_.back().level) {
    const int level = runs_.back().level + 1;
    std::vector<ScratchFile> files;
    for (std::size_t i = runs_.size() - merged_at_once; i < runs_.size(); ++i) {
      files.push_back(std::move(runs_[i].file));
    }
    runs_.erase(runs_.end() - static_cast<std::ptrdiff_t>(merged_at_once), runs_.end());
    RunMerge merge(std::move(files));
    Run merged{.file = ScratchFile(dir_), .level = level};
    while (merge.next()) merged.file.add(merge.item());
    merged.file.rewind();
    runs_.push_back(std::move(merged));
  }
}

void ExternalSort::finish() {
  on_disk_ = !runs_.empty();
  if (!on_disk_) {
    sort();
    return;
  }
  if (!places_.empty()) write_run();
  std::string().swap(memory_);
  std::vector<Place>().swap(places_);
  std::vector<ScratchFile> files;
  for (Run& run : runs_) files.push_back(std::move(run.file));
  runs_.clear();
  merge_ = RunMerge(std::move(files));
}

void ExternalSort::read_again() {
  next_place_ = 0;
  if (on_disk_) merge_.read_again();
}

bool ExternalSort::next() {
  if (on_disk_) {
    if (!merge_.next()) return false;
    item_ = merge_.item();
    return true;
  }
  if (next_place_ == places_.size()) return false;
  item_ = at(places_[next_place_++]);
  return true;
}

}  // namespace connector
