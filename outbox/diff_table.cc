#include "outbox/diff_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "outbox/sort_key.h"
#include "pg/error.h"
#include "pg/snapshot_table.h"

namespace outbox {
namespace {

using How = RowHasher::How;
using pg::cell;
using pg::quote_name;
using pg::quote_text;

constexpr std::uint32_t bool_type = 16, int8_type = 20, int2_type = 21, int4_type = 23,
                        oid_type = 26;
// Their cast to text is their output function.
constexpr std::uint32_t cast_types[] = {17,   19,   25,   114,  700,  701,  1043, 1082,
                                        1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802};

constexpr const char* table_query = R"(
  SELECT c.oid, c.relkind, c.relreplident, greatest(c.reltuples, 0),
         coalesce((SELECT i.indexrelid FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indimmediate AND (i.indisvalid OR c.relkind = 'p')
                      AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident
                               ELSE i.indisprimary END), 0)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname = {} AND c.relname = {})";

constexpr const char* columns_query = R"(
  SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull,
         pg_catalog.format_type(a.atttypid, a.atttypmod),
         (SELECT k.place FROM pg_catalog.pg_index i
           CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])
                              WITH ORDINALITY AS k (attnum, place)
           WHERE i.indexrelid = {1} AND k.place <= i.indnkeyatts AND k.attnum = a.attnum)
    FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = {0} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
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

std::string text_of(const std::string& column, std::uint32_t type) {
  if (std::find(std::begin(cast_types), std::end(cast_types), type) != std::end(cast_types)) {
    return column + "::pg_catalog.text COLLATE pg_catalog.\"C\"";
  }
  // concat() calls the type's output function, as COPY does; a cast may be something else.
  return fmt::format(
      "CASE WHEN {0} IS NOT DISTINCT FROM NULL THEN NULL ELSE pg_catalog.concat({0}) END "
      "COLLATE pg_catalog.\"C\"",
      column);
}

std::uint64_t fold(std::int64_t value, std::uint64_t seed) {
  const auto bits = static_cast<std::uint64_t>(value);
  const auto high = static_cast<std::uint32_t>(bits >> 32U);
  return hash_uint32(static_cast<std::uint32_t>(bits) ^ (value >= 0 ? high : ~high), seed);
}

struct Column {
  std::string name;
  pg::Column column;
  std::string type;
  bool not_null = false;
  std::uint64_t key_place = 0;  // 1-based; 0: none
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

// A record's hash is linear in those of its columns, and a range's sum in those of its rows: two
// rows that exchange a column's values would leave the sum as it was. This breaks that.
std::string hashed_again(const std::string& hash, std::uint64_t seed) {
  return fmt::format(
      "pg_catalog.hashtextextended({}::pg_catalog.text COLLATE pg_catalog.\"C\", {})", hash, seed);
}

}  // namespace

std::int64_t RowHasher::operator()(pg::Row row, std::uint64_t seed) const {
  std::uint64_t sum = 0;
  const auto add = [&](std::uint64_t hash) { sum = (sum << 5U) - sum + hash; };
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto* text = std::get_if<std::string_view>(&row[i]);
    if (text == nullptr) {
      if (columns[i] == How::wide) add(0);
      add(0);
      continue;
    }
    switch (columns[i]) {
      case How::boolean: add(hash_uint32(*text == "t" ? 1 : 0, seed)); break;
      case How::integer:
        add(hash_uint32(static_cast<std::uint32_t>(number<std::int64_t>(*text)), seed));
        break;
      case How::wide: {
        const auto value = number<std::int64_t>(*text);
        add(hash_uint32(static_cast<std::uint32_t>(static_cast<std::uint64_t>(value) >> 32U),
                        seed));
        add(fold(value, seed));
        break;
      }
      case How::text: add(hash_bytes(*text, seed)); break;
    }
  }
  const auto columns_hash = static_cast<std::int64_t>(sum);
  return static_cast<std::int64_t>(hash_bytes(std::to_string(columns_hash), seed));
}

std::string DiffTable::name() const { return relation.schema + "." + relation.name; }

void DiffTable::key_of(pg::Row row, std::string& out) const {
  out.clear();
  for (const KeyColumn& column : key) {
    const auto* text = std::get_if<std::string_view>(&row[column.place]);
    if (text == nullptr) {
      append_null(out);
    } else if (!column.integer) {
      append_text(out, *text);
    } else if (const auto value = parse_integer(*text)) {
      append_integer(out, *value);
    } else {
      throw pg::ProtocolError("an integer column has text that is no integer");
    }
  }
}

std::string DiffTable::from() const {
  return fmt::format("{}{}.{}", partitioned ? "" : "ONLY ", quote_name(relation.schema),
                     quote_name(relation.name));
}

std::string DiffTable::lock_query() const {
  return fmt::format("LOCK TABLE {} IN ACCESS SHARE MODE", from());
}

std::string DiffTable::row_hash(std::uint64_t seed) const {
  std::string elements;
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const std::string column = quote_name(relation.columns[i].name);
    if (i > 0) elements += ", ";
    switch (hasher.columns[i]) {
      case How::boolean:
      case How::integer: elements += column; break;
      case How::wide:
        elements += fmt::format("({0} OPERATOR(pg_catalog.>>) 32)::pg_catalog.int4, {0}", column);
        break;
      case How::text: elements += text_of(column, relation.columns[i].type.value); break;
    }
  }
  return hashed_again(fmt::format("pg_catalog.hash_record_extended(ROW({}), {})", elements, seed),
                      seed);
}

std::string DiffTable::read_query(std::uint64_t seed, std::optional<std::int64_t> from_key,
                                  std::optional<std::int64_t> below) const {
  std::string columns;
  std::string order;
  if (!keyed()) {
    columns = row_hash(seed);
    order = "1";
  }
  for (const pg::Column& column : relation.columns) {
    columns += (columns.empty() ? "" : ", ") + quote_name(column.name);
  }
  for (const KeyColumn& column : key) {
    const std::string name = quote_name(relation.columns[column.place].name);
    const std::uint32_t type = relation.columns[column.place].type.value;
    order += (order.empty() ? "" : ", ") + (column.integer ? name : text_of(name, type)) +
             (column.nullable ? " NULLS FIRST" : "");
  }
  std::string conditions;
  const auto add = [&](const std::string& condition) {
    conditions += (conditions.empty() ? " WHERE " : " AND ") + condition;
  };
  if (from_key || below) {
    const std::string name = quote_name(relation.columns[key[0].place].name);
    if (from_key)
      add(fmt::format("{} OPERATOR(pg_catalog.>=) '{}'::pg_catalog.int8", name, *from_key));
    if (below) add(fmt::format("{} OPERATOR(pg_catalog.<) '{}'::pg_catalog.int8", name, *below));
  }
  if (!where.empty()) add("(" + where + "\n)");  // it may end in a comment
  return fmt::format("COPY (SELECT {} FROM {}{} ORDER BY {}) TO STDOUT", columns, from(),
                     conditions, order);
}

std::string DiffTable::sums_query(const std::vector<StateBlock>& blocks, std::uint64_t seed) const {
  std::string block = "0";
  if (ranged() && blocks.size() > 1) {
    std::string begins;
    for (std::size_t i = 1; i < blocks.size(); ++i) {
      fmt::format_to(std::back_inserter(begins), "{}{}", i > 1 ? "," : "",
                     integer_of(blocks[i].begin));
    }
    block = fmt::format("pg_catalog.width_bucket({}::pg_catalog.int8, '{{{}}}'::pg_catalog.int8[])",
                        quote_name(relation.columns[key[0].place].name), begins);
  }
  // Without the OFFSET the planner looks through the subquery, takes each key for a block of its
  // own, and then thinks nothing of several workers; were it no constant, it would allow none.
  return fmt::format(
      R"(SELECT "walferry block", count(*), sum("walferry hash")
           FROM (SELECT {} AS "walferry block", {} AS "walferry hash" FROM {}{}{}{} OFFSET '0') AS rows
          GROUP BY 1)",
      block, row_hash(seed), from(), where.empty() ? "" : " WHERE (", where,
      where.empty() ? "" : "\n)");
}

std::string DiffTable::probe_query(std::uint64_t seed) {
  const std::string record = fmt::format(
      "pg_catalog.hash_record_extended(ROW(true, 7::pg_catalog.int2, -1::pg_catalog.int4, "
      "NULL::pg_catalog.text, (x::pg_catalog.int8 >> 32)::pg_catalog.int4, x::pg_catalog.int8, "
      "42::pg_catalog.oid, 'walferry'::pg_catalog.text COLLATE pg_catalog.\"C\", "
      "'a longer one, of 31 bytes or so'::pg_catalog.text COLLATE pg_catalog.\"C\"), {})",
      seed);
  return fmt::format("SELECT {} FROM (SELECT -81985529216486895::pg_catalog.int8 AS x) AS x",
                     hashed_again(record, seed));
}

std::int64_t DiffTable::probe_hash(std::uint64_t seed) {
  const RowHasher hasher{{How::boolean, How::integer, How::integer, How::text, How::wide,
                          How::integer, How::text, How::text}};
  using namespace std::string_view_literals;
  const pg::Value row[] = {"t"sv,
                           "7"sv,
                           "-1"sv,
                           pg::Null{},
                           "-81985529216486895"sv,
                           "42"sv,
                           "walferry"sv,
                           "a longer one, of 31 bytes or so"sv};
  return hasher(row, seed);
}

std::string DiffTable::signature() const {
  std::string text = keyed() ? "" : "whole rows\n";
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const auto place = std::find_if(key.begin(), key.end(),
                                    [&](const KeyColumn& column) { return column.place == i; });
    const std::string role =
        place == key.end() ? "" : fmt::format(" key {}", place - key.begin() + 1);
    text += fmt::format("{} {}{}\n", quote_name(relation.columns[i].name), types[i], role);
  }
  return text;
}

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
  table.where = choice.where;
  const std::vector<Column> all =
      columns_of(sql, table.relation.id.value, number<std::uint32_t>(cell(found, 0, 4)));
  const std::vector<std::string> key = key_names(all, choice);
  std::vector<bool> not_null;
  for (const Column& column : all) {
    const bool is_key = contains(key, column.name);
    const bool shown = (choice.columns.empty() || contains(choice.columns, column.name)) &&
                       !contains(choice.exclude, column.name);
    if (!shown && !is_key) continue;
    table.relation.columns.push_back(column.column);
    table.relation.columns.back().key = is_key;
    table.types.push_back(column.type);
    table.hasher.columns.push_back(how_of(column.column.type.value));
    not_null.push_back(column.not_null);
  }
  for (const std::string& part : key) {
    const auto& columns = table.relation.columns;
    const auto place = std::find_if(columns.begin(), columns.end(),
                                    [&](const pg::Column& column) { return column.name == part; });
    if (place == columns.end()) continue;
    const auto at = static_cast<std::size_t>(place - columns.begin());
    table.key.push_back(
        {.place = at, .integer = is_integer(place->type.value), .nullable = !not_null[at]});
  }
  for (const auto* names : {&choice.columns, &choice.exclude, &choice.key}) {
    for (const std::string& wanted : *names) {
      const bool there = std::any_of(all.begin(), all.end(),
                                     [&](const Column& column) { return column.name == wanted; });
      if (!there && !contains(table.missing, wanted)) table.missing.push_back(wanted);
    }
  }
  return table;
}

std::optional<std::uint64_t> scattered_changes(pg::SqlSession& sql, const DiffTable& table) {
  const pg::PgResult found = sql.exec(fmt::format(
      R"(SELECT sum(pg_catalog.pg_stat_get_tuples_updated(t.relid) +
                    pg_catalog.pg_stat_get_tuples_deleted(t.relid))
           FROM (SELECT {0}::pg_catalog.oid AS relid
                 UNION SELECT relid FROM pg_catalog.pg_partition_tree({0})) AS t
          WHERE NOT pg_catalog.pg_is_in_recovery()
            AND pg_catalog.current_setting('track_counts')::pg_catalog.bool)",
      table.relation.id.value));
  if (PQgetisnull(found.get(), 0, 0) != 0) return std::nullopt;
  return number<std::uint64_t>(cell(found, 0, 0));
}

}  // namespace outbox
