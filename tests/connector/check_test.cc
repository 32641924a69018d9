#include "connector/check.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "pg/error.h"
#include "publisher/error.h"

namespace connector {
namespace {

const Finding fine{Verdict::ok, "version", "PostgreSQL 15", ""};
const Finding odd{Verdict::warn, "wal_retention", "unlimited", "limit it"};
const Finding wrong{Verdict::fail, "role", "may not", "GRANT 1;\nGRANT 2;"};

TEST(CheckText, AlignsAndPutsEachLineOfTheFixUnderItsFinding) {
  EXPECT_EQ(check_text({fine, odd, wrong}, {}),
            "ok    version        PostgreSQL 15\n"
            "warn  wal_retention  unlimited\n"
            "                     fix: limit it\n"
            "fail  role           may not\n"
            "                     fix: GRANT 1;\n"
            "                          GRANT 2;\n"
            "\n"
            "1 of 3 checks failed, 1 warning\n");
}

TEST(CheckText, SaysWhenNothingFails) {
  EXPECT_EQ(check_text({fine}, {}),
            "ok    version  PostgreSQL 15\n\nall that run needs is there\n");
}

TEST(CheckText, EscapesWhatNamesBringAlong) {
  const Finding finding{Verdict::fail, "table \x1b[2J", "gone\x07", ""};
  EXPECT_EQ(check_text({finding}, {}).find('\x1b'), std::string::npos);
}

TEST(CheckJson, HasEveryFindingAndTheVerdictOnAll) {
  const auto good = nlohmann::json::parse(check_json({fine, odd}));
  EXPECT_EQ(good.at("ok"), true);
  const auto bad = nlohmann::json::parse(check_json({fine, odd, wrong}));
  EXPECT_EQ(bad.at("ok"), false);
  EXPECT_EQ(bad.at("checks").size(), 3U);
  EXPECT_EQ(bad["checks"][1], (nlohmann::json{{"name", "wal_retention"},
                                              {"result", "warn"},
                                              {"detail", "unlimited"},
                                              {"fix", "limit it"}}));
}

TEST(CheckJson, SurvivesBytesThatAreNotUtf8) {
  EXPECT_TRUE(nlohmann::json::accept(check_json({{Verdict::fail, "x", "\xFF\xFE", ""}})));
}

TEST(CheckExit, IsAboutFailuresAlone) {
  EXPECT_EQ(check_exit({fine, odd}, Exit::done), Exit::done);
  EXPECT_EQ(check_exit({fine, wrong}, Exit::done), Exit::precondition);
}

TEST(CheckExit, IsPositionLostOnlyWhenNothingElseFails) {
  EXPECT_EQ(check_exit({fine, odd, wrong}, Exit::position_lost), Exit::position_lost);
  EXPECT_EQ(check_exit({wrong, wrong}, Exit::position_lost), Exit::precondition);
  EXPECT_EQ(check_exit({wrong}, Exit::precondition), Exit::precondition);
}

TEST(Failed, TakesTheFixFromTheRemedy) {
  const Finding refused = failed("postgres", pg::Error("FATAL: no such\nuser\n", "28P01"));
  EXPECT_EQ(refused.detail, "FATAL: no such user");
  EXPECT_NE(refused.fix.find("source.dsn"), std::string::npos);
  // What run would try again for ever is a failure here, and has something to look at.
  const Finding away =
      failed("nats", publisher::Error(publisher::Failure::unavailable, "no answer"));
  EXPECT_EQ(away.verdict, Verdict::fail);
  EXPECT_FALSE(away.fix.empty());
}

}  // namespace
}  // namespace connector
