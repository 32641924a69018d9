#include "connector/snapshot_window.h"

#include <gtest/gtest.h>

#include <algorithm>
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
  // Each change is of a transaction of its own: 1, 2, …
  void insert(const Values& row) { window.change(Op::insert, row, {}, next()); }
  void update(const Values& row, const Values& old = {}) {
    window.change(Op::update, row, old, next());
  }
  void remove(const char* id) {
    const Values old{text(id), null, null};
    window.change(Op::remove, {}, old, next());
  }
  bool touched(const char* id) {
    const Values row{text(id), text("0"), text("d")};
    return window.touched(row);
  }
  pg::TransactionId next() { return pg::TransactionId(++xid); }
  // The rows that take the place of touched ones, where the chunk has these, and sees the first
  // `seen` changes.
  std::vector<std::string> completed(const std::vector<Values>& chunk, std::uint32_t seen = 0) {
    const std::string end = std::to_string(seen + 1);
    window.chunk_sees(*pg::Visibility::parse(end + ":" + end + ":"));
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
  std::uint32_t xid = 0;
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

TEST_F(Window, RowIsFoundUnderTheKeyThatItHadWhenTheChunkWasRead) {
  update({text("2"), text("9"), same}, {text("1"), null, null});
  const std::vector<Values> chunk{{text("1"), text("7"), text("of 1")},
                                  {text("2"), text("9"), text("of 2")}};
  EXPECT_EQ(completed(chunk, 0), Rows{"2,9,of 1"});
  EXPECT_EQ(completed(chunk, 1), Rows{"2,9,of 2"});
}

// 1 → 9, 2 → 1, 9 → 2.
TEST_F(Window, RowsThatSwapKeysKeepTheirOwnValues) {
  update({text("9"), text("0"), same}, {text("1"), null, null});
  update({text("1"), text("0"), same}, {text("2"), null, null});
  update({text("2"), text("0"), same}, {text("9"), null, null});
  const auto sorted = [&](const std::vector<Values>& chunk, std::uint32_t seen) {
    Rows rows = completed(chunk, seen);
    std::sort(rows.begin(), rows.end());
    return rows;
  };
  const auto row = [](const char* id, const char* doc) {
    return Values{text(id), text("0"), text(doc)};
  };
  const Rows want{"1,0,b", "2,0,a"};
  EXPECT_EQ(sorted({row("1", "a"), row("2", "b")}, 0), want);
  EXPECT_EQ(sorted({row("2", "b"), row("9", "a")}, 1), want);
  EXPECT_EQ(sorted({row("1", "b"), row("9", "a")}, 2), want);
  EXPECT_EQ(sorted({row("1", "b"), row("2", "a")}, 3), want);
}

TEST_F(Window, RowThatTakesTheKeyOfADeletedOneKeepsItsOwnValues) {
  remove("1");
  update({text("1"), text("0"), same}, {text("3"), null, null});
  EXPECT_EQ(completed({{text("1"), text("7"), text("gone")}, {text("3"), text("7"), text("own")}}),
            Rows{"1,0,own"});
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
  window.change(Op::truncate, {}, {}, next());
  EXPECT_TRUE(window.truncated());
  EXPECT_FALSE(window.has_incomplete());
}

TEST_F(Window, KeyThatAnotherRowTookAgainIsNoRiddle) {
  update({text("2"), text("9"), same}, {text("1"), null, null});
  insert({text("1"), text("0"), text("another")});
  EXPECT_FALSE(window.ambiguous());
  EXPECT_EQ(completed({{text("1"), text("7"), text("doc")}}), Rows{"2,9,doc"});
  EXPECT_EQ(
      completed({{text("1"), text("0"), text("another")}, {text("2"), text("9"), text("doc")}}, 2),
      Rows{"2,9,doc"});
}

TEST(SnapshotWindow, CompositeKeysDoNotRunIntoEachOther) {
  SnapshotWindow window(std::vector<std::size_t>{0, 1});
  const Values row{text("a"), text("bc")};
  window.change(Op::insert, row, {}, pg::TransactionId(1));
  const Values other{text("ab"), text("c")};
  EXPECT_TRUE(window.touched(row));
  EXPECT_FALSE(window.touched(other));
}

}  // namespace
}  // namespace connector
