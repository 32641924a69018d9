#include "connector/verify_stream.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "connector/json_members.h"
#include "connector/json_value.h"
#include "connector/message_position.h"
#include "connector/schema_record.h"
#include "connector/subject.h"

namespace connector {
namespace {

using Kind = StoredChange::Kind;

constexpr std::chrono::milliseconds look_up{500};

}  // namespace

std::string table_prefix(std::size_t table) {
  std::string prefix;
  for (const int shift : {24, 16, 8, 0}) prefix += static_cast<char>(table >> shift & 0xFF);
  return prefix;
}

FoldFloor TableHistory::floor(const FoldView& view) const {
  FoldFloor floor{.order = anew_, .lsn = {}};
  for (const Truncate& truncate : truncates_) {
    if (view.sees(truncate.has_xid, truncate.xid, truncate.lsn)) {
      if (truncate.order < floor.order) continue;
      floor.order = truncate.order;
      floor.lsn = truncate.lsn;
    } else if (truncate.lsn <= view.before()) {
      floor.late = true;
    }
  }
  return floor;
}

StreamFolder::StreamFolder(const Config& config, const std::vector<VerifiedTable>& tables,
                           FoldView& view, ExternalSort& rows)
    : tables_(tables),
      view_(view),
      rows_(rows),
      stream_(config.stream.name),
      subjects_(config.stream.subject_prefix + "."),
      pack_subject_(subjects_ + "_transaction"),
      histories_(tables.size()),
      last_snapshot_(tables.size()) {
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const pg::Relation& shape = tables[i].shape();
    by_name_[{shape.schema, shape.name}] = i;
    schema_subjects_[schema_subject(config.stream.subject_prefix, shape)] = i;
    snapshot_subjects_[subjects_ + "_snapshot." + escape_schema(shape.schema) + "." +
                       escape_token(shape.name)] = i;
  }
}

// The last message may have been deleted: the stream's end, too, ends the reading.
void StreamFolder::read(publisher::Connection& nats, publisher::StreamSequence first,
                        publisher::StreamSequence last,
                        const std::function<void(publisher::StreamSequence)>& go_on) {
  if (last.value == 0 || first > last) return;
  publisher::Consumer consumer(nats, stream_, "", first);
  while (true) {
    go_on(consumer.position());
    auto message = consumer.next(look_up);
    if (!message) {
      if (publisher::count_from(nats, stream_, "", consumer.position()) == 0) return;
      continue;
    }
    if (message->sequence > last) return;
    const publisher::StreamSequence at = message->sequence;
    take(*message);
    if (at == last) return;
  }
}

void StreamFolder::take(publisher::Delivery& message) {
  const std::string& subject = message.subject;
  if (!subject.starts_with(subjects_)) return;
  if (subject.size() > subjects_.size() && subject[subjects_.size()] == '_' &&
      subject != pack_subject_) {
    if (const auto schema = schema_subjects_.find(subject); schema != schema_subjects_.end()) {
      take_schema(schema->second, message.payload);
    } else if (const auto word = snapshot_subjects_.find(subject);
               word != snapshot_subjects_.end()) {
      take_snapshot_word(word->second, message);
    }
    return;
  }
  lines_.take(message, [&](std::string_view record) { take_record(record, message.sequence); });
}

void StreamFolder::take_schema(std::size_t table, std::string_view record) {
  const auto schema = nlohmann::json::parse(record, nullptr, false);
  if (!schema.is_object() || !schema.contains("columns")) return;
  histories_[table].types.clear();
  for (const auto& column : schema["columns"]) {
    histories_[table].types[column.value("name", "")] = column.value("type_oid", 0U);
  }
}

void StreamFolder::take_snapshot_word(std::size_t table, const publisher::Delivery& message) {
  const std::string* position = message.header(position_header);
  const auto at = position == nullptr ? std::nullopt : parse_position(*position);
  if (at && at->commit_lsn > view_.before()) return;
  TableHistory& history = histories_[table];
  if (message.header("Walferry-Restart") != nullptr) {
    history.begins_anew(order_ += 2);
    history.snapshot_begun = true;
    history.snapshot_complete = false;
  }
  if (message.header("Walferry-Rows") != nullptr) history.snapshot_complete = true;
}

void StreamFolder::take_record(std::string_view record, publisher::StreamSequence sequence) {
  const auto change = parse_change(record);
  if (!change) return;
  FoldEntry entry{.format = change->format,
                  .has_xid = change->kind != Kind::snapshot && change->xid.value != 0,
                  .commit_lsn = change->commit_lsn,
                  .sequence = sequence.value};
  if (entry.has_xid) entry.xid = view_.xids().follow(change->xid);
  const auto found = by_name_.find({change->schema, change->table});
  if (found == by_name_.end()) return;
  const std::size_t table = found->second;
  TableHistory& history = histories_[table];
  (change->format == ChangeFormat::json ? history.json : history.debezium) = true;
  order_ += 2;
  if (change->kind == Kind::truncate) {
    history.truncated(order_, entry);
    return;
  }
  if (change->kind == Kind::snapshot) {
    history.snapshot_begun = true;
    const bool counts = change->commit_lsn <= view_.before();
    if (tables_[table].keyless() && counts && change->commit_lsn != last_snapshot_[table]) {
      history.begins_anew(order_);
      history.snapshot_complete = false;
      last_snapshot_[table] = change->commit_lsn;
    }
  }
  take_row(table, *change, entry);
}

void StreamFolder::take_row(std::size_t table, const StoredChange& change, FoldEntry& entry) {
  const VerifiedTable& verified = tables_[table];
  name_.clear();
  old_name_.clear();
  if (!verified.name_of(name_, change)) return not_followed(table, entry.sequence);
  // There a value that is not told is a part of the name.
  if (verified.keyless() && change.format == ChangeFormat::debezium &&
      (verified.has_placeholder(change.after) || verified.has_placeholder(change.before))) {
    return not_followed(table, entry.sequence);
  }
  if (change.kind == Kind::remove) {
    entry.kind = FoldEntry::Kind::gone;
    add(table, name_, order_, entry);
    removed_ = {table, order_, change.commit_lsn, name_};
    return;
  }
  if (change.kind == Kind::update) {
    const bool told = verified.old_name_of(old_name_, change);
    if (verified.keyless() && !told) return not_followed(table, entry.sequence);
    if (told && old_name_ != name_) {
      entry.kind = FoldEntry::Kind::gone;
      add(table, old_name_, order_, entry);
      if (!change.unchanged.empty()) take_along(table, old_name_, order_, change, entry);
    } else if (verified.keyless()) {
      return;  // nothing has changed
    }
  }
  entry.kind = change.kind == Kind::snapshot ? FoldEntry::Kind::snapshot
               : change.kind == Kind::update ? FoldEntry::Kind::update
                                             : FoldEntry::Kind::insert;
  if (!verified.keyless()) {
    entry.after = change.after;
    entry.unchanged = change.unchanged;
    entry.omitted = change.omitted;
  }
  add(table, name_, order_, entry);
  const bool behind_removal = removed_.order > 0 && removed_.table == table &&
                              removed_.order + 2 == order_ &&
                              removed_.commit_lsn == change.commit_lsn;
  if (change.kind == Kind::insert && change.format == ChangeFormat::debezium && behind_removal) {
    take_along(table, removed_.name, removed_.order, change, entry);
  }
}

// What the record leaves unchanged has come with the row from its old key, which it left at
// `order`.
void StreamFolder::take_along(std::size_t table, std::string_view from, std::uint64_t order,
                              const StoredChange& change, FoldEntry entry) {
  const VerifiedTable& verified = tables_[table];
  if (verified.keyless()) return;
  columns_ = change.unchanged;
  if (change.format == ChangeFormat::debezium) {
    columns_.clear();
    JsonMembers members(change.after);
    while (members.next()) {
      if (!verified.is_placeholder(members.name(), members.value())) continue;
      columns_ += columns_.empty() ? '[' : ',';
      append_json_string(columns_, members.name());
    }
    if (columns_.empty()) return;
    columns_ += ']';
  }
  entry.kind = FoldEntry::Kind::leaves;
  entry.sequence = order_;
  entry.after = name_;
  entry.unchanged = columns_;
  entry.omitted = {};
  add(table, from, order - 1, entry);
  any_taken_along_ = true;
}

void StreamFolder::add(std::size_t table, std::string_view row_name, std::uint64_t order,
                       const FoldEntry& entry) {
  key_ = table_prefix(table);
  key_ += row_name;
  value_.clear();
  entry.append_to(value_);
  rows_.add({.key = key_, .order = order, .value = value_});
}

void StreamFolder::not_followed(std::size_t table, std::uint64_t sequence) {
  TableHistory& history = histories_[table];
  if (history.unfollowed++ == 0) history.first_unfollowed = sequence;
  history.last_unfollowed = order_;
}

}  // namespace connector
