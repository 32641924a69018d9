#include "tests/scenarios/type_values.h"

namespace scenarios {
namespace {

using Values = std::vector<std::string>;

std::string every_ascii() {
  std::string text;
  for (int c = 1; c < 128; ++c) text += static_cast<char>(c);
  return text;
}

std::map<std::string, Values> make() {
  const Values times_of_day = {"00:00:00", "24:00:00", "23:59:59.999999", "10:00:00.5"};
  const std::string nines(1000, '9');
  std::map<std::string, Values> values = {
      {"bool", {"t", "f"}},
      {"bytea", {"", "\\x00", "\\x00ff", "\\xdeadbeef", "\\x" + std::string(5000, 'a')}},
      {"char", {"x", "", "\"", "\\"}},
      {"name", {"a_name", "Größe \"of\" it", std::string(63, 'n')}},
      {"int8", {"0", "9223372036854775807", "-9223372036854775808"}},
      {"int2", {"0", "32767", "-32768"}},
      {"int2vector", {"", "1", "1 -2 32767"}},
      {"int4", {"0", "2147483647", "-2147483648"}},
      {"regproc", {"pg_catalog.array_in", "-"}},
      {"text", {"", " ", "NULL", "null", "grün 日本 🐘", "a,b{c}(d)\"e\\f'", every_ascii()}},
      {"oid", {"0", "4294967295"}},
      {"tid", {"(0,0)", "(4294967295,65535)"}},
      {"xid", {"0", "4294967295"}},
      {"cid", {"0", "4294967295"}},
      {"oidvector", {"", "0 4294967295"}},
      {"json", {R"({"a":[1,2.50,{"b":null}],"c":"x  \" \\ \u00e4"})", "[]", "\"\"", "17", "true"}},
      {"xml", {"<a b=\"c\">d &amp; e</a>", "text <b/>"}},
      {"point", {"(1.5,-2)", "(NaN,Infinity)", "(5e-324,1.7976931348623157e+308)"}},
      {"lseg", {"[(0,0),(1,-1)]"}},
      {"path", {"((0,0),(1,1),(2,0))", "[(0,0),(1e+300,1)]"}},
      {"box", {"(2,2),(0,0)", "(Infinity,1),(-Infinity,0)"}},
      {"polygon", {"((0,0),(1,1),(2,0))"}},
      {"line", {"{1,-1,0}", "{0.1,2,3}"}},
      {"circle", {"<(0,0),5>", "<(1,2),0>"}},
      {"cidr", {"10.0.0.0/8", "::/0", "2001:db8::/32"}},
      {"inet", {"10.0.0.1/8", "255.255.255.255", "::ffff:1.2.3.4", "fe80::1/64"}},
      {"float4", {"0", "-0", "1e-45", "3.4028235e+38", "0.1", "NaN", "Infinity", "-Infinity"}},
      {"float8",
       {"-0", "5e-324", "1.7976931348623157e+308", "0.1", "NaN", "Infinity", "-Infinity",
        "12345678901234567890"}},
      {"macaddr8", {"08:00:2b:01:02:03:04:05", "ff:ff:ff:ff:ff:ff:ff:ff"}},
      {"money", {"0", "92233720368547758.07", "-92233720368547758.08"}},
      {"macaddr", {"08:00:2b:01:02:03", "00:00:00:00:00:00"}},
      {"aclitem", {"postgres=arwdDxt/postgres", "=r*/postgres"}},
      {"bpchar", {"", "ab   ", "x"}},
      {"varchar", {"", "varying ", "\"q\""}},
      {"date",
       {"4714-11-24 BC", "0001-01-01", "2026-11-23", "5874897-12-31", "infinity", "-infinity",
        "0044-03-15 BC"}},
      {"time", times_of_day},
      {"timestamp",
       {"4714-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999", "2026-11-23 10:00:00.5",
        "infinity", "-infinity", "0044-03-15 12:00:00 BC", "0001-01-01 00:00:00"}},
      {"timestamptz",
       {"4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00",
        "2026-11-23 10:00:00.123456+05:30", "infinity", "-infinity", "0044-03-15 12:00:00+00 BC"}},
      {"interval",
       {"0", "178000000 years", "-178000000 years", "1 mon -1 day 00:00:00.000001", "-00:00:00.5",
        "1 year 2 mons 3 days 04:05:06.789", "-2147483648 days"}},
      {"timetz", {"10:00:00.25+02", "00:00:00+15:59", "24:00:00-15:59", "10:00:00+02:30:15"}},
      {"bit", {"1", "0", "10101010101010101"}},
      {"varbit", {"", "0110"}},
      {"numeric",
       {"0.000", "-12.30", "NaN", "Infinity", "-Infinity", nines + "." + nines,
        "-0.00000000000000000000000000000000000001", "1e400"}},
      {"refcursor", {"a cursor"}},
      {"regprocedure", {"pg_catalog.sum(int4)", "pg_catalog.abs(numeric)"}},
      {"regoper", {"pg_catalog.||/", "0"}},
      {"regoperator", {"pg_catalog.+(int4,int4)", "0"}},
      {"regclass", {"pg_catalog.pg_class", "information_schema.tables"}},
      {"regtype", {"pg_catalog.int4", "pg_catalog.timestamptz[]"}},
      {"uuid", {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"}},
      {"txid_snapshot", {"10:20:10,14,15"}},
      {"pg_lsn", {"0/0", "FFFFFFFF/FFFFFFFF"}},
      {"tsvector", {"", "'a':1A,2B 'fat cat':3 'it''s':4C"}},
      {"tsquery", {"", "'a' & !'b' <2> 'c':*AB | 'it''s'"}},
      {"regconfig", {"english"}},
      {"regdictionary", {"simple"}},
      {"jsonb",
       {"{\"a\": [1, 2.50, {\"b\": null}], \"c\": \"x  \\\" \\\\\"}", "[]", "{}", "\"a scalar\"",
        "1.10", "false", "1e300", std::string(300, '9')}},
      {"int4range", {"empty", "(,)", "[1,5)", "[-2147483648,2147483647)"}},
      {"numrange", {"empty", "[1.10,2.2]", "(,NaN]", "[-Infinity,0)"}},
      {"tsrange", {"(,\"2026-01-01 00:00:00\"]", "[\"2026-01-01 00:00:00\",infinity)"}},
      {"tstzrange", {"[\"0044-03-15 12:00:00+00 BC\",\"2026-01-01 00:00:00.5+00\")"}},
      {"daterange", {"[2026-01-01,infinity)", "[4714-11-24 BC,2026-01-01)"}},
      {"int8range", {"[-9223372036854775808,9223372036854775807)"}},
      {"jsonpath", {"$.\"a b\"[*]?(@.\"x\" > 1)", "strict $"}},
      {"regnamespace", {"pg_catalog"}},
      {"regrole", {"postgres"}},
      {"regcollation", {"pg_catalog.\"C\""}},
      {"int4multirange", {"{}", "{[1,3),[7,9)}", "{(,)}"}},
      {"nummultirange", {"{}", "{[1.10,2.2],[3,4)}"}},
      {"tsmultirange", {"{[\"2026-01-01 00:00:00\",infinity)}"}},
      {"tstzmultirange", {"{(,\"2026-01-01 00:00:00+00\"),[infinity,)}"}},
      {"datemultirange", {"{[2026-01-01,2026-01-02),[2027-01-01,infinity)}"}},
      {"int8multirange", {"{[-9223372036854775808,0),[1,9223372036854775807)}"}},
      {"pg_snapshot", {"10:20:10,14,15"}},
      {"xid8", {"0", "18446744073709551615"}},
  };
  std::map<std::string, Values> by_schema;
  for (auto& [name, texts] : values) by_schema["pg_catalog." + name] = std::move(texts);
  by_schema["information_schema.cardinal_number"] = {"0", "2147483647"};
  by_schema["information_schema.character_data"] = {"", "x \" y"};
  by_schema["information_schema.sql_identifier"] = {"an_identifier"};
  by_schema["information_schema.time_stamp"] = {"2026-11-23 10:00:00.12+00"};
  by_schema["information_schema.yes_or_no"] = {"YES", "NO"};
  by_schema["ext.hstore"] = {"", R"("a"=>"1", "b"=>NULL, ""=>"", "q\"\\"=>"x, \"y\" => {z}")",
                             R"("NULL"=>"NULL", "grün"=>"🐘")"};
  by_schema["ext.citext"] = {"", "Ab \" C"};
  by_schema["ext.ltree"] = {"", "Top.Science.Astronomy"};
  by_schema["ext.lquery"] = {"*.Astronomy@*.!pizza"};
  by_schema["ext.ltxtquery"] = {"Europe & Russia*@ & !Transportation"};
  // Of the test itself.
  by_schema["own.mood"] = {"so so", "happy", "it's \"x\", {y}"};
  by_schema["own.vec"] = {"[1,2.5,-3]", ""};
  by_schema["own.floatrange"] = {"empty", "[0.5,1e+300)"};
  by_schema["own.floatmultirange"] = {"{}", "{[0.5,1),[2,3)}"};
  return by_schema;
}

}  // namespace

const std::map<std::string, std::vector<std::string>>& type_values() {
  static const auto all = make();
  return all;
}

}  // namespace scenarios
