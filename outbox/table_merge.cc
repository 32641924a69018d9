#include "outbox/table_merge.h"

#include <algorithm>
#include <utility>

namespace outbox {

TableMerge::TableMerge(Settings settings, StateReader* state, StateWriter& next, Emit emit)
    : settings_(settings), state_(state), next_(next), emit_(std::move(emit)) {
  advance();
}

void TableMerge::row(const NewRow& row) {
  const bool same = any_ && last_key_ == row.key;
  if (any_ && row.key < last_key_) {
    throw std::logic_error("rows have come in another order than that of their keys");
  }
  if (settings_.keyed) {
    if (same) throw AmbiguousKey("two rows have one key");
    last_key_ = row.key;
    any_ = true;
    keyed(row);
    return;
  }
  if (!same) {
    end_group();
    last_key_ = row.key;
    any_ = true;
    group_hash_ = row.server_hash;
  }
  const auto found = group_.find(row.text);
  if (found != group_.end()) {
    ++found->second;
  } else {
    group_.emplace(row.text, 1);
  }
}

void TableMerge::keyed(const NewRow& row) {
  while (has_old() && state_->row().key < row.key) {
    remove_old(1);
    advance();
  }
  const RowHash hash = hash_row(row.text, row.server_hash, settings_.seeds);
  if (!has_old() || state_->row().key != row.key) {
    emit_({.kind = RowChange::Kind::insert, .key = row.key, .old_text = {}, .text = row.text});
  } else {
    const StateRow& old = state_->row();
    if (settings_.all_differ || old.hash != hash) {
      emit_({.kind = RowChange::Kind::update,
             .key = row.key,
             .old_text = old.text,
             .text = row.text});
    }
    advance();
  }
  store(row.key, row.text, hash, row.server_hash, 1);
}

void TableMerge::end_group() {
  if (!any_) return;
  while (has_old() && state_->row().key < last_key_) {
    remove_old(state_->row().count);
    advance();
  }
  std::map<std::string, std::uint64_t, std::less<>> before;
  while (has_old() && state_->row().key == last_key_) {
    before[std::string(state_->row().text)] += state_->row().count;
    advance();
  }
  const auto emit = [&](RowChange::Kind kind, const std::string& text, std::uint64_t times) {
    const bool gone = kind == RowChange::Kind::remove;
    for (std::uint64_t i = 0; i < times; ++i) {
      emit_({.kind = kind,
             .key = last_key_,
             .old_text = gone ? std::string_view(text) : std::string_view(),
             .text = gone ? std::string_view() : std::string_view(text)});
    }
  };
  for (const auto& [text, count] : before) {
    const auto now = group_.find(text);
    const std::uint64_t left = now == group_.end() ? 0 : now->second;
    if (count > left) emit(RowChange::Kind::remove, text, count - left);
  }
  for (const auto& [text, count] : group_) {
    const auto then = before.find(text);
    const std::uint64_t had = then == before.end() ? 0 : then->second;
    if (count > had) emit(RowChange::Kind::insert, text, count - had);
    store(last_key_, text, hash_row(text, group_hash_, settings_.seeds), group_hash_, count);
  }
  group_.clear();
}

void TableMerge::remove_old(std::uint64_t count) {
  const StateRow& old = state_->row();
  for (std::uint64_t i = 0; i < count; ++i) {
    emit_({.kind = RowChange::Kind::remove, .key = old.key, .old_text = old.text, .text = {}});
  }
}

void TableMerge::store(std::string_view key, std::string_view text, RowHash hash,
                       std::int64_t server_hash, std::uint64_t count) {
  const bool keep = settings_.keep_text || !settings_.keyed;
  next_.add({.key = key, .hash = hash, .text = keep ? text : std::string_view(), .count = count},
            server_hash);
}

void TableMerge::finish() {
  if (!settings_.keyed) end_group();
  while (has_old()) {
    remove_old(state_->row().count);
    advance();
  }
}

}  // namespace outbox
