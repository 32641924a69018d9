// For scenarios of every type: columns of each type that the server's own catalog has, of arrays of
// it, domains over it and composites of all, and the values of type_values() in them, so that no
// type can be forgotten: one for which type_values() has nothing fails the test.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenarios/rig.h"
#include "tests/scenarios/type_values.h"

namespace scenarios {

// From a record's JSON to the text that the type's input function takes. Independent of walferry,
// and slow. Elements of json arrays cannot be told from rows of arrays: those are tested with one
// dimension only.
inline constexpr const char* back_function = R"sql(
CREATE FUNCTION own.quoted(item text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN item IS NULL THEN 'NULL'
              ELSE '"' || replace(replace(item, '\', '\\'), '"', '\"') || '"' END $$;

CREATE FUNCTION own.back(j json, type oid) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE t pg_type; e pg_type; item json; part text; field record; result text := NULL;
BEGIN
  SELECT * INTO t FROM pg_type WHERE oid = type;
  WHILE t.typtype = 'd' LOOP SELECT * INTO t FROM pg_type WHERE oid = t.typbasetype; END LOOP;
  IF j IS NULL OR json_typeof(j) = 'null' THEN RETURN NULL; END IF;
  IF t.typname IN ('json', 'jsonb') THEN RETURN j::text; END IF;
  IF t.typname = 'bytea' THEN RETURN '\x' || encode(decode(j #>> '{}', 'base64'), 'hex'); END IF;
  IF t.typoutput = 'array_out'::regproc AND json_typeof(j) = 'array' THEN
    SELECT * INTO e FROM pg_type WHERE oid = t.typelem;
    FOR item IN SELECT * FROM json_array_elements(j) LOOP
      IF json_typeof(item) = 'array' AND e.typname NOT IN ('json', 'jsonb') AND
         NOT (e.typtype = 'd' AND e.typndims > 0) AND
         own.base_name(e.oid) NOT IN ('json', 'jsonb') THEN
        part := own.back(item, t.oid);
      ELSE
        part := own.quoted(own.back(item, e.oid));
      END IF;
      result := coalesce(result || e.typdelim::text, '') || part;
    END LOOP;
    RETURN '{' || coalesce(result, '') || '}';
  ELSIF t.typtype = 'c' THEN
    FOR field IN SELECT attname, atttypid FROM pg_attribute
                  WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
                  ORDER BY attnum LOOP
      part := own.back(j -> field.attname::text, field.atttypid);
      result := coalesce(result || ',', '') ||
                CASE WHEN part IS NULL THEN '' ELSE own.quoted(part) END;
    END LOOP;
    RETURN '(' || coalesce(result, '') || ')';
  ELSIF t.typname = 'hstore' THEN
    RETURN (SELECT coalesce(string_agg(own.quoted(key) || '=>' || own.quoted(value), ','),
                            '') FROM json_each_text(j));
  END IF;
  RETURN j #>> '{}';
END $$;

CREATE FUNCTION own.base_name(type oid) RETURNS name LANGUAGE sql STABLE AS $$
  WITH RECURSIVE b AS (SELECT t.* FROM pg_type t WHERE oid = type UNION ALL
    SELECT t.* FROM pg_type t JOIN b ON b.typtype = 'd' AND t.oid = b.typbasetype)
  SELECT typname FROM b WHERE typtype <> 'd' $$;
)sql";

// A type without C code of its own, as an extension's looks to whoever does not know it.
inline constexpr const char* own_types = R"sql(
CREATE SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION ltree SCHEMA ext;
CREATE SCHEMA own;
CREATE TYPE own.mood AS ENUM ('so so', 'happy', 'it''s "x", {y}');
CREATE TYPE own.floatrange AS RANGE (subtype = float8);
CREATE TYPE own.vec;
CREATE FUNCTION own.vec_in(cstring) RETURNS own.vec
  LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION own.vec_out(own.vec) RETURNS cstring
  LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE own.vec (INPUT = own.vec_in, OUTPUT = own.vec_out, LIKE = text);
)sql";

struct Type {
  std::string sql;  // quoted schema.name
  std::string key;  // schema.name
  bool scalar_json = false;
};

struct Column {
  std::string type;
  std::vector<std::string> values;  // SQL
};

class TypesScenario : public Scenario {
 protected:
  void create_types() {
    postgres_.exec(own_types);
    postgres_.exec(back_function);
    // Where a record's time without its zone would be another time.
    postgres_.exec("SET timezone = 'Asia/Kolkata'");
  }

  // Every type but pseudo types, row types of tables, and arrays (which follow from the others).
  std::vector<Type> types_of_server() {
    std::vector<Type> types;
    for (const SqlRow& row : postgres_.query(
             "SELECT quote_ident(nspname) || '.' || quote_ident(typname), "
             "nspname || '.' || typname, own.base_name(t.oid) IN ('json', 'jsonb') "
             "FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE "
             "typtype IN ('b', 'e', 'r', 'm', 'd') AND typoutput <> 'array_out'::regproc "
             "ORDER BY t.oid")) {
      types.push_back({*row[0], *row[1], *row[2] == "t"});
    }
    return types;
  }

  // Those whose input function says that it takes no value (hstore's old way is an internal error).
  bool takes_no_value(const Type& type) {
    const std::string state = probe_.error_state("SELECT ''::" + type.sql);
    return state == "0A000" || state == "XX000";
  }

  std::vector<std::string> literals(const std::string& type,
                                    const std::vector<std::string>& values) {
    std::vector<std::string> sql;
    sql.reserve(values.size());
    for (const auto& value : values) sql.push_back(sql_literal(value) + "::" + type);
    return sql;
  }

  static std::string list(const std::vector<std::string>& items) {
    std::string joined;
    for (const auto& item : items) joined += (joined.empty() ? "" : ", ") + item;
    return joined;
  }

  void add(const std::string& type, std::vector<std::string> values) {
    columns_.push_back({type, std::move(values)});
  }

  // The type, arrays of it, a domain over it, arrays of the domain, and a domain over arrays.
  void add_family(const Type& type, const std::vector<std::string>& texts) {
    const auto values = literals(type.sql, texts);
    const std::string number = std::to_string(families_++);
    const std::string domain = "own.d" + number;
    const std::string list_domain = "own.l" + number;
    exec("CREATE DOMAIN " + domain + " AS " + type.sql);
    add(type.sql, values);
    add(domain, literals(domain, texts));
    fields_.push_back({type.sql, {values.back()}});
    if (postgres_.value("SELECT typarray FROM pg_type WHERE oid = " + sql_literal(type.sql) +
                        "::regtype") == "0") {
      return;
    }
    exec("CREATE DOMAIN " + list_domain + " AS " + type.sql + "[]");
    const std::string all = "ARRAY[" + list(values) + ", NULL]";
    std::vector<std::string> arrays = {all, "'{}'"};
    if (!type.scalar_json) {
      const std::string one = "[" + values.front() + ", NULL]";
      const std::string two = "[" + values.back() + ", " + values.front() + "]";
      arrays.push_back("ARRAY[[" + one + "], [" + two + "]]");
      arrays.push_back("'[0:0][5:6]=' || (ARRAY[" + two + "])::text");
    }
    std::vector<std::string> lists;
    std::vector<std::string> domains;
    for (auto& array : arrays) {
      array.insert(0, "(").append(")::").append(type.sql).append("[]");
      domains.push_back(std::string(array).append("::").append(domain).append("[]"));
      lists.push_back(std::string(array).append("::").append(list_domain));
    }
    add(type.sql + "[]", arrays);
    add(domain + "[]", domains);
    add(list_domain, lists);
    fields_.push_back({type.sql + "[]", {arrays.front()}});
  }

  // Rows of all types within rows, within arrays, below domains.
  void add_composites() {
    std::string definition;
    std::string values;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      definition +=
          (i == 0 ? "" : ", ") + sql_name("f " + std::to_string(i)) + " " + fields_[i].type;
      values += (i == 0 ? "" : ", ") + fields_[i].values[0];
    }
    exec("CREATE TYPE own.every AS (" + definition +
         ");"
         "CREATE TYPE own.nested AS (e own.every, list own.every[], m own.mood, h ext.hstore);"
         "CREATE TYPE own.lone AS (\"q\"\"x\" text); CREATE TYPE own.nothing AS ();"
         "CREATE DOMAIN own.good_nested AS own.nested; CREATE DOMAIN own.lones AS own.lone[]");
    const std::string every = "ROW(" + values + ")::own.every";
    const std::string nested =
        "ROW(" + every + ", ARRAY[" + every + ", NULL], 'happy', 'a=>NULL')::own.nested";
    add("own.every", {every});
    add("own.nested", {nested, "ROW(NULL, '{}', NULL, '')::own.nested"});
    add("own.good_nested", {nested + "::own.good_nested"});
    add("own.nested[]", {"ARRAY[" + nested + ", NULL]"});
    const std::string lone = "ROW('(\"a,b\\')::own.lone";
    add("own.lone", {lone, "ROW('')::own.lone", "ROW(NULL)::own.lone"});
    add("own.lones", {"ARRAY[" + lone + "]::own.lones"});
    add("own.lones[]", {"ARRAY[ARRAY[" + lone + "]::own.lones]::own.lones[]"});
    add("own.nothing", {"ROW()::own.nothing"});
  }

  // Tables of so many columns that the widest row still fits into a page.
  void create_tables() {
    constexpr std::size_t width = 60;
    for (std::size_t from = 0; from < columns_.size(); from += width) {
      const std::size_t to = std::min(from + width, columns_.size());
      std::string columns = "k int PRIMARY KEY";
      for (std::size_t i = from; i < to; ++i) {
        columns += ", c" + std::to_string(i) + " " + columns_[i].type;
      }
      create_table("every" + std::to_string(parts_.size()), columns);
      parts_.emplace_back(from, to);
    }
  }

  void insert_row(const std::string& table, std::size_t from, std::size_t to, std::size_t k) {
    std::string values = std::to_string(k);
    for (std::size_t i = from; i < to; ++i) {
      values.append(", ").append(k < columns_[i].values.size() ? columns_[i].values[k] : "NULL");
    }
    exec("INSERT INTO " + table + " VALUES (" + values + ")");
  }

  // One row for each value; a column with fewer is NULL in the later ones.
  std::size_t insert(const std::string& table, std::size_t from, std::size_t to) {
    std::size_t rows = 0;
    for (std::size_t i = from; i < to; ++i) rows = std::max(rows, columns_[i].values.size());
    ++rows;  // one of NULLs alone
    for (std::size_t k = 0; k < rows; ++k) insert_row(table, from, to, k);
    return rows;
  }

  // Columns of every type.
  void add_all() {
    std::set<std::string> unusable;
    for (const Type& type : types_of_server()) {
      const auto found = type_values().find(type.key);
      if (found != type_values().end()) {
        add_family(type, found->second);
      } else if (takes_no_value(type)) {
        unusable.insert(type.key);
      } else {
        ADD_FAILURE() << "no values for type " << type.key << " in type_values()";
      }
    }
    // What no column of a user's table can hold a value of.
    const std::set<std::string> known_unusable = {"ext.ghstore",
                                                  "ext.ltree_gist",
                                                  "pg_catalog.gtsvector",
                                                  "pg_catalog.pg_node_tree",
                                                  "pg_catalog.pg_ndistinct",
                                                  "pg_catalog.pg_dependencies",
                                                  "pg_catalog.pg_mcv_list",
                                                  "pg_catalog.pg_brin_bloom_summary",
                                                  "pg_catalog.pg_brin_minmax_multi_summary"};
    EXPECT_EQ(unusable, known_unusable);
    EXPECT_GT(families_, 80);
    add_composites();
  }

  // What is published of table `name`, for SQL to compare.
  void keep(const std::vector<std::pair<std::string, std::string>>& payloads) {
    exec("CREATE TABLE own.got (name text, p json)");
    std::string rows;
    for (const auto& [name, payload] : payloads) {
      rows += (rows.empty() ? "(" : ", (") + sql_literal(name) + ", " + sql_literal(payload) + ")";
    }
    exec("INSERT INTO own.got VALUES " + rows);
  }
  // All values into the tables; how many rows that are.
  std::size_t insert_all() {
    std::size_t rows = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      rows += insert("every" + std::to_string(i), parts_[i].first, parts_[i].second);
    }
    return rows;
  }
  // Calls check(table, column) of each column.
  template <class Check>
  void for_each_column(Check check) {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      for (std::size_t i = parts_[part].first; i < parts_[part].second; ++i) {
        check("every" + std::to_string(part), i);
      }
    }
  }
  // The values of the column, as published, for which `same` is not true ("" when it is for all):
  // SQL over t, the row, and g.p, its record.
  std::string wrong_values(const std::string& table, std::size_t i, const std::string& same) {
    const std::string column = "c" + std::to_string(i);
    const std::string value = "(g.p -> 'after' -> '" + column + "')::text";
    return postgres_.value("SELECT string_agg(k || ': ' || coalesce(left(t." + column +
                           "::text, 200), 'NULL') || ' came as ' || coalesce(left(" + value +
                           ", 200), 'nothing'), E'\\n') FROM " + table +
                           " t LEFT JOIN own.got g ON g.name = '" + table +
                           "' AND (g.p -> 'after' ->> 'k')::int = t.k WHERE " + value +
                           " IS NULL OR (" + same + ") IS NOT TRUE");
  }

  std::vector<std::pair<std::size_t, std::size_t>> parts_;  // each table's columns, first and end
  PgSession probe_ = postgres_.connect();
  std::vector<Column> columns_;
  std::vector<Column> fields_;  // of the composite of all
  int families_ = 0;
};

}  // namespace scenarios
