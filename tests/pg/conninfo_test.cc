#include "pg/conninfo.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <map>
#include <string>

#include "pg/error.h"

namespace pg {
namespace {

std::map<std::string, std::string> params(const std::string& dsn, Session session) {
  const ConnectParams all = connect_params(dsn, session);
  std::map<std::string, std::string> result;
  for (std::size_t i = 0; i < all.keywords.size(); ++i) {
    EXPECT_TRUE(result.emplace(all.keywords[i], all.values[i]).second) << all.keywords[i];
  }
  return result;
}

TEST(Conninfo, TakesBothOfLibpqsForms) {
  for (const char* dsn :
       {"host=db port=5433 dbname=app user=w password=p", "postgresql://w:p@db:5433/app"}) {
    const auto got = params(dsn, Session::sql);
    EXPECT_EQ(got.at("host"), "db");
    EXPECT_EQ(got.at("port"), "5433");
    EXPECT_EQ(got.at("dbname"), "app");
    EXPECT_EQ(got.at("user"), "w");
    EXPECT_EQ(got.at("password"), "p");
  }
}

TEST(Conninfo, OnlyAReplicationSessionAsksForReplication) {
  EXPECT_EQ(params("dbname=app", Session::replication).at("replication"), "database");
  EXPECT_EQ(params("dbname=app", Session::sql).count("replication"), 0U);
}

TEST(Conninfo, FixesTheTextFormatsWhateverTheDsnSays) {
  const auto got = params("dbname=app client_encoding=LATIN1 options='-c datestyle=German'",
                          Session::replication);
  EXPECT_EQ(got.at("client_encoding"), "UTF8");
  const std::string& options = got.at("options");
  EXPECT_EQ(options.rfind("-c datestyle=German ", 0), 0U) << options;
  // The server takes the last one.
  EXPECT_GT(options.find("-c datestyle=ISO"), options.find("-c datestyle=German"));
  for (const char* setting : {"intervalstyle=iso_8601", "extra_float_digits=3", "timezone=UTC",
                              "bytea_output=hex", "lc_monetary=C", "search_path=pg_catalog"}) {
    EXPECT_NE(options.find("-c " + std::string(setting)), std::string::npos) << setting;
  }
}

TEST(Conninfo, DefaultsGiveWayToTheDsn) {
  EXPECT_EQ(params("", Session::sql).at("application_name"), "walferry");
  EXPECT_EQ(params("", Session::sql).at("connect_timeout"), "10");
  const auto got = params("application_name=mine connect_timeout=2", Session::sql);
  EXPECT_EQ(got.at("application_name"), "mine");
  EXPECT_EQ(got.at("connect_timeout"), "2");
}

TEST(Conninfo, OneStringSaysTheSame) {
  const auto wanted =
      connect_params(R"(dbname='a b' user='it\'s' password='back\\slash')", Session::sql);
  const auto again = params(conninfo(wanted), Session::sql);
  EXPECT_EQ(again.at("dbname"), "a b");
  EXPECT_EQ(again.at("user"), "it's");
  EXPECT_EQ(again.at("password"), "back\\slash");
}

TEST(Conninfo, AMalformedDsnIsAnErrorThatDoesNotRepeatIt) {
  for (const char* dsn : {"password=hunter2 nonsense=1", "hunter2", "postgresql://w:hunter2@[::1/x",
                          "dbname='hunter2"}) {
    try {
      connect_params(dsn, Session::sql);
      FAIL() << dsn;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
    }
  }
}

TEST(Conninfo, TheDescriptionHasNoPassword) {
  EXPECT_EQ(describe("postgresql://w:hunter2@db:5433/app?sslpassword=hunter2"),
            "host=db port=5433 dbname=app user=w");
  EXPECT_EQ(describe("password=hunter2"), "libpq's defaults");
}

}  // namespace
}  // namespace pg
