// Which errors are tried again, and with which exit code the others end: CONTRACT.md, "Exit codes".
#include "connector/remedy.h"

#include <gtest/gtest.h>

#include <pqxx/pqxx>
#include <stdexcept>
#include <string>

#include "pg/error.h"
#include "publisher/error.h"

namespace connector {
namespace {

using publisher::Failure;

TEST(Remedy, PostgresErrorsThatPassByThemselvesAreTriedAgain) {
  for (const char* state : {"", "08006", "08001", "57P01", "57P03", "40001", "40P01", "55006",
                            "55P03", "53300", "53100"}) {
    EXPECT_TRUE(remedy_for(pg::Error("x", state)).retry) << state;
  }
}

TEST(Remedy, PostgresErrorsThatDoNotPassEnd) {
  struct {
    const char* state;
    Exit code;
  } const cases[] = {{"28P01", Exit::precondition},  {"28000", Exit::precondition},
                     {"3D000", Exit::precondition},  {"42501", Exit::precondition},
                     {"53400", Exit::precondition},  {"42704", Exit::position_lost},
                     {"58P01", Exit::position_lost}, {"55000", Exit::position_lost}};
  for (const auto& c : cases) {
    const Remedy remedy = remedy_for(pg::Error("x", c.state));
    EXPECT_FALSE(remedy.retry) << c.state;
    EXPECT_EQ(remedy.code, c.code) << c.state;
    EXPECT_FALSE(remedy.hint.empty()) << c.state;
  }
  const Remedy unknown = remedy_for(pg::Error("x", "XX000"));
  EXPECT_FALSE(unknown.retry);
  EXPECT_EQ(unknown.code, Exit::failed);
}

TEST(Remedy, LibpqxxsErrorsGoByTheirState) {
  EXPECT_TRUE(remedy_for(pqxx::broken_connection("x")).retry);
  EXPECT_TRUE(remedy_for(pqxx::sql_error("x", "q", "57P01")).retry);
  EXPECT_EQ(remedy_for(pqxx::sql_error("x", "q", "42501")).code, Exit::precondition);
  EXPECT_EQ(remedy_for(pqxx::insufficient_privilege("x")).code, Exit::precondition);
  EXPECT_TRUE(remedy_for(pqxx::insufficient_resources("x")).retry);
  EXPECT_TRUE(remedy_for(pqxx::sql_error("server closed the connection")).retry);
  EXPECT_TRUE(remedy_for(pqxx::sql_error("x", "q", "26000")).retry);
  EXPECT_EQ(remedy_for(pqxx::syntax_error("x")).code, Exit::failed);
}

TEST(Remedy, NatsErrors) {
  EXPECT_TRUE(remedy_for(publisher::Error(Failure::unavailable, "x")).retry);
  EXPECT_TRUE(remedy_for(publisher::Error(Failure::unexpected_ack, "x", 10071)).retry);
  const Remedy full = remedy_for(publisher::Error(Failure::unexpected_ack, "x", 10077));
  EXPECT_TRUE(full.retry);
  EXPECT_NE(full.hint.find("full"), std::string::npos);
  EXPECT_TRUE(remedy_for(publisher::Error(Failure::api, "x", 10059)).retry);
  for (const Failure failure :
       {Failure::refused, Failure::handshake, Failure::bad_settings, Failure::api}) {
    const Remedy remedy = remedy_for(publisher::Error(failure, "x"));
    EXPECT_FALSE(remedy.retry);
    EXPECT_EQ(remedy.code, Exit::precondition);
    EXPECT_FALSE(remedy.hint.empty());
  }
}

TEST(Remedy, WhatCannotBeSpilledIsTriedAgain) {
  EXPECT_TRUE(remedy_for(pg::AmbiguousStream("x")).retry);
  const Remedy remedy = remedy_for(pg::SpillError("x"));
  EXPECT_TRUE(remedy.retry);
  EXPECT_NE(remedy.hint.find("source.spill_max"), std::string::npos);
}

TEST(Remedy, AStopKeepsItsCodeAndHint) {
  const Remedy remedy = remedy_for(Stop(Exit::position_lost, "gone", "do this"));
  EXPECT_FALSE(remedy.retry);
  EXPECT_EQ(remedy.code, Exit::position_lost);
  EXPECT_EQ(remedy.hint, "do this");
}

TEST(Remedy, AllElseFails) {
  for (const Remedy& remedy :
       {remedy_for(pg::ProtocolError("x")), remedy_for(std::runtime_error("x"))}) {
    EXPECT_FALSE(remedy.retry);
    EXPECT_EQ(remedy.code, Exit::failed);
  }
}

TEST(Remedy, OneLineOfMany) {
  EXPECT_EQ(one_line("a\nb\r\n\n"), "a b");
  EXPECT_EQ(one_line("a \nb"), "a b");
  EXPECT_EQ(one_line("\n"), "");
  EXPECT_EQ(one_line(""), "");
}

}  // namespace
}  // namespace connector
