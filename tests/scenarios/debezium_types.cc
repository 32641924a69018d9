// Every type in Debezium's encodings: no value that a server has stops walferry, no column is
// missing, and what the encodings hold, taken apart by Postgres, is the row's value.
#include "tests/scenarios/types_rig.h"

namespace scenarios {
namespace {

// Whether JSON `j` is Debezium's encoding (docs/debezium.md) of a value that Postgres prints as
// `v`. Bits are only looked at for their form, and so are arrays.
constexpr const char* same_function = R"sql(
CREATE FUNCTION own.decimal_of(encoded text, scale int) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE bytes bytea := decode(encoded, 'base64'); n numeric := 0;
BEGIN
  FOR i IN 0..length(bytes) - 1 LOOP n := n * 256 + get_byte(bytes, i); END LOOP;
  IF get_byte(bytes, 0) >= 128 THEN n := n - 256::numeric ^ length(bytes); END IF;
  RETURN n * CASE scale WHEN 0 THEN 1 ELSE ('0.' || repeat('0', scale - 1) || '1')::numeric END;
END $$;

CREATE FUNCTION own.since_1970(t timestamp, places int) RETURNS numeric LANGUAGE sql AS $$
  SELECT CASE t WHEN 'infinity' THEN trunc(9223372036825200000 / 10 ^ (6 - places)::numeric)
                WHEN '-infinity' THEN trunc(-9223372036832400000 / 10 ^ (6 - places)::numeric)
                ELSE ((t::date - '1970-01-01') * 86400::numeric + extract(epoch FROM t::time)) *
                     10 ^ places::numeric END $$;

CREATE FUNCTION own.same(j json, v text, type oid, modifier int) RETURNS bool
  LANGUAGE plpgsql AS $$
DECLARE t pg_type; name text := own.base_name(type); text_of text := j #>> '{}'; i interval;
  places int;
BEGIN
  IF v IS NULL OR json_typeof(j) = 'null' THEN RETURN v IS NULL AND json_typeof(j) = 'null'; END IF;
  SELECT * INTO t FROM pg_type WHERE oid = type;
  WHILE t.typtype = 'd' LOOP
    IF modifier = -1 THEN modifier := t.typtypmod; END IF;
    SELECT * INTO t FROM pg_type WHERE oid = t.typbasetype;
  END LOOP;
  places := CASE WHEN modifier BETWEEN 0 AND 3 THEN 3 ELSE 6 END;
  IF t.typoutput = 'array_out'::regproc THEN
    RETURN CASE WHEN v LIKE '[%' THEN text_of = v ELSE json_typeof(j) = 'array' END;
  END IF;
  IF j ->> 'special' IS NOT NULL THEN RETURN j ->> 'special' = v AND name = 'numeric'; END IF;
  CASE name
    WHEN 'bool' THEN RETURN json_typeof(j) = 'boolean' AND text_of::bool = v::bool;
    WHEN 'int2', 'int4', 'int8', 'oid' THEN RETURN json_typeof(j) = 'number' AND text_of = v;
    WHEN 'float4', 'float8' THEN
      RETURN text_of = v AND (json_typeof(j) = 'number') = (v NOT LIKE '%N%' AND v NOT LIKE '%I%');
    WHEN 'bytea' THEN RETURN decode(text_of, 'base64') = v::bytea;
    WHEN 'numeric' THEN
      IF modifier >= 4 THEN
        RETURN own.decimal_of(text_of, (modifier - 4) & 1023) = v::numeric;
      END IF;
      RETURN own.decimal_of(j ->> 'value', (j ->> 'scale')::int) = v::numeric;
    WHEN 'money' THEN RETURN own.decimal_of(text_of, 2) = v::money::numeric;
    WHEN 'date' THEN
      RETURN text_of::numeric = CASE v WHEN 'infinity' THEN -2147472692
        WHEN '-infinity' THEN -2147472691 ELSE v::date - '1970-01-01'::date END;
    WHEN 'time' THEN
      RETURN text_of::numeric = extract(epoch FROM v::time) * 10 ^ places::numeric;
    WHEN 'timestamp' THEN RETURN text_of::numeric = own.since_1970(v::timestamp, places);
    WHEN 'timestamptz' THEN
      IF v LIKE '%infinity' THEN RETURN text_of = v; END IF;
      IF text_of ~ '^[+-]' THEN  -- years that are not of four digits, which Postgres does not read
        RETURN substring(text_of FROM '^[+-]\d+')::int = CASE WHEN v LIKE '%BC'
            THEN 1 - split_part(v, '-', 1)::int ELSE split_part(v, '-', 1)::int END AND
          position(replace(substring(v FROM '-\d\d-\d\d \d\d:\d\d:\d\d'), ' ', 'T')
                   IN text_of) > 0 AND text_of ~ 'Z$';
      END IF;
      RETURN text_of ~ 'Z$' AND text_of::timestamptz = v::timestamptz AND
        (modifier = 0 OR length(text_of) = 21 + CASE WHEN modifier > 0 THEN modifier ELSE 6 END);
    WHEN 'timetz' THEN
      RETURN text_of ~ 'Z$' AND text_of::timetz = v::timetz AT TIME ZONE 'UTC';
    WHEN 'interval' THEN
      i := v::interval;
      RETURN text_of::numeric =
        (extract(year FROM i) * 12 + extract(month FROM i)) * 2629800000000 +
        extract(day FROM i) * 86400000000 + extract(hour FROM i) * 3600000000 +
        extract(minute FROM i) * 60000000 + extract(microseconds FROM i);
    WHEN 'bit', 'varbit' THEN RETURN decode(text_of, 'base64') IS NOT NULL;
    WHEN 'point' THEN
      RETURN (j ->> 'x')::float8 = (v::point)[0] AND (j ->> 'y')::float8 = (v::point)[1];
    WHEN 'hstore' THEN
      RETURN own.back(text_of::json, type)::ext.hstore OPERATOR(ext.=) v::ext.hstore;
    ELSE RETURN json_typeof(j) = 'string' AND text_of = v;
  END CASE;
END $$;
)sql";

class DebeziumTypes : public TypesScenario {
 protected:
  DebeziumTypes() { settings().set_string("publish", "format", "debezium"); }
  // Types that are encoded by their modifier.
  void add_modified() {
    add("numeric(40,2)", {"0", "-0.01", "1.28", "-1.28", "12.30", "'NaN'", "-327.69",
                          "99999999999999999999999999999999999999.99",
                          "-99999999999999999999999999999999999999.99"});
    add("numeric(1000,0)", {"repeat('9', 1000)::numeric", "-repeat('9', 1000)::numeric", "128"});
    add("time(3)", {"'00:00'", "'24:00:00'", "'23:59:59.999'"});
    for (const char* type : {"timestamp(0)", "timestamp(3)", "timestamp(6)"}) {
      add(type, {"'4714-11-24 00:00:00 BC'", "'294276-12-31 23:59:59'", "'infinity'", "'-infinity'",
                 "'1969-12-31 23:59:59.5'"});
    }
    for (const char* type : {"timestamptz(0)", "timestamptz(2)", "timestamptz(6)"}) {
      add(type, {"'4714-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59+00'", "'infinity'",
                 "'0001-01-01 00:00:00+00'", "'2026-11-23 10:00:00.25+05:30'"});
    }
  }
  void expect_same(const std::string& table, std::size_t i) {
    const std::string column = "c" + std::to_string(i);
    // format() prints as the server does; a cast to text has ways of its own.
    const std::string same = "(SELECT own.same(g.p -> 'after' -> '" + column +
                             "', CASE WHEN num_nulls(t." + column + ") = 0 THEN format('%s', t." +
                             column +
                             ") END, atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '" +
                             table + "'::regclass AND attname = '" + column + "')";
    EXPECT_EQ(wrong_values(table, i, same), "") << columns_[i].type;
  }
};

TEST_F(DebeziumTypes, EachValueOfEachTypeInTheCatalogIsThereAndIsItself) {
  create_types();
  exec(same_function);
  add_all();
  add_modified();
  create_tables();
  start();
  wait_stored(insert_all());
  walferry_.stop();
  std::vector<std::pair<std::string, std::string>> payloads;
  for (const Stored& stored : js().read("CDC")) {
    if (is_schema_record(stored)) continue;
    const auto record = nlohmann::json::parse(stored.payload);
    payloads.emplace_back(record["source"]["table"], stored.payload);
  }
  keep(payloads);
  // As the server prints for walferry.
  exec("SET timezone = 'UTC'");
  exec("SET intervalstyle = 'iso_8601'");
  exec("SET search_path = pg_catalog, public");
  for_each_column([&](const std::string& table, std::size_t i) { expect_same(table, i); });
  EXPECT_EQ(lines_saying(walferry_.log(), " warn"), "");
}

}  // namespace
}  // namespace scenarios
