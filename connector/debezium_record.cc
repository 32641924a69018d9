#include "connector/debezium_record.h"

#include <fmt/format.h>

#include <array>
#include <iterator>

#include "connector/base64.h"
#include "connector/json_value.h"

namespace connector {
namespace {

constexpr std::array<char, 5> op_codes = {'c', 'u', 'd', 't', 'r'};  // in the order of Op

void append_number(std::string& out, std::uint64_t number) {
  const fmt::format_int digits(number);
  out.append(digits.data(), digits.size());
}

}  // namespace

DebeziumEncoder::DebeziumEncoder(const pg::Relation& relation, pg::TypeCatalog& types,
                                 DebeziumValues& values, const std::vector<bool>& shown,
                                 TableChoice choice)
    : values_(&values), id_(relation.id), choice_(std::move(choice)) {
  source_json_ = ",\"schema\":";
  append_json_string(source_json_, relation.schema);
  source_json_ += ",\"table\":";
  append_json_string(source_json_, relation.name);
  for (const pg::Column& column : relation.columns) {
    Column made{.name = column.name,
                .label = {},
                .type = debezium_type(*types.shape(column.type), column.modifier),
                .identity = column.key,
                .shown = shown[columns_.size()]};
    append_json_string(made.label, column.name);
    made.label += ':';
    columns_.push_back(std::move(made));
  }
}

void DebeziumEncoder::insert(std::string& out, const pg::Insert& change) const {
  out += "{\"before\":null,\"after\":";
  append_row(out, change.row, {}, pg::OldRow::none);
}

void DebeziumEncoder::update(std::string& out, const pg::Update& change) const {
  out += "{\"before\":";
  if (change.old_kind == pg::OldRow::none) {
    out += "null";
  } else {
    append_row(out, change.old, {}, pg::OldRow::none);
  }
  out += ",\"after\":";
  append_row(out, change.row, change.old, change.old_kind);
}

void DebeziumEncoder::remove(std::string& out, const pg::Delete& change) const {
  out += "{\"before\":";
  append_row(out, change.old, {}, pg::OldRow::none);
  out += ",\"after\":null";
}

void DebeziumEncoder::create_anew(std::string& out, const pg::Update& change) const {
  out += "{\"before\":null,\"after\":";
  append_row(out, change.row, change.old, change.old_kind);
}

void DebeziumEncoder::truncate(std::string& out) const { out += "{\"before\":null,\"after\":null"; }

void DebeziumEncoder::snapshot(std::string& out, pg::Row row) const { insert(out, {nullptr, row}); }

// Every column is there: null, its value, or the placeholder of what Postgres did not send.
void DebeziumEncoder::append_row(std::string& out, pg::Row row, pg::Row old,
                                 pg::OldRow old_kind) const {
  char separator = '{';
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].shown) continue;
    out += separator;
    separator = ',';
    out += columns_[i].label;
    const bool in_old =
        old_kind == pg::OldRow::full || (old_kind == pg::OldRow::key && columns_[i].identity);
    const bool from_old = in_old && std::holds_alternative<pg::Unchanged>(row[i]);
    append_value(out, i, from_old ? old[i] : row[i]);
  }
  if (separator == '{') out += '{';
  out += '}';
}

void DebeziumEncoder::append_value(std::string& out, std::size_t column,
                                   const pg::Value& value) const {
  const auto* text = std::get_if<std::string_view>(&value);
  try {
    if (const Mask mask = choice_.mask(column); text != nullptr && mask != Mask::none) {
      append_masked(out, mask, *text);
    } else if (text != nullptr) {
      values_->append(out, columns_[column].type, *text);
    } else if (std::holds_alternative<pg::Null>(value)) {
      out += "null";
    } else {
      values_->append_unavailable(out, columns_[column].type);
    }
  } catch (const BadValue& bad) {
    throw BadValue(fmt::format("column {}: {}", columns_[column].name, bad.what()));
  }
}

DebeziumTransaction::DebeziumTransaction(const std::string& name, const std::string& database) {
  head_ = R"("source":{"version":"walferry","connector":"postgresql","name":)";
  append_json_string(head_, name);
  head_ += ',';
  database_ = R"(,"db":)";
  append_json_string(database_, database);
  database_ += ",\"sequence\":";
}

void DebeziumTransaction::begin(const pg::Begin& begin) {
  times_ = times_of(begin.commit_time);
  sequence_ = fmt::format(R"("[\"{}\",\")", begin.commit_lsn.value);
  xid_ = std::to_string(begin.xid.value);
  transaction_ = fmt::format(R"(,"transaction":{{"id":"{}:{}","total_order":)", begin.xid.value,
                             begin.commit_lsn.value);
  counts_.clear();
  messages_ = 0;
}

DebeziumTransaction::Times DebeziumTransaction::times_of(pg::Timestamp time) {
  constexpr std::int64_t epoch_of_postgres = 946'684'800'000'000;  // 2000-01-01, in microseconds
  const std::int64_t micros = time.micros + epoch_of_postgres;
  const std::int64_t whole = micros / 1000 - (micros % 1000 < 0 ? 1 : 0);
  return {.millis = fmt::format("\"ts_ms\":{}", whole),
          .finer = fmt::format(",\"ts_us\":{},\"ts_ns\":{}000", micros, micros)};
}

void DebeziumTransaction::append_source(std::string& out, const Times& times,
                                        const std::string& sequence, pg::Lsn lsn,
                                        std::string_view table, std::string_view xid,
                                        bool snapshot) const {
  out += head_;
  out += times.millis;
  out += snapshot ? R"(,"snapshot":"true")" : R"(,"snapshot":"false")";
  out += database_;
  out += sequence;
  append_number(out, lsn.value);
  out += R"(\"]")";
  out += times.finer;
  out += table;
  out += ",\"txId\":";
  out += xid;
  out += ",\"lsn\":";
  append_number(out, lsn.value);
  out += ",\"xmin\":null}";
}

void DebeziumTransaction::append_end(std::string& out, const DebeziumEncoder& table, Op op,
                                     pg::Lsn lsn, std::uint64_t ordinal) const {
  out += ',';
  append_source(out, times_, sequence_, lsn, table.source_json_, xid_);
  out += transaction_;
  append_number(out, ordinal);
  out += ",\"data_collection_order\":";
  append_number(out, counts_.at(table.id_.value));
  out += "},\"op\":\"";
  out += op_codes[static_cast<std::size_t>(op)];
  out += "\",";
  out += times_.millis;
  out += times_.finer;
  out += '}';
}

void DebeziumTransaction::append_found_end(std::string& out, const DebeziumEncoder& table, Op op,
                                           pg::Lsn mark, pg::Timestamp time) const {
  const Times times = times_of(time);
  const std::string sequence = fmt::format(R"("[\"{}\",\")", mark.value);
  out += ',';
  append_source(out, times, sequence, mark, table.source_json_, "null", op == Op::snapshot);
  out += ",\"transaction\":null,\"op\":\"";
  out += op_codes[static_cast<std::size_t>(op)];
  out += "\",";
  out += times.millis;
  out += times.finer;
  out += '}';
}

void DebeziumTransaction::message(std::string& out, const pg::Message& message,
                                  std::uint64_t ordinal) const {
  const Times unknown{"\"ts_ms\":0", ",\"ts_us\":0,\"ts_ns\":0"};
  constexpr std::string_view no_table = R"(,"schema":"","table":"")";
  out += "{\"op\":\"m\",";
  if (message.transactional) {
    out += times_.millis;
    out += times_.finer;
    out += ',';
    append_source(out, times_, sequence_, message.lsn, no_table, xid_);
    out += transaction_;
    append_number(out, ordinal);
    out += ",\"data_collection_order\":";
    append_number(out, messages_);
    out += '}';
  } else {
    out += R"("ts_ms":null,"ts_us":null,"ts_ns":null,)";
    const std::string sequence = fmt::format(R"("[\"{}\",\")", message.lsn.value);
    append_source(out, unknown, sequence, message.lsn, no_table, "null");
    out += ",\"transaction\":null";
  }
  out += ",\"message\":{\"prefix\":";
  append_json_string(out, message.prefix);
  out += ",\"content\":\"";
  append_base64(out, message.content);
  out += "\"}}";
}

}  // namespace connector
