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
using pg::quote_name;

// Their cast to text is their output function.
constexpr std::uint32_t cast_types[] = {17,   19,   25,   114,  700,  701,  1043, 1082,
                                        1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802};

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
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

// A record's hash is linear in those of its columns, and a range's sum in those of its rows: two
// rows that exchange a column's values would leave the sum as it was. This breaks that.
std::string hashed_again(const std::string& hash, std::uint64_t seed) {
  return fmt::format(
      "pg_catalog.hashtextextended({}::pg_catalog.text COLLATE pg_catalog.\"C\", {})", hash, seed);
}

// Where a range of blocks begins, and where the next one does; nothing: before and behind all keys.
std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>> keys_of(
    const std::vector<StateBlock>& blocks, BlockRange range) {
  std::optional<std::int64_t> from;
  std::optional<std::int64_t> below;
  if (range.from > 0) from = integer_of(blocks[range.from].begin);
  if (range.to < blocks.size()) below = integer_of(blocks[range.to].begin);
  return {from, below};
}

}  // namespace

// A ROW() of PostgreSQL has at most so many entries; of a wide column there are two.
void RowHasher::fit() {
  constexpr std::size_t most_entries = 1664;
  const auto wide = static_cast<std::size_t>(std::count(columns.begin(), columns.end(), How::wide));
  if (columns.size() + wide > most_entries) {
    std::replace(columns.begin(), columns.end(), How::wide, How::text);
  }
}

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

const NumberedColumn* DiffTable::find(const std::string& column) const {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const NumberedColumn& one) { return one.name == column; });
  return found == all.end() ? nullptr : &*found;
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

// It may end in a comment.
std::string DiffTable::and_where() const { return where.empty() ? "" : " AND (" + where + "\n)"; }

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

std::string DiffTable::within(std::optional<std::int64_t> from_key,
                              std::optional<std::int64_t> below) const {
  if (!from_key && !below) return "true";
  const std::string name = quote_name(relation.columns[key[0].place].name);
  std::string condition;
  if (from_key) {
    condition = fmt::format("{} OPERATOR(pg_catalog.>=) '{}'::pg_catalog.int8", name, *from_key);
  }
  if (below) {
    condition += fmt::format("{}{} OPERATOR(pg_catalog.<) '{}'::pg_catalog.int8",
                             from_key ? " AND " : "", name, *below);
  }
  return condition;
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
  return fmt::format("COPY (SELECT {} FROM {} WHERE {}{} ORDER BY {}) TO STDOUT", columns, from(),
                     within(from_key, below), and_where(), order);
}

std::string DiffTable::read_query(std::uint64_t seed, const std::vector<StateBlock>& blocks,
                                  BlockRange range) const {
  const auto [from_key, below] = keys_of(blocks, range);
  return read_query(seed, from_key, below);
}

std::string DiffTable::sums_query(const std::vector<StateBlock>& blocks, std::uint64_t seed,
                                  const std::vector<BlockRange>& asked) const {
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
  std::string condition;
  for (const BlockRange& range : asked) {
    const auto [from_key, below] = keys_of(blocks, range);
    condition += (condition.empty() ? "(" : " OR ") + within(from_key, below);
  }
  condition += condition.empty() ? "true" : ")";
  // Without the OFFSET the planner looks through the subquery, takes each key for a block of its
  // own, and then thinks nothing of several workers; were it no constant, it would allow none.
  return fmt::format(
      R"(SELECT "walferry block", count(*), sum("walferry hash")
           FROM (SELECT {} AS "walferry block", {} AS "walferry hash" FROM {} WHERE {}{} OFFSET '0')
                AS rows
          GROUP BY 1)",
      block, row_hash(seed), from(), condition, and_where());
}

std::string DiffTable::sample_query(const std::vector<StateBlock>& blocks, std::uint64_t seed,
                                    const std::vector<std::size_t>& sampled) const {
  const std::string name = quote_name(relation.columns[key[0].place].name);
  std::string values;
  for (const std::size_t block : sampled) {
    fmt::format_to(std::back_inserter(values),
                   "{}({}, '{}'::pg_catalog.int8, '{}'::pg_catalog.int8)",
                   values.empty() ? "" : ", ", block, integer_of(blocks[block].begin),
                   integer_of(blocks[block + 1].begin));
  }
  return fmt::format(
      R"(SELECT "walferry block", "walferry rows", "walferry sum"
           FROM (VALUES {}) AS "walferry sample" ("walferry block", "walferry from", "walferry below")
          CROSS JOIN LATERAL
                (SELECT count(*), sum({}) FROM {}
                  WHERE {} OPERATOR(pg_catalog.>=) "walferry from"
                    AND {} OPERATOR(pg_catalog.<) "walferry below"{})
                AS "walferry sums" ("walferry rows", "walferry sum")
          WHERE "walferry rows" > 0)",
      values, row_hash(seed), from(), name, name, and_where());
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

}  // namespace outbox
