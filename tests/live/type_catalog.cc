// The types that are known without a query, and those that are looked up, against the catalog of
// a real server.
#include "pg/type_catalog.h"

#include <gtest/gtest.h>

#include "pg/builtin_types.h"
#include "pg/catalog.h"
#include "tests/servers/postgres.h"

namespace {

using pg::TypeId;
using pg::TypeShape;

class LiveTypeCatalog : public testing::Test {
 protected:
  TypeId number(const std::string& type) {
    return TypeId(static_cast<std::uint32_t>(
        std::stoul(postgres_.value("SELECT " + servers::sql_literal(type) + "::regtype::oid"))));
  }

  servers::PostgresCluster postgres_;
  std::unique_ptr<pqxx::connection> sql_ = pg::connect_sql(postgres_.conninfo());
  pg::TypeCatalog types_{[this](TypeId type) { return pg::type_row(*sql_, type); }};
};

TEST_F(LiveTypeCatalog, TheBuiltinTypesAreThoseOfTheServer) {
  std::size_t found = 0;
  for (const servers::SqlRow& row : postgres_.query(
           "SELECT set_config('search_path', 'pg_catalog', false) IS NULL, t.oid, typarray, "
           "typtype, typdelim, format_type(t.oid, NULL) FROM pg_type t "
           "WHERE typtype IN ('b', 'r', 'm') AND typoutput <> 'array_out'::regproc "
           "AND t.oid < 10000")) {
    const auto number = static_cast<std::uint32_t>(std::stoul(*row[1]));
    const pg::BuiltinType* known = pg::builtin_type(TypeId(number));
    if (known == nullptr) continue;  // of a later version: looked up
    ++found;
    EXPECT_EQ(std::to_string(known->array), *row[2]) << *row[5];
    EXPECT_EQ(std::string(1, known->kind), *row[3]) << *row[5];
    EXPECT_EQ(std::string(1, known->delimiter), *row[4]) << *row[5];
    EXPECT_EQ(known->sql_name, *row[5]);
  }
  EXPECT_EQ(found, pg::builtin_types().size());
}

TEST_F(LiveTypeCatalog, TypesOfUsersAreRecognisedByWhatTheyAreNotByTheirNames) {
  postgres_.exec(
      "CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext;"
      "CREATE SCHEMA shop; SET search_path = shop;"
      "CREATE DOMAIN hstore AS text; CREATE TYPE mood AS ENUM ('sad');"
      "CREATE TYPE pair AS (a int, gone int, \"b c\" mood[]);"
      "ALTER TYPE pair DROP ATTRIBUTE gone;"
      "CREATE DOMAIN boxes AS box[]; CREATE DOMAIN pairs AS pair[]; RESET search_path");
  EXPECT_EQ(types_.shape(number("ext.hstore"))->kind, TypeShape::Kind::hstore);
  EXPECT_EQ(types_.shape(number("shop.hstore"))->kind, TypeShape::Kind::scalar);
  EXPECT_EQ(types_.shape(number("shop.hstore"))->base, TypeId(25));
  EXPECT_EQ(types_.shape(number("ext.hstore[]"))->element->kind, TypeShape::Kind::hstore);
  const TypeShape* boxes = types_.shape(number("shop.boxes"));
  EXPECT_EQ(boxes->kind, TypeShape::Kind::array);
  EXPECT_EQ(boxes->delimiter, ';');
  EXPECT_EQ(boxes->name, "shop.boxes");
  const TypeShape* pair = types_.shape(number("shop.pairs"))->element;
  ASSERT_EQ(pair->kind, TypeShape::Kind::composite);
  EXPECT_EQ(pair->schema, "shop");
  ASSERT_EQ(pair->fields.size(), 2U);
  EXPECT_EQ(pair->fields[1].name, "b c");
  EXPECT_EQ(pair->fields[1].shape->element->type, 'e');
  EXPECT_EQ(types_.shape(number("pg_catalog.pg_class"))->kind, TypeShape::Kind::composite);
  EXPECT_FALSE(pg::type_row(*sql_, TypeId(4294967295)).has_value());
  EXPECT_TRUE(types_.take_warnings().empty());
}

TEST_F(LiveTypeCatalog, WaitsForATransactionUntilItIsVisibleAndNotForever) {
  servers::PgSession other = postgres_.connect();
  other.exec("BEGIN");
  const auto xid = pg::TransactionId(
      static_cast<std::uint32_t>(std::stoul(other.value("SELECT pg_current_xact_id()"))));
  EXPECT_THROW(pg::wait_until_visible(*sql_, xid), std::runtime_error);
  other.exec("COMMIT");
  pg::wait_until_visible(*sql_, xid);
}

}  // namespace
