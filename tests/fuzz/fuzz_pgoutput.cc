// Any bytes are messages or a ProtocolError, and whatever was decoded is a JSON record or a
// BadValue: never a crash, never another exception. An input is a session: each message behind its
// length, two bytes, big endian.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "connector/record.h"
#include "pg/builtin_types.h"
#include "pg/pgoutput.h"

namespace {

using connector::TableEncoder;

// Of the type, or of its elements.
connector::JsonKind kind_inside(pg::TypeId type) {
  const pg::BuiltinType* element = pg::element_of_builtin_array(type);
  return connector::kind_of(element != nullptr ? pg::TypeId(element->type) : type);
}

// A json column's bytes are Postgres's to vouch for; all else must be JSON whatever it holds.
bool embeds_json(const pg::Relation& relation) {
  for (const pg::Column& column : relation.columns) {
    if (kind_inside(column.type) == connector::JsonKind::json) return true;
  }
  return false;
}

void encode(const pg::Change& change, connector::TransactionEncoder& transaction) {
  const auto record = [&](const pg::Relation& relation, const auto& append) {
    pg::TypeCatalog types([](pg::TypeId) { return std::nullopt; });
    connector::StructuredValues values(types);
    const TableEncoder table(relation, {relation.columns.empty() ? "" : relation.columns[0].name},
                             "cdc", values);
    std::string out;
    append(table, out);
    transaction.append_position(out, pg::Lsn(1), 1);
    transaction.append_end(out, true);
    if (embeds_json(relation)) return;
    // Floats may be digits in any order: the shape is checked, not the number.
    bool floats = false;
    for (const pg::Column& column : relation.columns) {
      floats = floats || kind_inside(column.type) == connector::JsonKind::floating ||
               kind_inside(column.type) == connector::JsonKind::number;
    }
    if (!floats && !nlohmann::json::accept(out)) std::abort();
  };
  if (const auto* begin = std::get_if<pg::Begin>(&change)) {
    transaction.begin(*begin);
  } else if (const auto* insert = std::get_if<pg::Insert>(&change)) {
    record(*insert->relation, [&](const auto& t, auto& out) { t.insert(out, *insert); });
  } else if (const auto* update = std::get_if<pg::Update>(&change)) {
    record(*update->relation, [&](const auto& t, auto& out) { t.update(out, *update); });
  } else if (const auto* remove = std::get_if<pg::Delete>(&change)) {
    record(*remove->relation, [&](const auto& t, auto& out) { t.remove(out, *remove); });
  } else if (const auto* truncate = std::get_if<pg::Truncate>(&change)) {
    for (const pg::Relation* relation : truncate->relations) {
      record(*relation, [](const auto& t, auto& out) { t.truncate(out); });
    }
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  pg::PgoutputDecoder decoder;
  connector::TransactionEncoder transaction;
  transaction.begin({});
  while (rest.size() >= 2) {
    pg::ByteReader head(rest.substr(0, 2));
    const std::size_t length = std::min<std::size_t>(head.read<std::uint16_t>(), rest.size() - 2);
    const std::string message(rest.substr(2, length));  // its own end is seen by the sanitizer
    rest.remove_prefix(2 + length);
    try {
      encode(decoder.decode(message), transaction);
    } catch (const pg::ProtocolError&) {
    } catch (const connector::BadValue&) {
    }
  }
  return 0;
}
