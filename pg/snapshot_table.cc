#include "pg/snapshot_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "pg/partition_tree.h"

namespace pg {
namespace {

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

constexpr const char* table_query = R"(
  SELECT c.oid, c.relkind, c.relreplident,
         coalesce((SELECT i.indexrelid FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indimmediate
                      AND (i.indisvalid OR c.relkind = 'p')
                      AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident
                               WHEN c.relreplident = 'd' THEN i.indisprimary END), 0),
         coalesce((SELECT i.indexrelid FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid
                      AND c.relreplident IN ('f', 'n')), 0),
         NOT EXISTS (SELECT FROM {3} t
                       JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
                      WHERE c.relkind = 'p' AND leaf.relkind <> 'p' AND leaf.relreplident NOT IN ('d', 'f')),
         pg_catalog.current_setting('server_version_num')::int,
         EXISTS (SELECT FROM pg_catalog.pg_publication_tables p
                  WHERE p.pubname IN ({2}) AND p.schemaname = {0} AND p.tablename = {1})
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname = {0} AND c.relname = {1})";

constexpr const char* columns_query = R"(
  SELECT a.attname, a.atttypid, a.atttypmod,
         EXISTS (SELECT FROM pg_catalog.pg_index i
                  WHERE i.indexrelid = {1}
                    AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]))
    FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = {0} AND a.attnum > 0 AND NOT a.attisdropped AND {2}
   ORDER BY a.attnum)";

// What a publication sends of the table, where one has it.
constexpr const char* published = R"(
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_publication_tables p
                     WHERE p.pubname IN ({0}) AND p.schemaname = {1} AND p.tablename = {2})
       THEN a.attname IN (SELECT pg_catalog.unnest(p.attnames)
                            FROM pg_catalog.pg_publication_tables p
                           WHERE p.pubname IN ({0}) AND p.schemaname = {1} AND p.tablename = {2})
       ELSE a.attgenerated = '' END)";

constexpr const char* key_query = R"(
  SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
         CASE WHEN i.indcollation[k.place - 1] NOT IN (0, a.attcollation)
              THEN (SELECT pg_catalog.format('COLLATE %I.%I', n.nspname, c.collname)
                      FROM pg_catalog.pg_collation c
                      JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
                     WHERE c.oid = i.indcollation[k.place - 1]) END,
         (SELECT pg_catalog.string_agg(
                   pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname),
                   pg_catalog.chr(10)
                   ORDER BY m.amopstrategy)
            FROM pg_catalog.pg_amop m
            JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
            JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
           WHERE m.amopfamily = oc.opcfamily AND m.amoplefttype = oc.opcintype
             AND m.amoprighttype = oc.opcintype AND m.amopstrategy BETWEEN 1 AND 5)
    FROM pg_catalog.pg_index i
   CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])
                      WITH ORDINALITY AS k (attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_catalog.pg_opclass oc ON oc.oid = i.indclass[k.place - 1]
   WHERE i.indexrelid = {} AND k.place <= i.indnkeyatts
   ORDER BY k.place)";

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> found;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    found.emplace_back(line);
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return found;
}

// The index's columns, in its order; empty where one is not sent.
std::vector<SnapshotTable::KeyColumn> key_of(SqlSession& sql, const Relation& relation,
                                             std::uint32_t index) {
  std::vector<SnapshotTable::KeyColumn> key;
  const PgResult rows = sql.exec(fmt::format(fmt::runtime(key_query), index));
  for (int i = 0; i < PQntuples(rows.get()); ++i) {
    const std::string name(cell(rows, i, 0));
    const auto column = std::find_if(relation.columns.begin(), relation.columns.end(),
                                     [&](const Column& c) { return c.name == name; });
    const std::vector<std::string> operators = lines(cell(rows, i, 3));
    if (column == relation.columns.end() || operators.size() != 5) return {};
    const std::string collate(cell(rows, i, 2));
    key.push_back({.place = static_cast<std::size_t>(column - relation.columns.begin()),
                   .expression = quote_name(name) + (collate.empty() ? "" : " " + collate),
                   .type = std::string(cell(rows, i, 1)),
                   .less = operators[0],
                   .less_or_equal = operators[1],
                   .equal = operators[2],
                   .greater_or_equal = operators[3],
                   .greater = operators[4]});
  }
  return key;
}

std::string literal(const SnapshotTable::KeyColumn& column, const std::string& text) {
  return quote_text(text) + "::" + column.type;
}

// (a, b) OP (x, y). A row comparison is what an index scan can use; it needs one operator for all
// columns, by name. Else it is spelled out, and the first column bounds the scan.
std::string compare(const std::vector<SnapshotTable::KeyColumn>& key, const Key& bound,
                    bool behind) {
  const auto strict = [&](const auto& column) { return behind ? column.greater : column.less; };
  const auto end = [&](const auto& column) {
    return behind ? column.greater : column.less_or_equal;
  };
  const bool one_operator = std::all_of(
      key.begin(), key.end(), [&](const auto& column) { return end(column) == end(key.front()); });
  std::string left;
  std::string right;
  if (one_operator) {
    for (std::size_t i = 0; i < key.size(); ++i) {
      left += (i == 0 ? "" : ", ") + key[i].expression;
      right += (i == 0 ? "" : ", ") + literal(key[i], bound[i]);
    }
    return fmt::format("ROW({}) {} ROW({})", left, end(key.front()), right);
  }
  std::string whole;
  for (std::size_t i = key.size(); i-- > 0;) {
    const std::string value = literal(key[i], bound[i]);
    if (whole.empty()) {
      whole = fmt::format("{} {} {}", key[i].expression, end(key[i]), value);
    } else {
      whole = fmt::format("({0} {1} {2} OR ({0} {3} {2} AND {4}))", key[i].expression,
                          strict(key[i]), value, key[i].equal, whole);
    }
  }
  const auto& first = key.front();
  return fmt::format("{} {} {} AND {}", first.expression,
                     behind ? first.greater_or_equal : first.less_or_equal,
                     literal(first, bound.front()), whole);
}

std::string order(const std::vector<SnapshotTable::KeyColumn>& key) {
  std::string list;
  for (const auto& column : key) {
    list += fmt::format("{}{} USING {}", list.empty() ? " ORDER BY " : ", ", column.expression,
                        column.less);
  }
  return list;
}

}  // namespace

std::string quote_name(std::string_view name) { return quoted(name, '"'); }
std::string quote_text(std::string_view text) { return quoted(text, '\''); }

std::string SnapshotTable::from() const {
  return fmt::format("{}{}.{}", partitioned ? "" : "ONLY ", quote_name(relation.schema),
                     quote_name(relation.name));
}

std::string SnapshotTable::boundary_query(const std::optional<Key>& lower,
                                          std::uint64_t rows) const {
  std::string columns;
  for (const KeyColumn& column : key) {
    if (!columns.empty()) columns += ", ";
    columns += quote_name(relation.columns[column.place].name);
  }
  return fmt::format("SELECT {} FROM {}{}{} OFFSET {} LIMIT 1", columns, from(),
                     lower ? " WHERE " + compare(key, *lower, true) : "", order(key), rows - 1);
}

std::string SnapshotTable::copy(const std::optional<Key>& lower, const std::optional<Key>& upper,
                                const std::string& where) const {
  std::string columns;
  for (const Column& column : relation.columns) {
    if (!columns.empty()) columns += ", ";
    columns += quote_name(column.name);
  }
  std::string conditions;
  const auto add = [&](const std::string& condition) {
    conditions += (conditions.empty() ? " WHERE " : " AND ") + condition;
  };
  if (lower) add(compare(key, *lower, true));
  if (upper) add(compare(key, *upper, false));
  if (!where.empty()) add("(" + where + "\n)");  // it may end in a comment
  return fmt::format("COPY (SELECT {} FROM {}{}{}) TO STDOUT", columns, from(), conditions,
                     order(key));
}

std::string SnapshotTable::among(const std::vector<Key>& keys) const {
  if (keys.empty()) return "false";
  // Names that no column of the table hides.
  const auto name = [](std::size_t i) { return fmt::format(R"("walferry key {}")", i); };
  std::string names;
  std::string equal;
  for (std::size_t i = 0; i < key.size(); ++i) {
    names += (i == 0 ? "" : ", ") + name(i);
    equal +=
        fmt::format("{}{} {} {}", i == 0 ? "" : " AND ", key[i].expression, key[i].equal, name(i));
  }
  std::string rows;
  for (const Key& one : keys) {
    rows += rows.empty() ? "(" : ", (";
    for (std::size_t i = 0; i < key.size(); ++i) {
      rows += (i == 0 ? "" : ", ") + literal(key[i], one[i]);
    }
    rows += ')';
  }
  return fmt::format("EXISTS (SELECT FROM (VALUES {}) \"walferry keys\" ({}) WHERE {})", rows,
                     names, equal);
}

bool SnapshotTable::same_shape(const Relation& other) const {
  return relation.id == other.id && relation.schema == other.schema &&
         relation.name == other.name && relation.identity == other.identity &&
         relation.columns == other.columns;
}

bool SnapshotTable::same_as(const SnapshotTable& other) const {
  return same_shape(other.relation) && partitioned == other.partitioned && key == other.key;
}

std::optional<SnapshotTable> snapshot_table(SqlSession& sql, const std::string& schema,
                                            const std::string& name,
                                            std::span<const std::string> publications) {
  std::string list;
  for (const std::string& one : publications) list += (list.empty() ? "" : ", ") + quote_text(one);
  const PgResult found = sql.exec(fmt::format(fmt::runtime(table_query), quote_text(schema),
                                              quote_text(name), list, partition_tree("c.oid")));
  if (PQntuples(found.get()) == 0) return std::nullopt;
  SnapshotTable table;
  Relation& relation = table.relation;
  relation.id = RelationId(number<std::uint32_t>(cell(found, 0, 0)));
  relation.schema = schema;
  relation.name = name;
  relation.identity = static_cast<ReplicaIdentity>(cell(found, 0, 2).front());
  table.partitioned = cell(found, 0, 1) == "p";
  table.published = cell(found, 0, 7) == "t";
  const auto identity_index = number<std::uint32_t>(cell(found, 0, 3));
  const auto primary_key = number<std::uint32_t>(cell(found, 0, 4));
  const bool named_alike = cell(found, 0, 5) == "t";  // in all partitions

  std::string sent = "a.attgenerated = ''";
  constexpr int first_with_lists = 150000;
  if (number<int>(cell(found, 0, 6)) >= first_with_lists) {
    constexpr int first_with_generated = 180000;
    sent = fmt::format(fmt::runtime(published), list, quote_text(schema), quote_text(name));
    if (number<int>(cell(found, 0, 6)) < first_with_generated) sent += " AND a.attgenerated = ''";
  }
  const PgResult columns =
      sql.exec(fmt::format(fmt::runtime(columns_query), relation.id.value, identity_index, sent));
  for (int i = 0; i < PQntuples(columns.get()); ++i) {
    relation.columns.push_back(
        {.name = std::string(cell(columns, i, 0)),
         .type = TypeId(number<std::uint32_t>(cell(columns, i, 1))),
         .modifier = number<std::int32_t>(cell(columns, i, 2)),
         .key = relation.identity == ReplicaIdentity::full || cell(columns, i, 3) == "t"});
  }
  const std::uint32_t index = identity_index != 0 ? identity_index : primary_key;
  if (index != 0 && named_alike) table.key = key_of(sql, relation, index);
  return table;
}

std::vector<std::string> writers_of(SqlSession& sql, const SnapshotTable& table) {
  const PgResult rows = sql.exec(fmt::format(
      R"(SELECT DISTINCT l.virtualtransaction || '/' || coalesce(l.pid, 0)
           FROM pg_catalog.pg_locks l
          WHERE l.locktype = 'relation' AND l.granted
            AND l.mode IN ('RowExclusiveLock', 'AccessExclusiveLock')
            AND l.database = (SELECT oid FROM pg_catalog.pg_database
                               WHERE datname = current_database())
            AND (l.relation = {0}
                 OR l.relation IN (SELECT t.relid FROM {1} t)))",
      table.relation.id.value, partition_tree(std::to_string(table.relation.id.value))));
  std::vector<std::string> writers;
  const int count = PQntuples(rows.get());
  writers.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) writers.emplace_back(cell(rows, i, 0));
  return writers;
}

}  // namespace pg
