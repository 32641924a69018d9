#include "pg/filter_check.h"

#include <fmt/format.h>

namespace pg {
namespace {

// The first object that the index needs and that is neither built in nor the table.
constexpr const char* foreign_query = R"(
  SELECT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
   WHERE i.indrelid = {0}::pg_catalog.regclass AND d.refobjid >= 16384
     AND d.refobjid <> i.indrelid
   LIMIT 1)";

std::string first_line(const char* text) {
  const std::string whole = text;
  return whole.substr(0, whole.find('\n'));
}

}  // namespace

std::string filter_problem(pqxx::connection& sql, const TableInfo& table,
                           const TableColumns& columns, const std::string& where, bool for_server) {
  pqxx::work work(sql);
  try {
    const std::string types = fmt::format(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)"
        "  FROM pg_catalog.pg_attribute a"
        " WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        table.oid);
    std::string list;
    for (const auto& row : work.exec(types)) {
      const TableColumn* column = columns.find(row[0].c_str());
      if (column == nullptr || column->generated) continue;  // not in WAL
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", sql.quote_name(column->name),
                          row[1].c_str());
    }
    const std::string copy = "pg_temp." + sql.quote_name(table.name);
    work.exec(fmt::format("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP", copy, list));
    work.exec(fmt::format("CREATE INDEX ON {} ((1)) WHERE ({}\n)", copy, where));
    if (!for_server) return "";
    const pqxx::result foreign =
        work.exec(fmt::format(fmt::runtime(foreign_query), sql.quote(copy)));
    if (foreign.empty()) return "";
    return fmt::format("{} is not built in, and a publication's filter takes nothing else",
                       foreign[0][0].c_str());
  } catch (const pqxx::insufficient_privilege&) {
    return "";
  } catch (const pqxx::sql_error& error) {
    return first_line(error.what());
  }
}

}  // namespace pg
