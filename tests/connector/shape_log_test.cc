// Each shape is announced once, in front of its first row, however often WAL is read again.
#include "connector/shape_log.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "connector/stop.h"

namespace connector {
namespace {

using Row = ShapeLog::Row;

pg::Position at(std::uint64_t lsn, std::uint64_t ordinal = 1) { return {pg::Lsn(lsn), ordinal}; }

TEST(ShapeLog, FirstRowOfATableIsUnannounced) {
  EXPECT_EQ(ShapeLog::ask({}, at(10), 1), Row::unannounced);
}

TEST(ShapeLog, RowsAroundAnEntry) {
  const ShapeLog::Entries entries = {{at(10), 1}, {at(20, 5), 2}};
  EXPECT_EQ(ShapeLog::ask(entries, at(9), 1), Row::not_here);
  EXPECT_EQ(ShapeLog::ask(entries, at(10), 1), Row::first);
  EXPECT_EQ(ShapeLog::ask(entries, at(15), 1), Row::not_here);
  EXPECT_EQ(ShapeLog::ask(entries, at(20, 4), 1), Row::not_here);
  EXPECT_EQ(ShapeLog::ask(entries, at(20, 5), 2), Row::first);
  EXPECT_EQ(ShapeLog::ask(entries, at(20, 6), 2), Row::announced);
  EXPECT_EQ(ShapeLog::ask(entries, at(20, 6), 3), Row::unannounced);
  EXPECT_EQ(ShapeLog::ask(entries, at(21), 1), Row::unannounced) << "a shape may come back";
}

TEST(ShapeLog, KeepsWhatWalThatCanStillBeReadNeeds) {
  ShapeLog::Entries entries;
  for (std::uint64_t lsn = 10; lsn <= 50; lsn += 10) {
    ShapeLog::add(entries, {at(lsn), lsn}, pg::Lsn(35));
  }
  // From 35 on: 40 and 50, and 30, whose shape rows at 35 have.
  EXPECT_EQ(entries, (ShapeLog::Entries{{at(30), 30}, {at(40), 40}, {at(50), 50}}));
}

TEST(ShapeLog, DropsWhatTheStreamDoesNotHold) {
  ShapeLog log;
  log.of("a") = {{at(10), 1}, {at(20, 2), 2}, {at(20, 3), 3}};
  log.of("b") = {{at(30), 1}};
  log.drop_after({at(20, 2), MessagePosition::schema});
  EXPECT_EQ(log.of("a"), (ShapeLog::Entries{{at(10), 1}, {at(20, 2), 2}}));
  EXPECT_TRUE(log.of("b").empty());
  EXPECT_TRUE(log.has(at(10)));
  EXPECT_FALSE(log.has(at(30)));
}

TEST(ShapeLog, TextComesBack) {
  ShapeLog log;
  log.of("\"public\".\"a\"\"b\"") = {{at(10), 0xFFFFFFFFFFFFFFFF}, {at(20, 2), 2}};
  log.of("full") = {{at(10), 1, {"id", "Ä \"b"}}};
  EXPECT_EQ(ShapeLog::parse(log.to_json()), log);
  EXPECT_EQ(ShapeLog::parse(ShapeLog().to_json()), ShapeLog());
}

TEST(ShapeLog, TheEntryInForceIsTheLastAtOrBefore) {
  const ShapeLog::Entries entries = {{at(10), 1}, {at(20, 2), 2}};
  EXPECT_EQ(ShapeLog::in_force(entries, at(9)), nullptr);
  EXPECT_EQ(ShapeLog::in_force(entries, at(10)), &entries[0]);
  EXPECT_EQ(ShapeLog::in_force(entries, at(20, 1)), &entries[0]);
  EXPECT_EQ(ShapeLog::in_force(entries, at(20, 2)), &entries[1]);
  EXPECT_EQ(ShapeLog::in_force(entries, at(99)), &entries[1]);
}

TEST(ShapeLog, OtherTextIsALostPosition) {
  for (const char* text : {"", "{}", R"({"version":2,"tables":{}})", R"({"version":1})",
                           R"({"version":1,"tables":{"a":[["x","y"]]}})"}) {
    EXPECT_THROW(ShapeLog::parse(text), Stop) << text;
  }
}

// Rows with changing shapes, read by sessions that each begin somewhere at or before what is stored
// and end anywhere: the schema records that come out, each counted at its place, must be the same
// as those of one session that reads all.
TEST(ShapeLog, SessionsThatEndAnywhereAnnounceWhatOneWould) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::uint64_t low, std::uint64_t high) {
      return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
    };
    std::vector<ShapeLog::Entry> rows;
    for (std::uint64_t i = 1; i <= 40; ++i) {
      const std::uint64_t shape = pick(0, 3) == 0 || rows.empty() ? pick(1, 3) : rows.back().shape;
      rows.push_back({at(i * 10), shape});
    }
    std::set<std::uint64_t> expected;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == 0 || rows[i].shape != rows[i - 1].shape) expected.insert(i);
    }
    ShapeLog kept;
    std::set<std::uint64_t> announced;  // what the stream holds
    std::size_t stored = 0;             // rows in the stream
    bool schema_stored = false;         // and the schema record of the next one
    while (stored < rows.size()) {
      MessagePosition tail;
      if (stored > 0) tail = rows[stored - 1].position;
      if (schema_stored) tail = {rows[stored].position, MessagePosition::schema};
      kept.drop_after(tail);
      ShapeLog::Entries& entries = kept.of("t");
      const std::size_t ends = pick(stored, rows.size() + 1);
      for (std::size_t i = pick(0, stored); i < rows.size() && i <= ends; ++i) {
        Row row = ShapeLog::ask(entries, rows[i].position, rows[i].shape);
        if (row == Row::unannounced && rows[i].position > tail.change) {
          ShapeLog::add(entries, rows[i], pg::Lsn());
          row = Row::first;
          if (i == ends && pick(0, 1) == 0) break;  // it is kept, and nothing is sent
        }
        ASSERT_EQ(row == Row::first, expected.count(i) > 0) << "seed " << seed << " row " << i;
        const bool is_new = i > stored || (i == stored && !schema_stored);
        if (row == Row::first && is_new) {
          ASSERT_TRUE(announced.insert(i).second) << "seed " << seed << " row " << i;
          stored = i;
          schema_stored = true;
          if (i == ends) break;  // the schema record is stored, its row is not
        }
        if (i >= stored) {
          stored = i + 1;
          schema_stored = false;
        }
      }
    }
    EXPECT_EQ(announced, expected) << "seed " << seed;
  }
}

TEST(Shape, IsOfColumnsAndIdentityAlone) {
  pg::Relation relation;
  relation.schema = "public";
  relation.name = "t";
  relation.columns = {{.name = "id", .type = pg::TypeId(23), .key = true},
                      {.name = "v", .type = pg::TypeId(25)}};
  const std::uint64_t shape = shape_of(relation);
  pg::Relation same = relation;
  same.name = "u";
  same.id = pg::RelationId(7);
  EXPECT_EQ(shape_of(same), shape);
  std::vector<pg::Relation> others(6, relation);
  others[0].columns[1].name = "w";
  others[1].columns[1].type = pg::TypeId(23);
  others[2].columns[1].modifier = 8;
  others[3].columns[1].key = true;
  others[4].identity = pg::ReplicaIdentity::full;
  std::swap(others[5].columns[0], others[5].columns[1]);
  for (const pg::Relation& other : others) EXPECT_NE(shape_of(other), shape);
}

}  // namespace
}  // namespace connector
