#include "connector/row_fold.h"

#include <algorithm>
#include <cstring>

#include "connector/json_members.h"

namespace connector {
namespace {

using Kind = FoldEntry::Kind;

// In this machine's byte order: it is read by this process alone.
struct Head {
  std::uint64_t commit_lsn;
  std::int64_t xid;
  std::uint64_t sequence;
  std::uint64_t after_size;
  std::uint32_t unchanged_size;
  std::uint32_t omitted_size;
  Kind kind;
  ChangeFormat format;
  bool has_xid;
};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void FoldEntry::append_to(std::string& out) const {
  Head head;
  std::memset(&head, 0, sizeof head);  // padding too: it is written
  head.commit_lsn = commit_lsn.value;
  head.xid = xid;
  head.sequence = sequence;
  head.after_size = after.size();
  head.unchanged_size = static_cast<std::uint32_t>(unchanged.size());
  head.omitted_size = static_cast<std::uint32_t>(omitted.size());
  head.kind = kind;
  head.format = format;
  head.has_xid = has_xid;
  out.append(reinterpret_cast<const char*>(&head), sizeof head);
  out += after;
  out += unchanged;
  out += omitted;
}

FoldEntry FoldEntry::from(std::string_view bytes) {
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  return {.kind = head.kind,
          .format = head.format,
          .has_xid = head.has_xid,
          .commit_lsn = pg::Lsn(head.commit_lsn),
          .xid = head.xid,
          .sequence = head.sequence,
          .after = bytes.substr(0, head.after_size),
          .unchanged = bytes.substr(head.after_size, head.unchanged_size),
          .omitted = bytes.substr(head.after_size + head.unchanged_size, head.omitted_size)};
}

// A commit that waits for a standby is written and not visible: its number is listed as running, or
// not below xmax, which is the end of what was completed. Of commits written before the snapshot
// was taken, only such are unseen; whatever number an older one seems to have (after 2^31 others
// without a change of the tables it would be unwound wrongly), it is seen.
bool FoldView::sees(bool has_xid, std::int64_t xid, pg::Lsn commit_lsn) const {
  if (!has_xid) return true;
  const std::uint64_t whole = xids_.whole(xid, snapshot_);
  return snapshot_.sees(whole) ||
         (commit_lsn <= before_ && !snapshot_.lists(whole) && whole >= next_);
}

bool FoldView::sees(const FoldEntry& entry) const {
  if (entry.kind == Kind::snapshot) return entry.commit_lsn <= before_;
  return sees(entry.has_xid, entry.xid, entry.commit_lsn);
}

void RowFold::begin(const VerifiedTable& table, pg::Lsn floor) {
  table_ = &table;
  last_lsn_ = floor;
  occurs_ = false;
  present_ = false;
  late_ = false;
  count_ = 0;
  sequence_ = 0;
  after_.clear();
  carried_.clear();
  taken_along_.clear();
  unchanged_.clear();
  omitted_.clear();
}

void RowFold::carry(const FoldEntry& value) {
  taken_along_[std::string(value.unchanged)] = {value.format, std::string(value.after)};
}

void RowFold::add(const FoldEntry& entry) {
  if (entry.kind == Kind::leaves) return;
  if (!view_.sees(entry)) {
    late_ = late_ || view_.is_late(entry);
    return;
  }
  if (entry.kind == Kind::snapshot && entry.commit_lsn < last_lsn_) return;
  last_lsn_ = std::max(last_lsn_, entry.commit_lsn);
  occurs_ = true;
  sequence_ = entry.sequence;
  if (entry.kind == Kind::gone) {
    --count_;
    present_ = false;
    carried_.clear();
    unchanged_.clear();
    omitted_.clear();
  } else {
    ++count_;
    take(entry);
    present_ = true;
  }
  taken_along_.clear();
}

void RowFold::take(const FoldEntry& entry) {
  std::vector<std::string> left = json_texts(entry.unchanged);
  std::vector<std::string> omitted = json_texts(entry.omitted);
  if (entry.format == ChangeFormat::debezium && entry.kind != Kind::snapshot) {
    JsonMembers members(entry.after);
    while (members.next()) {
      if (!table_->is_placeholder(members.name(), members.value())) continue;
      (hides_unknown_ ? omitted : left).emplace_back(members.name());
    }
  }
  std::map<std::string, Carried, std::less<>> carried;
  std::vector<std::string> unknown;
  for (const std::string& name : left) {
    if (const auto along = taken_along_.find(name); along != taken_along_.end()) {
      carried[name] = std::move(along->second);
      continue;
    }
    const Value value = present_ ? column(name) : Value{.state = Value::unchanged};
    switch (value.state) {
      case Value::known: carried[name] = {value.format, std::string(value.text)}; break;
      case Value::omitted: omitted.push_back(name); break;
      default: unknown.push_back(name);
    }
  }
  format_ = entry.format;
  after_ = entry.after;
  carried_ = std::move(carried);
  unchanged_ = std::move(unknown);
  omitted_ = std::move(omitted);
}

RowFold::Value RowFold::column(std::string_view name) const {
  if (const auto found = carried_.find(name); found != carried_.end()) {
    return {.state = Value::known, .format = found->second.format, .text = found->second.text};
  }
  if (contains(omitted_, name)) return {.state = Value::omitted};
  if (contains(unchanged_, name)) return {.state = Value::unchanged};
  JsonMembers members(after_);
  while (members.next()) {
    if (members.name() == name) {
      return {.state = Value::known, .format = format_, .text = members.value()};
    }
  }
  return {};
}

std::vector<std::string> RowFold::columns() const {
  std::vector<std::string> names;
  JsonMembers members(after_);
  while (members.next()) names.emplace_back(members.name());
  return names;
}

}  // namespace connector
