// What a row takes along when its key changes, however the rows' names are sorted.
#include "connector/row_entries.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/connector/type_table.h"

namespace connector {
namespace {

using Kind = FoldEntry::Kind;

class RowEntriesTest : public testing::TestWithParam<std::size_t> {
 protected:
  RowEntriesTest() {
    pg::Relation shape;
    shape.schema = "public";
    shape.name = "t";
    shape.columns = {{.name = "id", .type = pg::TypeId(25), .modifier = -1, .key = true},
                     {.name = "big", .type = pg::TypeId(25), .modifier = -1, .key = false}};
    tables_.emplace_back(config_, TableConfig{},
                         pg::ReadTable{.id = {}, .schema = "public", .name = "t"}, shape,
                         std::vector<std::string>{}, values_, debezium_);
  }
  void add(const std::string& name, std::uint64_t order, FoldEntry entry) {
    entry.commit_lsn = pg::Lsn(order);
    std::string bytes;
    entry.append_to(bytes);
    rows_.add({.key = table_prefix(0) + name, .order = order, .value = bytes});
  }
  void insert(const std::string& name, std::uint64_t order) {
    add(name, order, {.kind = Kind::insert, .commit_lsn = {}, .after = R"({"big":"the value"})"});
  }
  void move(const std::string& from, const std::string& to, std::uint64_t order) {
    add(from, order - 1,
        {.kind = Kind::leaves,
         .commit_lsn = {},
         .sequence = order,
         .after = to,
         .unchanged = R"(["big"])"});
    add(from, order, {.kind = Kind::gone, .commit_lsn = {}});
    add(to, order,
        {.kind = Kind::update, .commit_lsn = {}, .after = "{}", .unchanged = R"(["big"])"});
  }
  // Of the row that has this name in the end.
  RowFold::Value big_of(const std::string& name) {
    rows_.finish();
    const auto along = values_taken_along({.tables = tables_,
                                           .histories = histories_,
                                           .view = view_,
                                           .hides_unknown = false,
                                           .dir = testing::TempDir(),
                                           .go_on = [] {}},
                                          rows_);
    RowEntries entries(rows_, along.get());
    while (entries.any()) {
      const std::string row(entries.name());
      fold_.begin(tables_[0], pg::Lsn());
      entries.fold(row, 0, fold_);
      if (row == table_prefix(0) + name) return fold_.column("big");
    }
    return {};
  }

  Config config_;
  TypeTable catalog_;
  pg::TypeCatalog types_ = catalog_.catalog();
  StructuredValues values_{types_};
  DebeziumValues debezium_;
  std::vector<VerifiedTable> tables_;
  std::vector<TableHistory> histories_{1};
  FoldView view_{*pg::Visibility::parse("100:110:100,105"), pg::Lsn(1000), 120};
  RowFold fold_{view_, false};
  ExternalSort rows_{testing::TempDir(), GetParam()};
};

TEST_P(RowEntriesTest, AValueGoesAlongHoweverTheNamesAreSorted) {
  insert("m", 2);
  move("m", "a", 4);
  move("a", "z", 6);
  move("z", "b", 8);
  const RowFold::Value big = big_of("b");
  EXPECT_EQ(big.state, RowFold::Value::known);
  EXPECT_EQ(big.text, "\"the value\"");
}

TEST_P(RowEntriesTest, OfTheRowThatHadTheKeyThen) {
  insert("a", 2);
  move("a", "b", 4);
  add("a", 6, {.kind = Kind::insert, .commit_lsn = {}, .after = R"({"big":"another"})"});
  EXPECT_EQ(big_of("b").text, "\"the value\"");
}

TEST_P(RowEntriesTest, WhatWasNotKnownStaysSo) {
  move("a", "b", 4);
  EXPECT_EQ(big_of("b").state, RowFold::Value::unchanged);
}

// In memory, and in runs on disk.
INSTANTIATE_TEST_SUITE_P(Budgets, RowEntriesTest, testing::Values(1U << 20, 100U));

}  // namespace
}  // namespace connector
