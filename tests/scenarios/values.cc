// Values: every scalar type by CONTRACT's table, exactly, whatever the database's own settings are;
// NULL, the empty string and an unchanged TOAST value are three things; hostile names are only
// names.
#include <regex>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

struct Case {
  const char* type;
  const char* sql;   // a literal, cast to the type
  const char* json;  // as it must stand in the record
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"bool", "true", "true"},
      {"bool", "false", "false"},
      {"int2", "-32768", "-32768"},
      {"int4", "2147483647", "2147483647"},
      {"int8", "9223372036854775807", "9223372036854775807"},
      {"int8", "-9223372036854775808", "-9223372036854775808"},
      {"oid", "4294967295", "4294967295"},
      {"float4", "1.5", "1.5"},
      {"float4", "3.4028235e38", "3.4028235e+38"},
      {"float8", "0.1", "0.1"},
      {"float8", "1e-5", "1e-05"},
      {"float8", "12345678901234567890", "1.2345678901234567e+19"},
      {"float8", "-0", "-0"},
      {"float8", "NaN", "\"NaN\""},
      {"float8", "Infinity", "\"Infinity\""},
      {"float4", "-Infinity", "\"-Infinity\""},
      {"numeric(12,2)", "12.30", "\"12.30\""},
      {"numeric", "123456789012345678901234567890.000", "\"123456789012345678901234567890.000\""},
      {"numeric", "NaN", "\"NaN\""},
      {"numeric", "Infinity", "\"Infinity\""},
      {"json", "{ \"b\" : [1, 2.50 ] ,\n \"a\":\"x  y\" }", R"({"b":[1,2.50],"a":"x  y"})"},
      {"json", "{\"a\": 1, \"a\" : 2}", R"({"a":1,"a":2})"},
      {"json", "{\"q\": \"say \\\"a  b\\\" \\\\\" }", R"({"q":"say \"a  b\" \\"})"},
      {"jsonb", "{\"a\": {\"b\": [null, true]}}", R"({"a":{"b":[null,true]}})"},
      {"jsonb", "\"a scalar\"", "\"a scalar\""},
      {"jsonb", "17", "17"},
      {"jsonb", "null", "null"},
      {"jsonb", "1.10", "1.10"},
      {"bytea", "\\xdeadbeef", "\"3q2+7w==\""},
      {"bytea", "\\x00ff", "\"AP8=\""},
      {"bytea", "", "\"\""},
      {"date", "2026-11-23", "\"2026-11-23\""},
      {"date", "infinity", "\"infinity\""},
      {"date", "0044-03-15 BC", "\"0044-03-15 BC\""},
      {"time", "10:00:00.5", "\"10:00:00.5\""},
      {"time", "24:00:00", "\"24:00:00\""},
      {"timestamp", "2026-11-23 10:00:00.123456", "\"2026-11-23T10:00:00.123456\""},
      {"timestamp", "2026-11-23 10:00:00", "\"2026-11-23T10:00:00\""},
      {"timestamp", "-infinity", "\"-infinity\""},
      {"timestamp", "0044-03-15 12:00:00 BC", "\"0044-03-15 12:00:00 BC\""},
      {"timestamptz", "2026-11-23 10:00:00+02", "\"2026-11-23T08:00:00Z\""},
      {"timestamptz", "2026-01-01 00:00:00.5+05:30", "\"2025-12-31T18:30:00.5Z\""},
      {"timestamptz", "infinity", "\"infinity\""},
      {"interval", "1 year 2 mons 3 days 04:05:06.7", "\"P1Y2M3DT4H5M6.7S\""},
      {"interval", "0", "\"PT0S\""},
      {"text", "", "\"\""},
      {"varchar(20)", "varying", "\"varying\""},
      {"char(5)", "ab", "\"ab   \""},
      {"name", "a_name", "\"a_name\""},
      {"\"char\"", "x", "\"x\""},
      {"uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""},
      {"int4range", "[1,5]", "\"[1,6)\""},
      {"int4multirange", "{[1,3),[7,9)}", "\"{[1,3),[7,9)}\""},
      {"bit(3)", "101", "\"101\""},
      {"varbit", "0110", "\"0110\""},
      {"inet", "10.0.0.1/8", "\"10.0.0.1/8\""},
      {"cidr", "10.0.0.0/8", "\"10.0.0.0/8\""},
      {"macaddr", "08:00:2b:01:02:03", "\"08:00:2b:01:02:03\""},
      {"xml", "<a b=\"c\">d</a>", R"("<a b=\"c\">d</a>")"},
      {"money", "12.30", "\"$12.30\""},
      {"point", "(1.5,2)", "\"(1.5,2)\""},
      {"tsvector", "a fat cat", "\"'a' 'cat' 'fat'\""},
      {"pg_lsn", "16/B374D848", "\"16/B374D848\""},
      {"mood", "so so", "\"so so\""},
      {"positive", "42", "42"},
      {"price", "9.90", "\"9.90\""},
      {"discounted", "9.90", "\"9.90\""},
      {"instant", "2026-11-23 10:00:00+02", "\"2026-11-23T08:00:00Z\""},
      {"document", "{\"a\": 1}", "{\"a\":1}"},
  };
  return all;
}

class Values : public Scenario {
 protected:
  void create_types() {
    exec(
        "CREATE TYPE mood AS ENUM ('so so', 'happy');"
        "CREATE DOMAIN positive AS int8 CHECK (VALUE > 0);"
        "CREATE DOMAIN price AS numeric(10,2);"
        "CREATE DOMAIN discounted AS price;"
        "CREATE DOMAIN instant AS timestamptz;"
        "CREATE DOMAIN document AS jsonb");
  }
  void create_every_type() {
    create_types();
    std::string columns = "id int PRIMARY KEY";
    for (std::size_t i = 0; i < cases().size(); ++i) {
      columns += ", c" + std::to_string(i) + " " + cases()[i].type;
    }
    create_table("every", columns);
  }
  void insert_every_type() {
    std::string values = "1";
    for (const auto& one : cases()) {
      values += ", " + sql_literal(one.sql);
    }
    exec("INSERT INTO every VALUES (" + values + "); INSERT INTO every (id) VALUES (2)");
  }
  void expect_every_type() {
    wait_stored(2);
    walferry_.stop();
    const auto all = records();
    ASSERT_EQ(all.size(), 2U);
    std::string expected = R"("after":{"id":1)";
    for (std::size_t i = 0; i < cases().size(); ++i) {
      const std::string column = ",\"c" + std::to_string(i) + "\":" + cases()[i].json;
      EXPECT_NE(all[0].payload.find(column), std::string::npos)
          << cases()[i].type << " " << cases()[i].sql << " should be " << cases()[i].json;
      expected += column;
      EXPECT_TRUE(all[1].after.at("c" + std::to_string(i)).is_null()) << cases()[i].type;
    }
    EXPECT_NE(all[0].payload.find(expected + "}"), std::string::npos) << all[0].payload;
  }
};

TEST_F(Values, EveryScalarTypeIsExact) {
  create_every_type();
  start();
  insert_every_type();
  expect_every_type();
}

TEST_F(Values, TheDatabasesOwnSettingsDoNotChangeARecord) {
  create_every_type();
  exec(
      "ALTER DATABASE postgres SET datestyle = 'German, DMY';"
      "ALTER DATABASE postgres SET intervalstyle = 'sql_standard';"
      "ALTER DATABASE postgres SET extra_float_digits = 0;"
      "ALTER DATABASE postgres SET timezone = 'Asia/Kolkata';"
      "ALTER DATABASE postgres SET bytea_output = 'escape';"
      "ALTER DATABASE postgres SET search_path = 'nowhere';"
      "ALTER DATABASE postgres SET client_encoding = 'SQL_ASCII'");
  start();
  insert_every_type();
  expect_every_type();
}

TEST_F(Values, TimeWithZoneIsAnIsoStringWithItsOwnOffset) {
  create_table("t", "id int PRIMARY KEY, z timetz");
  start();
  exec("INSERT INTO t VALUES (1, '10:00:00.25+02')");
  wait_stored(1);
  const auto text = records().at(0).after["z"].get<std::string>();
  EXPECT_TRUE(std::regex_match(text, std::regex(R"(10:00:00\.25\+02(:00)?)"))) << text;
}

TEST_F(Values, TextComesThroughByteForByte) {
  create_table("t", "id int PRIMARY KEY, v text");
  start();
  std::string every;
  for (int c = 1; c < 128; ++c) {
    every += static_cast<char>(c);
  }
  const std::vector<std::string> texts = {
      every, "grün 日本 🐘 \xE2\x80\xA8", "'", "\"\\\"", "", " ", "null", "\\u0041", "</script>"};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    exec("INSERT INTO t VALUES (" + std::to_string(i) + ", " + sql_literal(texts[i]) + ")");
  }
  wait_stored(texts.size());
  const auto all = records();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(all.at(i).after["v"].get<std::string>(), texts[i]);
  }
  expect_exact();
}

TEST_F(Values, EmptyStringAndNullDiffer) {
  create_table("t", "id int PRIMARY KEY, a text, b text");
  start();
  exec("INSERT INTO t VALUES (1, '', NULL); UPDATE t SET a = NULL, b = ''");
  wait_stored(2);
  const auto all = records();
  EXPECT_EQ(all[0].after.dump(), R"({"id":1,"a":"","b":null})");
  EXPECT_EQ(all[1].after.dump(), R"({"id":1,"a":null,"b":""})");
}

TEST_F(Values, UnchangedToastIsListedAndNeverNull) {
  create_table("t", "id int PRIMARY KEY, n int, doc text, other text");
  exec("ALTER TABLE t ALTER doc SET STORAGE EXTERNAL");
  start();
  exec("INSERT INTO t VALUES (1, 1, repeat('d', 10000), 'x')");
  exec("UPDATE t SET n = 2");
  exec("UPDATE t SET doc = NULL");
  exec("UPDATE t SET n = 3");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[1].after.dump(), R"({"id":1,"n":2,"other":"x"})");
  EXPECT_EQ(all[1].unchanged, std::vector<std::string>{"doc"});
  EXPECT_TRUE(all[2].after.at("doc").is_null());
  EXPECT_TRUE(all[3].after.at("doc").is_null());
}

TEST_F(Values, UnderFullIdentityBeforeIsTheOldRowAndToastIsFilledFromIt) {
  create_table("t", "id int PRIMARY KEY, n int, doc text, maybe text");
  exec("ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY FULL");
  start();
  exec("INSERT INTO t VALUES (1, 1, repeat('d', 10000), NULL)");
  exec("UPDATE t SET n = 2");
  exec("DELETE FROM t");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  const std::string doc(10000, 'd');
  EXPECT_EQ(all[1].key.dump(), R"({"id":1})");
  EXPECT_EQ(all[1].before["n"], 1);
  EXPECT_TRUE(all[1].before.at("maybe").is_null());
  EXPECT_EQ(all[1].after["doc"], doc);
  EXPECT_TRUE(all[1].unchanged.empty());
  EXPECT_EQ(all[2].key.dump(), R"({"id":1})");
  EXPECT_EQ(all[2].before["doc"], doc);
}

TEST_F(Values, UnderFullIdentityWithoutAPrimaryKeyTheKeyIsNull) {
  create_table("t", "a int, b text");
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  start();
  exec("INSERT INTO t VALUES (1, 'x'); UPDATE t SET b = 'y'; DELETE FROM t");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_TRUE(all[0].key.is_null());
  EXPECT_TRUE(all[1].key.is_null());
  EXPECT_EQ(all[1].before.dump(), R"({"a":1,"b":"x"})");
  EXPECT_EQ(all[2].before.dump(), R"({"a":1,"b":"y"})");
}

TEST_F(Values, TheKeyIsTheReplicaIdentityEvenWhereItIsNotThePrimaryKey) {
  create_table("t", "id int PRIMARY KEY, code text NOT NULL UNIQUE, v text");
  exec("ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key");
  start();
  exec("INSERT INTO t VALUES (1, 'c1', 'x'); UPDATE t SET code = 'c2'; DELETE FROM t");
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].key.dump(), R"({"code":"c1"})");
  EXPECT_EQ(all[1].before["code"], "c1");
  EXPECT_EQ(all[2].key.dump(), R"({"code":"c2"})");
}

struct Name {
  const char* schema;
  const char* table;
};

TEST_F(Values, HostileNamesAreOnlyNames) {
  const std::vector<Name> names = {
      {"a.b", "c.d"},        {"with space", "*"},    {"_leading", "_under"},
      {"Größe", "日本"},     {"q\"uote", "it's"},    {"$sys", ">"},
      {"UPPER", "Mixed%41"}, {"tab\there", "a/b:c"}, {"back\\slash", "-"},
  };
  for (const auto& name : names) {
    exec("CREATE SCHEMA " + sql_name(name.schema) + "; CREATE TABLE " + sql_name(name.schema) +
         "." + sql_name(name.table) +
         " (\"Id.x\" int PRIMARY KEY, \"id.x\" text, \"q\"\"\\uote\" int)");
    settings().table(sql_name(name.schema) + "." + sql_name(name.table));
  }
  start();
  for (const auto& name : names) {
    const std::string table = sql_name(name.schema) + "." + sql_name(name.table);
    exec("INSERT INTO " + table + " VALUES (1, 'v', 7)");
    exec("UPDATE " + table + " SET \"Id.x\" = 2");
    exec("DELETE FROM " + table);
    exec("TRUNCATE " + table);
  }
  expect_exact();
  const auto all = records();
  ASSERT_EQ(all.size(), 4 * names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(all[4 * i].schema, names[i].schema);
    EXPECT_EQ(all[4 * i].table, names[i].table);
    EXPECT_EQ(all[4 * i].key.dump(), R"({"Id.x":1})");
    EXPECT_EQ(all[4 * i].after.dump(), R"({"Id.x":1,"id.x":"v","q\"\\uote":7})");
  }
  const auto stored = js().read("CDC");
  EXPECT_EQ(stored.at(0).subject, "cdc._schema.a%2Eb.c%2Ed");
  EXPECT_EQ(stored.at(1).subject, "cdc.a%2Eb.c%2Ed.insert");
  EXPECT_EQ(stored.at(6).subject, "cdc.with%20space.%2A.insert");
  EXPECT_EQ(stored.at(10).subject, "cdc._schema.%5Fleading._under");
  EXPECT_EQ(stored.at(11).subject, "cdc.%5Fleading._under.insert");
}

TEST_F(Values, ADatabaseInAnotherEncodingArrivesAsUtf8) {
  exec("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
  const std::string dsn = postgres_.conninfo() + " dbname=latin";
  PgSession session(dsn);
  session.exec("SET client_encoding = 'UTF8'");  // holds from the next message on
  session.exec("CREATE TABLE \"tür\" (id int PRIMARY KEY, \"größe\" text)");
  settings().set_string("source", "dsn", dsn);
  settings().table("public.\"tür\"");
  walferry_.start();
  wait_streaming();
  session.exec("INSERT INTO \"tür\" VALUES (1, 'süß')");
  wait_stored(1);
  const auto all = records();
  EXPECT_EQ(all.at(0).table, "tür");
  EXPECT_EQ(all.at(0).after.dump(), R"({"id":1,"größe":"süß"})");
}

}  // namespace
}  // namespace scenarios
