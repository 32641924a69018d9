#include "connector/diff_encoder.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "connector/omission.h"
#include "connector/schema_record.h"
#include "connector/shape_log.h"
#include "connector/stop.h"
#include "connector/subject.h"
#include "outbox/sort_key.h"
#include "pg/catalog.h"

namespace connector {

DiffEncoder::DiffEncoder(const Config& config, pqxx::connection& sql)
    : config_(config),
      sql_(sql),
      types_([&sql](pg::TypeId type) { return pg::type_row(sql, type); }),
      format_(config, sql.dbname(), types_) {}

void DiffEncoder::begin_round(pg::Lsn lsn, pg::Timestamp read_at) {
  lsn_ = lsn;
  mark_.begin_snapshot(lsn);
  format_.begin_snapshot(read_at);
}

void DiffEncoder::begin_table(const outbox::DiffTable& table, const TableConfig& config,
                              bool old_rows, std::string& announced, RoundWriter& out) {
  out_ = &out;
  announced_ = &announced;
  old_rows_ = old_rows || !table.keyed();
  counts_ = {};
  number_ = 0;
  relation_ = table.relation;
  std::vector<std::string> key;
  key_places_.clear();
  for (const outbox::KeyColumn& column : table.key) {
    key.push_back(relation_.columns[column.place].name);
    key_places_.push_back(column.place);
  }
  relation_.identity = pg::ReplicaIdentity::primary;
  if (old_rows_) {
    relation_.identity = pg::ReplicaIdentity::full;
    for (pg::Column& column : relation_.columns) column.key = true;
  }
  choice_.emplace(config, relation_);
  encoder_.emplace(relation_, key, config_.stream.subject_prefix, values_, *choice_);
  format_table_ = format_.table(relation_, *encoder_, *choice_);
  shown_ = shown_of(relation_, *encoder_);
  shape_ = fmt::format("{:016x}", shape_of(shown_));
  id_ = fmt::format("diff:{}.{}:", escape_schema(relation_.schema), escape_token(relation_.name));
  HeldRecord& record = message_.record;
  record.source = "table " + encoder_->name();
  record.event_subject = format_table_.event_subject;
  record.raw = false;
  record.headers.clear();
  message_.schema = false;
}

void DiffEncoder::place(std::uint64_t number) {
  message_.record.snapshot = id_ + std::to_string(number);
}

void DiffEncoder::announce() {
  if (*announced_ == shape_) return;
  *announced_ = shape_;
  DiffMessage schema;
  schema.schema = true;
  schema.record.source = message_.record.source;
  schema.record.snapshot = message_.record.snapshot;
  schema.record.subject = schema_subject(config_.stream.subject_prefix, relation_);
  schema.record.body = schema_record(shown_, pg::column_types(sql_, shown_), lsn_);
  out_->add(schema);
}

// With publish.oversize = "omit", without its largest columns, as few of them as it takes.
template <class Encode>
void DiffEncoder::record(Op op, pg::Row row, pg::Row old, Encode encode) {
  place(++number_);
  announce();
  HeldRecord& record = message_.record;
  record.op = op;
  record.subject = encoder_->subject(op);
  const auto write = [&](pg::Row new_row, pg::Row old_row) {
    record.body.clear();
    format_.write_found(
        record.body, format_table_, *encoder_, mark_, op, number_,
        [&](const auto& encoder, std::string& out) { encode(encoder, out, new_row, old_row); });
  };
  try {
    write(row, old);
    if (record.body.size() > config_.publish.max_message && config_.publish.oversize == "omit") {
      Omission omission(row, old);
      const auto no_key = [&](std::size_t column) {
        return encoder_->shows(column) && !encoder_->is_key(column);
      };
      while (record.body.size() > config_.publish.max_message && omission.take_largest(no_key)) {
        write(omission.row(), omission.old());
      }
    }
  } catch (const BadValue& bad) {
    throw Stop(Exit::precondition,
               fmt::format("{}, round at {}: {}", record.source, to_string(lsn_), bad.what()),
               "correct the value (a database with encoding SQL_ASCII stores any bytes)");
  }
  if (record.body.size() > config_.publish.max_message && config_.publish.oversize != "split") {
    throw Stop(Exit::precondition,
               fmt::format("{}, round at {}: a record has {} bytes, and publish.max_message is {}",
                           record.source, to_string(lsn_), record.body.size(),
                           config_.publish.max_message),
               "raise publish.max_message (and max_payload of nats-server), set publish.oversize "
               "to \"split\" or \"omit\", or leave the table out");
  }
  for (const std::string& warning : types_.take_warnings()) spdlog::warn("{}", warning);
  out_->add(message_);
}

// The whole of it where it is kept, else its key, the other columns being NULL.
pg::Row DiffEncoder::old_row(const outbox::RowChange& change) {
  if (old_rows_) return old_copy_.parse(change.old_text, relation_.columns.size());
  old_key_text_ = outbox::parts_of(change.key);
  old_key_.assign(relation_.columns.size(), pg::Null{});
  for (std::size_t i = 0; i < key_places_.size(); ++i) {
    if (old_key_text_[i]) old_key_[key_places_[i]] = std::string_view(*old_key_text_[i]);
  }
  return old_key_;
}

void DiffEncoder::change(const outbox::RowChange& change) {
  using Kind = outbox::RowChange::Kind;
  const pg::OldRow kind = old_rows_ ? pg::OldRow::full : pg::OldRow::key;
  if (change.kind == Kind::remove) {
    if (!choice_->publishes(Op::remove)) return;
    ++counts_.deletes;
    record(Op::remove, {}, old_row(change),
           [&](const auto& encoder, std::string& out, pg::Row, pg::Row old) {
             encoder.remove(out, pg::Delete{&relation_, kind, old});
           });
    return;
  }
  const bool update = change.kind == Kind::update;
  if (!choice_->publishes(update ? Op::update : Op::insert)) return;
  const pg::Row row = new_copy_.parse(change.text, relation_.columns.size());
  if (!update) {
    ++counts_.inserts;
    record(Op::insert, row, {}, [&](const auto& encoder, std::string& out, pg::Row now, pg::Row) {
      encoder.insert(out, pg::Insert{&relation_, now});
    });
    return;
  }
  ++counts_.updates;
  const pg::Row old = old_rows_ ? old_row(change) : pg::Row();
  record(Op::update, row, old,
         [&](const auto& encoder, std::string& out, pg::Row now, pg::Row then) {
           const pg::OldRow of = old_rows_ ? pg::OldRow::full : pg::OldRow::none;
           encoder.update(out, pg::Update{&relation_, of, then, now});
         });
}

void DiffEncoder::snapshot(std::string_view line) {
  ++counts_.snapshots;
  record(Op::snapshot, new_copy_.parse(line, relation_.columns.size()), {},
         [&](const auto& encoder, std::string& out, pg::Row row, pg::Row) {
           encoder.snapshot(out, row);
         });
}

void DiffEncoder::restart() { word(0, "Walferry-Restart", "true"); }

void DiffEncoder::complete(std::uint64_t rows) {
  word(number_ + 1, "Walferry-Rows", std::to_string(rows));
}

void DiffEncoder::word(std::uint64_t number, const char* header, const std::string& value) {
  DiffMessage word;
  word.record.source = message_.record.source;
  word.record.snapshot = id_ + std::to_string(number);
  word.record.op = Op::snapshot;
  word.record.raw = true;
  word.record.subject = fmt::format("{}._snapshot.{}.{}", config_.stream.subject_prefix,
                                    escape_schema(relation_.schema), escape_token(relation_.name));
  word.record.headers.emplace_back(header, value);
  out_->add(word);
}

}  // namespace connector
