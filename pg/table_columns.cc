#include "pg/table_columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "pg/partition_tree.h"

namespace pg {
namespace {

// The same parts, and the same rule for each, as table_query in catalog.cc has for has_identity.
constexpr const char* columns_query = R"(
  WITH parts AS (
    SELECT c.oid AS relid, CASE WHEN c.relkind = 'p' THEN 'd' ELSE c.relreplident END AS identity
      FROM pg_catalog.pg_class c
     WHERE c.oid = {0}
        OR c.oid IN (SELECT t.relid FROM {1} t JOIN pg_catalog.pg_class p ON p.oid = t.relid
                    WHERE p.relkind <> 'p')),
  keys AS (
    SELECT p.relid, a.attname
      FROM parts p
      JOIN pg_catalog.pg_index i ON i.indrelid = p.relid AND i.indimmediate
       AND CASE p.identity WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary
                           ELSE false END
     CROSS JOIN LATERAL unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE k.place <= i.indnkeyatts)
  SELECT a.attname, a.atttypid, a.attgenerated <> '' AS generated,
         NOT EXISTS (
           SELECT FROM parts p
            WHERE p.identity <> 'f'
              AND NOT EXISTS (SELECT FROM keys k
                               WHERE k.relid = p.relid AND k.attname = a.attname)) AS covered,
         EXISTS (SELECT FROM keys k WHERE k.attname = a.attname) AS identity,
         EXISTS (SELECT FROM parts p WHERE p.identity = 'f') AS is_full
    FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = {0} AND a.attnum > 0 AND NOT a.attisdropped
   ORDER BY a.attnum)";

}  // namespace

const TableColumn* TableColumns::find(const std::string& name) const {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const TableColumn& column) { return column.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

TableColumns table_columns(pqxx::connection& sql, std::uint32_t table) {
  pqxx::nontransaction work(sql);
  TableColumns found;
  for (const auto& row : work.exec(fmt::format(fmt::runtime(columns_query), table,
                                               partition_tree(std::to_string(table))))) {
    found.full = row["is_full"].as<bool>();
    found.columns.push_back({.name = row["attname"].c_str(),
                             .type = row["atttypid"].as<std::uint32_t>(),
                             .generated = row["generated"].as<bool>(),
                             .covered = row["covered"].as<bool>(),
                             .identity = row["identity"].as<bool>()});
  }
  return found;
}

}  // namespace pg
