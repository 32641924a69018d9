// A table of snapshot-diff, as the catalog has it.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "outbox/diff_table.h"
#include "pg/snapshot_table.h"

namespace outbox {
namespace {

using How = RowHasher::How;
using pg::cell;
using pg::quote_text;

constexpr std::uint32_t bool_type = 16, int8_type = 20, int2_type = 21, int4_type = 23,
                        oid_type = 26;

constexpr const char* table_query = R"(
  SELECT c.oid, c.relkind, c.relreplident, greatest(c.reltuples, 0),
         coalesce((SELECT i.indexrelid FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indimmediate AND (i.indisvalid OR c.relkind = 'p')
                      AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident
                               ELSE i.indisprimary END), 0),
         pg_catalog.pg_is_in_recovery()
         AND (c.relpersistence = 'u'
              OR EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) t
                           JOIN pg_catalog.pg_class p ON p.oid = t.relid
                          WHERE p.relpersistence = 'u'))
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname = {} AND c.relname = {})";

constexpr const char* columns_query = R"(
  SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull,
         pg_catalog.format_type(a.atttypid, a.atttypmod),
         (SELECT k.place FROM pg_catalog.pg_index i
           CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])
                              WITH ORDINALITY AS k (attnum, place)
           WHERE i.indexrelid = {1} AND k.place <= i.indnkeyatts AND k.attnum = a.attnum),
         EXISTS (SELECT FROM pg_catalog.pg_index i
                   JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                   JOIN pg_catalog.pg_am m ON m.oid = x.relam
                  WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL
                    AND i.indkey[0] = a.attnum AND m.amname = 'btree'),
         a.attnum, a.attgenerated <> ''
    FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = {0} AND a.attnum > 0 AND NOT a.attisdropped
   ORDER BY a.attnum)";

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

How how_of(std::uint32_t type) {
  switch (type) {
    case bool_type: return How::boolean;
    case int2_type:
    case int4_type:
    case oid_type: return How::integer;
    case int8_type: return How::wide;
    default: return How::text;
  }
}

bool is_integer(std::uint32_t type) {
  return type == int2_type || type == int4_type || type == int8_type;
}

struct Column {
  std::string name;
  pg::Column column;
  std::string type;
  bool not_null = false;
  std::uint64_t key_place = 0;  // 1-based; 0: none
  bool indexed = false;
  std::int32_t number = 0;
  bool generated = false;
};

std::vector<Column> columns_of(pg::SqlSession& sql, std::uint32_t table, std::uint32_t index) {
  std::vector<Column> columns;
  const pg::PgResult rows = sql.exec(fmt::format(fmt::runtime(columns_query), table, index));
  for (int i = 0; i < PQntuples(rows.get()); ++i) {
    Column column;
    column.name = cell(rows, i, 0);
    column.column = {.name = column.name,
                     .type = pg::TypeId(number<std::uint32_t>(cell(rows, i, 1))),
                     .modifier = number<std::int32_t>(cell(rows, i, 2))};
    column.not_null = cell(rows, i, 3) == "t";
    column.type = cell(rows, i, 4);
    column.key_place = number<std::uint64_t>(cell(rows, i, 5));
    column.indexed = cell(rows, i, 6) == "t";
    column.number = number<std::int32_t>(cell(rows, i, 7));
    column.generated = cell(rows, i, 8) == "t";
    columns.push_back(std::move(column));
  }
  return columns;
}

std::vector<std::string> key_names(const std::vector<Column>& columns, const DiffChoice& choice) {
  if (!choice.key.empty()) return choice.key;
  std::vector<const Column*> of_index;
  for (const Column& column : columns) {
    if (column.key_place > 0) of_index.push_back(&column);
  }
  std::sort(of_index.begin(), of_index.end(),
            [](const Column* a, const Column* b) { return a->key_place < b->key_place; });
  std::vector<std::string> names;
  names.reserve(of_index.size());
  for (const Column* column : of_index) names.push_back(column->name);
  return names;
}

}  // namespace

std::optional<DiffTable> diff_table(pg::SqlSession& sql, const std::string& schema,
                                    const std::string& name, const DiffChoice& choice) {
  const pg::PgResult found =
      sql.exec(fmt::format(fmt::runtime(table_query), quote_text(schema), quote_text(name)));
  if (PQntuples(found.get()) == 0) return std::nullopt;
  DiffTable table;
  table.relation.id = pg::RelationId(number<std::uint32_t>(cell(found, 0, 0)));
  table.relation.schema = schema;
  table.relation.name = name;
  table.partitioned = cell(found, 0, 1) == "p";
  table.estimated_rows = number<double>(cell(found, 0, 3));
  table.unlogged_on_standby = cell(found, 0, 5) == "t";
  table.where = choice.where;
  const std::vector<Column> all =
      columns_of(sql, table.relation.id.value, number<std::uint32_t>(cell(found, 0, 4)));
  const std::vector<std::string> key = key_names(all, choice);
  std::vector<bool> not_null;
  std::vector<bool> indexed;
  for (const Column& column : all) {
    table.all.push_back({column.name, column.number});
    const bool is_key = contains(key, column.name);
    const bool shown = (choice.columns.empty() || contains(choice.columns, column.name)) &&
                       !contains(choice.exclude, column.name);
    if (column.generated) {
      if (is_key || contains(choice.columns, column.name)) table.generated.push_back(column.name);
      continue;
    }
    if (!shown && !is_key) continue;
    table.relation.columns.push_back(column.column);
    table.relation.columns.back().key = is_key;
    table.types.push_back(column.type);
    table.hasher.columns.push_back(how_of(column.column.type.value));
    not_null.push_back(column.not_null);
    indexed.push_back(column.indexed);
  }
  for (const std::string& part : key) {
    const auto& columns = table.relation.columns;
    const auto place = std::find_if(columns.begin(), columns.end(),
                                    [&](const pg::Column& column) { return column.name == part; });
    if (place == columns.end()) continue;
    const auto at = static_cast<std::size_t>(place - columns.begin());
    table.key.push_back({.place = at,
                         .integer = is_integer(place->type.value),
                         .nullable = !not_null[at],
                         .indexed = indexed[at]});
  }
  table.hasher.fit();
  return table;
}

}  // namespace outbox
