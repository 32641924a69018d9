#include "connector/snapshot_window.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace connector {
namespace {

using Values = std::vector<pg::Value>;
const pg::Value null = pg::Null{};
const pg::Value same = pg::Unchanged{};

pg::Value text(const char* value) { return std::string_view(value); }

// Tables of (id, n, doc), cut by id.
struct Window : testing::Test {
  void insert(const Values& row) { window.change(Op::insert, row, {}); }
  void update(const Values& row, const Values& old = {}) { window.change(Op::update, row, old); }
  void remove(const char* id) {
    const Values old{text(id), null, null};
    window.change(Op::remove, {}, old);
  }
  bool touched(const char* id) {
    const Values row{text(id), text("0"), text("d")};
    return window.touched(row);
  }
  // The rows that take the place of touched ones, where the chunk has these.
  std::vector<std::string> completed(const std::vector<Values>& chunk) {
    for (const Values& row : chunk) window.fill_from(row);
    std::vector<std::string> rows;
    for (const Values& row : window.complete()) {
      std::string all;
      for (const pg::Value& value : row) {
        const auto* found = std::get_if<std::string_view>(&value);
        all += (all.empty() ? "" : ",") + std::string(found == nullptr ? "NULL" : *found);
      }
      rows.push_back(all);
    }
    return rows;
  }
  SnapshotWindow window{std::vector<std::size_t>{0}};
};

using Rows = std::vector<std::string>;

TEST_F(Window, ChangeTouchesItsRowAlone) {
  insert({text("1"), text("1"), null});
  update({text("2"), text("1"), text("x")});
  remove("3");
  for (const char* id : {"1", "2", "3"}) EXPECT_TRUE(touched(id)) << id;
  EXPECT_FALSE(touched("4"));
  EXPECT_FALSE(window.has_incomplete());
  EXPECT_FALSE(window.ambiguous());
}

TEST_F(Window, ChangedKeyTouchesBoth) {
  update({text("2"), text("1"), text("x")}, {text("1"), null, null});
  EXPECT_TRUE(touched("1"));
  EXPECT_TRUE(touched("2"));
}

TEST_F(Window, UnchangedValueComesFromTheChunk) {
  update({text("1"), text("8"), same});
  ASSERT_TRUE(window.has_incomplete());
  EXPECT_EQ(completed({{text("1"), text("7"), text("doc")}, {text("2"), text("7"), text("no")}}),
            Rows{"1,8,doc"});
}

TEST_F(Window, UnchangedNullStaysNull) {
  update({text("1"), text("8"), same});
  EXPECT_EQ(completed({{text("1"), text("7"), null}}), Rows{"1,8,NULL"});
}

TEST_F(Window, ValueThatAnEarlierChangeSentIsNotTakenFromTheChunk) {
  update({text("1"), text("8"), text("new")});
  update({text("1"), text("9"), same});
  EXPECT_FALSE(window.has_incomplete()) << "the stream has all of it";
  EXPECT_EQ(completed({{text("1"), text("7"), text("old")}}), Rows{});
}

TEST_F(Window, LaterValueSupersedesAndKeyChangesAreFollowed) {
  update({text("1"), text("8"), same});
  update({text("2"), text("9"), same}, {text("1"), null, null});
  update({text("3"), text("9"), same}, {text("2"), null, null});
  for (const char* id : {"1", "2", "3"}) EXPECT_TRUE(touched(id)) << id;
  EXPECT_EQ(completed({{text("1"), text("7"), text("doc")}}), Rows{"3,9,doc"});
}

TEST_F(Window, RowThatTheChunkHasUnderItsLaterKeyIsFoundThere) {
  update({text("2"), text("9"), same}, {text("1"), null, null});
  EXPECT_EQ(
      completed({{text("1"), text("7"), text("another's")}, {text("2"), text("9"), text("d")}}),
      Rows{"2,9,d"});
  EXPECT_EQ(completed({{text("1"), text("7"), text("another's")}}), Rows{"2,9,d"});
}

TEST_F(Window, RowOfAnotherChunkIsLeftToIt) {
  update({text("1"), text("8"), same});
  EXPECT_EQ(completed({{text("2"), text("7"), text("doc")}}), Rows{});
}

TEST_F(Window, DeletedRowIsNotCompleted) {
  update({text("1"), text("8"), same});
  remove("1");
  EXPECT_EQ(completed({{text("1"), text("7"), text("doc")}}), Rows{});
}

TEST_F(Window, FullOldRowLacksNothing) {
  update({text("1"), text("8"), same}, {text("1"), text("7"), text("doc")});
  EXPECT_FALSE(window.has_incomplete());
}

TEST_F(Window, KeyThatIsStoredOutOfLineComesFromTheOldRow) {
  update({same, text("8"), text("x")}, {text("long"), null, null});
  EXPECT_TRUE(touched("long"));
}

TEST_F(Window, TruncateLeavesNothingToComplete) {
  update({text("1"), text("8"), same});
  window.change(Op::truncate, {}, {});
  EXPECT_TRUE(window.truncated());
  EXPECT_FALSE(window.has_incomplete());
}

TEST_F(Window, KeyThatAnotherRowTookAgainIsAmbiguous) {
  update({text("2"), text("9"), same}, {text("1"), null, null});
  insert({text("1"), text("0"), text("another")});
  EXPECT_TRUE(window.ambiguous());
}

TEST(SnapshotWindow, CompositeKeysDoNotRunIntoEachOther) {
  SnapshotWindow window(std::vector<std::size_t>{0, 1});
  const Values row{text("a"), text("bc")};
  window.change(Op::insert, row, {});
  const Values other{text("ab"), text("c")};
  EXPECT_TRUE(window.touched(row));
  EXPECT_FALSE(window.touched(other));
}

}  // namespace
}  // namespace connector
