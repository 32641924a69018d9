// The server narrows a table only where no write of the application can fail by it.
#include "connector/server_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace connector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Server postgres_15{.version = 150018};

pg::TableInfo keyed() {
  pg::TableInfo table;
  table.schema = "public";
  table.name = "t";
  table.owned = true;
  table.has_identity = true;
  return table;
}

pg::TableInfo keyless() {
  pg::TableInfo table = keyed();
  table.has_identity = false;
  return table;
}

// id is the key; kind is of an enum, twice is generated.
pg::TableColumns by_key() {
  pg::TableColumns columns;
  columns.columns = {{.name = "id", .type = 23, .covered = true, .identity = true},
                     {.name = "v", .type = 25},
                     {.name = "kind", .type = 16400},
                     {.name = "twice", .type = 23, .generated = true}};
  return columns;
}

pg::TableColumns in_full() {
  pg::TableColumns columns = by_key();
  columns.full = true;
  for (pg::TableColumn& column : columns.columns) column.covered = true;
  return columns;
}

struct Rows {
  std::string where;
  pg::TableInfo table;
  pg::TableColumns columns;
  Server server;
  std::string reason;  // why walferry filters; "": the server does
};

TEST(ServerChoice, OfRowsNeedsCoveredColumnsOfBuiltInTypes) {
  pg::TableInfo theirs = keyed();
  theirs.owned = false;
  const Rows cases[] = {
      {"id > 5", keyed(), by_key(), postgres_15, ""},
      {"v = 'x'", keyed(), by_key(), postgres_15, "the replica identity does not have column v"},
      {"id > 5 AND v = 'x'", keyed(), by_key(), postgres_15, "does not have column v"},
      {"v = 'x'", keyed(), in_full(), postgres_15, ""},
      {"v = 'x'", keyless(), by_key(), postgres_15, ""},
      {"kind = 'x'", keyed(), in_full(), postgres_15, "a type that is not built in"},
      {"twice > 1", keyed(), in_full(), postgres_15, "is generated"},
      {"t IS NULL", keyed(), by_key(), postgres_15, "column v"},
      {"id > 5", keyed(), by_key(), {.version = 140000}, "older than PostgreSQL 15"},
      {"id > 5", keyed(), by_key(), {150000, false}, "did not make the publication"},
      {"id > 5", theirs, by_key(), postgres_15, "owner"},
  };
  for (const Rows& c : cases) {
    const ServerChoice choice = server_choice({.where = c.where}, c.table, c.columns, c.server);
    EXPECT_EQ(choice.narrowing.where, c.reason.empty() ? c.where : "") << c.where;
    EXPECT_EQ(choice.rows_reason.empty(), c.reason.empty()) << c.where;
    EXPECT_THAT(choice.rows_reason, HasSubstr(c.reason)) << c.where;
  }
}

TEST(ServerChoice, OfColumnsHoldsTheIdentityTheKeyAndWhatWalferryFiltersBy) {
  const auto list = [](const TableConfig& config, const pg::TableInfo& table,
                       const pg::TableColumns& columns) {
    return server_choice(config, table, columns, postgres_15).narrowing.columns;
  };
  EXPECT_THAT(list({.columns = {"v"}}, keyed(), by_key()), ElementsAre("id", "v"));
  EXPECT_THAT(list({.columns = {"v"}}, keyless(), by_key()), ElementsAre("v"));
  EXPECT_THAT(list({.columns = {"v"}, .key = {"kind"}}, keyless(), by_key()),
              ElementsAre("v", "kind"));
  EXPECT_THAT(list({.columns = {"v"}, .where = "kind = 'x'"}, keyed(), by_key()),
              ElementsAre("id", "v", "kind"));
  EXPECT_THAT(list({.columns = {"id"}, .where = "v = 'x'"}, keyless(), by_key()),
              ElementsAre("id", "v"));
  EXPECT_THAT(list({.columns = {"v", "twice"}}, keyed(), by_key()), ElementsAre("id", "v"));
  EXPECT_THAT(list({.columns = {"v"}}, keyed(), in_full()), IsEmpty());
  EXPECT_THAT(list({.exclude = {"v"}}, keyed(), by_key()), IsEmpty());
}

std::vector<std::string> problems(const TableConfig& config, const pg::TableInfo& table,
                                  const pg::TableColumns& columns) {
  std::vector<std::string> details;
  for (const Finding& finding : choice_problems(config, table, columns, postgres_15)) {
    details.push_back(finding.detail);
  }
  return details;
}

TEST(ChoiceProblems, NameEachColumnThatTheTableLacks) {
  EXPECT_THAT(
      problems(
          {.columns = {"id", "a"}, .exclude = {"b"}, .mask = {{"c", Mask::hash}}, .key = {"d"}},
          keyed(), by_key()),
      ElementsAre("table public.t has no column \"a\", which its columns names",
                  "table public.t has no column \"b\", which its exclude names",
                  "table public.t has no column \"c\", which its mask names",
                  "table public.t has no column \"d\", which its key names"));
  EXPECT_THAT(
      problems({.pattern = true, .exclude = {"b"}, .mask = {{"c", Mask::hash}}}, keyed(), by_key()),
      IsEmpty());
}

TEST(ChoiceProblems, RefuseAKeyThatUpdatesAndDeletesCannotTell) {
  EXPECT_THAT(problems({.key = {"v"}}, keyed(), by_key()),
              ElementsAre(HasSubstr("the column \"v\" in its key, and its replica identity has "
                                    "not")));
  EXPECT_THAT(problems({.key = {"v"}}, keyed(), in_full()), IsEmpty());
  EXPECT_THAT(problems({.key = {"v"}}, keyless(), by_key()), IsEmpty());
  EXPECT_THAT(
      problems({.ops = {.update = false, .remove = false}, .key = {"v"}}, keyed(), by_key()),
      IsEmpty());
  EXPECT_THAT(problems({.key = {"twice"}}, keyed(), in_full()),
              ElementsAre(HasSubstr("generated columns are not in WAL before PostgreSQL 18")));
}

TEST(ChoiceNotes, WarnOfSlowFiltersAndOfKeysThatAreRedacted) {
  const TableConfig config{.mask = {{"id", Mask::redact}}, .where = "v = 'x'"};
  const Findings found = choice_notes(config, keyed(), by_key(),
                                      server_choice(config, keyed(), by_key(), postgres_15));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].verdict, Verdict::warn);
  EXPECT_THAT(found[0].detail, HasSubstr("one query a row"));
  EXPECT_THAT(found[0].fix, HasSubstr("REPLICA IDENTITY FULL"));
  EXPECT_EQ(found[1].verdict, Verdict::warn);
  EXPECT_THAT(found[1].detail, HasSubstr("keys no longer tell rows apart"));
}

TEST(GeneratedFindings, AreForServersThatDoNotSendThem) {
  EXPECT_THAT(generated_findings(keyed(), by_key(), postgres_15).at(0).detail, HasSubstr("twice"));
  EXPECT_THAT(generated_findings(keyed(), by_key(), {.version = 180000}), IsEmpty());
}

}  // namespace
}  // namespace connector
