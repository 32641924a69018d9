// Which updates a snapshot must keep in mind: those that give a row another key and do not tell all
// of it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connector/snapshot_progress.h"

namespace connector {
namespace {

using State = TableSnapshot::State;
using Values = std::vector<pg::Value>;
const pg::Value null = pg::Null{};
const pg::Value same = pg::Unchanged{};

pg::Value text(const char* value) { return std::string_view(value); }

// public.t (a, b, doc), read by (b, a).
struct Moves : testing::Test {
  Moves() {
    relation.schema = "public";
    relation.name = "t";
    for (const char* name : {"a", "b", "doc"})
      relation.columns.push_back({.name = name, .type = {}, .modifier = -1, .key = false});
    reading().key = {"b", "a"};
    reading().key_of = "of t";
    reading().steps.push_back({});
  }
  TableSnapshot& reading() { return progress.tables()[R"("public"."t")"]; }
  bool moves(const Values& row, const Values& old) { return progress.moves(relation, row, old); }
  bool moves(const char* from, const char* to) {
    return moves({text(to), text("x"), same}, {text(from), text("x"), null});
  }

  SnapshotProgress progress;
  pg::Relation relation;
};

TEST_F(Moves, TheNewKeyIsKeptInTheOrderOfTheKey) {
  EXPECT_TRUE(moves("9", "1"));
  EXPECT_EQ(reading().moved, (std::vector<pg::Key>{{"x", "1"}}));
  EXPECT_FALSE(moves("8", "1")) << "it is kept already";
}

TEST_F(Moves, WhatTheRecordTellsNeedNotBeReadAgain) {
  EXPECT_FALSE(moves({text("1"), text("x"), text("all")}, {text("9"), text("x"), null}));
  EXPECT_FALSE(moves({text("1"), text("x"), same}, {text("9"), text("x"), text("old")})) << "FULL";
  EXPECT_FALSE(moves({text("1"), text("x"), same}, {})) << "the key is as it was";
  EXPECT_FALSE(moves("1", "1"));
  EXPECT_TRUE(reading().moved.empty());
}

TEST_F(Moves, AKeysOwnUnchangedValueIsTheOldOne) {
  EXPECT_TRUE(moves({text("1"), same, same}, {text("9"), text("long"), null}));
  EXPECT_EQ(reading().moved, (std::vector<pg::Key>{{"long", "1"}}));
}

TEST_F(Moves, OnlyReadingsThatMayGoOnKeepThem) {
  for (const State state : {State::complete, State::cancelled}) {
    reading().state = state;
    EXPECT_FALSE(moves("9", "1")) << name_of(state);
  }
  reading().state = State::paused;
  EXPECT_TRUE(moves("9", "1"));
  reading().state = State::failed;
  EXPECT_TRUE(moves("9", "4"));
  relation.name = "other";
  EXPECT_FALSE(moves("9", "2"));
}

TEST_F(Moves, OnceAllIsReadOnlyThoseThatWereMovedBefore) {
  EXPECT_TRUE(moves("9", "1"));
  reading().steps.back().end = true;
  EXPECT_FALSE(moves("7", "2"));
  EXPECT_TRUE(moves("1", "3"));
  EXPECT_EQ(reading().moved, (std::vector<pg::Key>{{"x", "1"}, {"x", "3"}}));
}

TEST_F(Moves, RequestsKeepTheirOwn) {
  SnapshotRequest request;
  request.id = "r";
  request.schema = "public";
  request.table = "t";
  request.reading = reading();
  progress.requests().push_back(request);
  progress.tables().clear();
  EXPECT_TRUE(moves("9", "1"));
  EXPECT_EQ(progress.requests().back().reading.moved.size(), 1U);
}

TEST_F(Moves, WhatCannotBeKeptBeginsAgain) {
  relation.columns[0].name = "renamed";
  EXPECT_TRUE(moves("9", "1"));
  EXPECT_TRUE(reading().steps.empty());
  EXPECT_TRUE(reading().key_of.empty());
}

TEST_F(Moves, TooManyBeginAgain) {
  for (int i = 0; i < 20000 && !reading().key_of.empty(); ++i) {
    EXPECT_TRUE(moves("9", std::to_string(100 + i).c_str()));
  }
  EXPECT_TRUE(reading().moved.empty());
  EXPECT_TRUE(reading().steps.empty());
}

TEST_F(Moves, AreSavedWithTheReading) {
  moves("9", "1");
  reading().steps.back().end = true;
  EXPECT_EQ(SnapshotProgress::parse(progress.to_json()).tables(), progress.tables());
}

}  // namespace
}  // namespace connector
