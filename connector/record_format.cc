#include "connector/record_format.h"

#include "connector/subject.h"

namespace connector {

RecordFormat::RecordFormat(const Config& config, const std::string& database,
                           pg::TypeCatalog& types)
    : types_(types) {
  if (config.publish.format == "debezium") {
    debezium_.emplace(config.stream.subject_prefix, database);
  } else if (config.publish.format == "cloudevents") {
    cloud_event_.emplace(config.source.slot);
  }
}

RecordFormat::Table RecordFormat::table(const pg::Relation& relation, const TableEncoder& json,
                                        const TableChoice& choice) {
  Table table;
  if (debezium_) table.debezium.emplace(relation, types_, debezium_values_, json.shown(), choice);
  table.event_subject = guard_header(escape_attribute(relation.schema + "." + relation.name));
  return table;
}

void RecordFormat::begin(const pg::Begin& begin) {
  if (debezium_) debezium_->begin(begin);
  if (cloud_event_) cloud_event_->set_time(iso_time(begin.commit_time));
}

void RecordFormat::begin_snapshot(pg::Timestamp read_at) {
  read_at_ = read_at;
  if (cloud_event_) cloud_event_->set_time(iso_time(read_at));
}

void RecordFormat::write_snapshot(std::string& out, const Table& table, const TableEncoder& json,
                                  const TransactionEncoder& mark, pg::Row row,
                                  std::uint64_t number) const {
  if (table.debezium) {
    table.debezium->snapshot(out, row);
    debezium_->append_snapshot_end(out, *table.debezium, mark.commit_lsn(), read_at_);
  } else {
    json.snapshot(out, row);
    mark.append_position(out, mark.commit_lsn(), number);
    mark.append_end(out, false);
  }
}

void RecordFormat::write_two(std::string& removal, std::string& creation, const Table& table,
                             const pg::Update& change, pg::Lsn lsn, std::uint64_t ordinal) const {
  table.debezium->remove(removal, {change.relation, change.old_kind, change.old});
  debezium_->append_end(removal, *table.debezium, Op::remove, lsn, ordinal);
  table.debezium->create_anew(creation, change);
  debezium_->append_end(creation, *table.debezium, Op::insert, lsn, ordinal);
}

std::span<const publisher::Header> RecordFormat::headers(Op op, const char* id,
                                                         const std::string& event_subject) {
  if (!cloud_event_) return {};
  return cloud_event_->headers(op_name(op), id, event_subject);
}

}  // namespace connector
