// What types are, from the rows of a catalog in memory.
#include "pg/type_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pg/builtin_types.h"
#include "tests/connector/type_table.h"

namespace pg {
namespace {

using connector::TypeTable;
using Kind = TypeShape::Kind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr TypeId int4(23);
constexpr TypeId text(25);
constexpr TypeId int4_array(1007);
constexpr TypeId box_array(1020);

TEST(TypeCatalog, TypesOfEveryServerNeedNoQuery) {
  TypeTable table;
  TypeCatalog types = table.catalog();
  const TypeShape* scalar = types.shape(int4);
  EXPECT_EQ(scalar->kind, Kind::scalar);
  EXPECT_EQ(scalar->base, int4);
  EXPECT_EQ(scalar->name, "integer");
  EXPECT_EQ(scalar->schema, "pg_catalog");
  const TypeShape* array = types.shape(int4_array);
  EXPECT_EQ(array->kind, Kind::array);
  EXPECT_EQ(array->name, "integer[]");
  EXPECT_EQ(array->element, scalar);
  EXPECT_EQ(array->delimiter, ',');
  EXPECT_EQ(types.shape(box_array)->delimiter, ';');
  EXPECT_EQ(types.shape(TypeId(3904))->type, 'r');
  EXPECT_EQ(types.shape(TypeId(22))->kind, Kind::scalar);  // int2vector
  EXPECT_EQ(types.shape(TypeId(1006))->element->id, TypeId(22));
  EXPECT_EQ(table.lookups, 0);
  EXPECT_THAT(types.take_warnings(), IsEmpty());
}

TEST(TypeCatalog, ADomainHasTheShapeOfWhatItIsOverAndItsOwnName) {
  TypeTable table;
  table.domain(101, "positive", 23);
  table.domain(102, "small", 101);
  table.domain(103, "numbers", 1007);
  table.composite(104, "pair", {{"a", 23}});
  table.domain(105, "good_pair", 104);
  TypeCatalog types = table.catalog();
  const TypeShape* small = types.shape(TypeId(102));
  EXPECT_EQ(small->kind, Kind::scalar);
  EXPECT_EQ(small->id, TypeId(102));
  EXPECT_EQ(small->base, int4);
  EXPECT_EQ(small->name, "shop.small");
  EXPECT_EQ(small->schema, "shop");
  EXPECT_EQ(types.shape(TypeId(103))->kind, Kind::array);
  EXPECT_EQ(types.shape(TypeId(103))->element->id, int4);
  EXPECT_EQ(types.shape(TypeId(105))->kind, Kind::composite);
  EXPECT_EQ(types.shape(TypeId(105))->fields.at(0).name, "a");
}

TEST(TypeCatalog, CompositesAndArraysNestAndEachTypeIsLookedUpOnce) {
  TypeTable table;
  table.scalar(100, "mood", 'e');
  table.array(101, 100);
  table.composite(102, "inner", {{"moods", 101}, {"n", 23}});
  table.array(103, 102, ';');
  table.hstore(104);
  table.composite(105, "outer", {{"list", 103}, {"tags", 104}, {"mood", 100}});
  TypeCatalog types = table.catalog();
  const TypeShape* outer = types.shape(TypeId(105));
  ASSERT_EQ(outer->fields.size(), 3U);
  const TypeShape* list = outer->fields[0].shape;
  EXPECT_EQ(list->kind, Kind::array);
  EXPECT_EQ(list->delimiter, ';');
  EXPECT_EQ(list->element->fields.at(0).shape->element, outer->fields[2].shape);
  EXPECT_EQ(outer->fields[1].shape->kind, Kind::hstore);
  EXPECT_EQ(outer->fields[2].shape->type, 'e');
  EXPECT_EQ(table.lookups, 6);
  EXPECT_EQ(types.shape(TypeId(105)), outer);
  types.shape(TypeId(101));
  EXPECT_EQ(table.lookups, 6);
}

TEST(TypeCatalog, ATypeThatIsGoneIsTextAndSaidOnce) {
  TypeTable table;
  TypeCatalog types = table.catalog();
  types.announced(TypeId(200), "shop", "mood");
  const TypeShape* gone = types.shape(TypeId(200));
  EXPECT_EQ(gone->kind, Kind::scalar);
  EXPECT_TRUE(gone->gone);
  EXPECT_EQ(gone->base, TypeId());
  EXPECT_EQ(gone->schema, "shop");
  EXPECT_EQ(gone->name, "shop.mood");
  EXPECT_THAT(types.take_warnings(), ElementsAre(HasSubstr("shop.mood")));
  types.announced(TypeId(200), "shop", "mood");
  EXPECT_EQ(types.shape(TypeId(200)), gone);
  EXPECT_THAT(types.take_warnings(), IsEmpty());
}

TEST(TypeCatalog, OnlyWhatIsNotVisibleAfterWaitingIsGone) {
  TypeTable table;
  table.appear_after_wait[200] = {.type = 'd', .below = int4, .schema = "shop", .name = "shop.d"};
  TypeCatalog types = table.catalog();
  EXPECT_EQ(types.shape(TypeId(200))->base, int4);
  EXPECT_EQ(table.waits, 1);
  EXPECT_THAT(types.take_warnings(), IsEmpty());
  EXPECT_FALSE(types.shape(TypeId(200))->gone);
}

TEST(TypeCatalog, RefreshSeesWhatWasAlteredWhereverItLies) {
  TypeTable table;
  table.composite(101, "pair", {{"a", 23}});
  table.array(102, 101);
  table.domain(103, "pairs", 102);
  table.composite(104, "holder", {{"p", 103}});
  TypeCatalog types = table.catalog();
  const TypeShape* holder = types.shape(TypeId(104));
  const TypeShape* pair = types.shape(TypeId(101));
  EXPECT_FALSE(types.refresh(TypeId(104)));
  table.composite(101, "pair", {{"a", 23}, {"b", 25}});
  EXPECT_TRUE(types.refresh(TypeId(104)));
  EXPECT_EQ(types.shape(TypeId(104)), holder);
  EXPECT_EQ(types.shape(TypeId(101)), pair);
  ASSERT_EQ(pair->fields.size(), 2U);
  EXPECT_EQ(pair->fields[1].name, "b");
  EXPECT_EQ(pair->fields[1].shape->id, text);
  EXPECT_FALSE(types.refresh(TypeId(104)));
  EXPECT_EQ(table.waits, 3);
  EXPECT_FALSE(types.refresh(int4));
}

TEST(TypeCatalog, RefreshedCompositesHaveTheirFieldsNewNamesAlsoBelowADomain) {
  TypeTable table;
  table.composite(101, "pair", {{"a", 23}});
  table.domain(102, "good_pair", 101);
  TypeCatalog types = table.catalog();
  const TypeShape* good = types.shape(TypeId(102));
  table.composite(101, "pair", {{"renamed", 23}});
  types.refresh_composites();
  EXPECT_EQ(good->fields.at(0).name, "renamed");
  EXPECT_EQ(good->name, "shop.good_pair");
  EXPECT_EQ(types.shape(TypeId(101))->fields.at(0).name, "renamed");
}

TEST(TypeCatalog, ACompositeThatGoesIsTextFromThenOn) {
  TypeTable table;
  table.composite(101, "pair", {{"a", 23}});
  TypeCatalog types = table.catalog();
  const TypeShape* pair = types.shape(TypeId(101));
  table.rows.clear();
  types.refresh_composites();
  EXPECT_EQ(pair->kind, Kind::scalar);
  EXPECT_TRUE(pair->gone);
  EXPECT_THAT(types.take_warnings(), testing::SizeIs(1));
  types.refresh_composites();
  EXPECT_FALSE(types.refresh(TypeId(101)));
  EXPECT_THAT(types.take_warnings(), IsEmpty());
}

TEST(TypeCatalog, ANumberThatStandsForAnotherNameIsLookedUpAnew) {
  TypeTable table;
  table.scalar(101, "mood", 'e');
  TypeCatalog types = table.catalog();
  types.announced(TypeId(101), "shop", "mood");
  const TypeShape* shape = types.shape(TypeId(101));
  table.domain(101, "positive", 23);
  types.announced(TypeId(101), "shop", "mood");
  EXPECT_EQ(shape->base, TypeId(101));
  types.announced(TypeId(101), "pg_catalog", "int4");
  EXPECT_EQ(shape->base, int4);
  EXPECT_EQ(shape->name, "shop.positive");
}

TEST(TypeCatalog, WhatNestsTooDeepIsText) {
  TypeTable table;
  constexpr std::uint32_t levels = 100;
  for (std::uint32_t i = 0; i < levels; ++i) {
    table.composite(20000 + i, "level", {{"next", i + 1 < levels ? 20001 + i : 23}});
  }
  TypeCatalog types = table.catalog();
  const TypeShape* shape = types.shape(TypeId(20000));
  std::uint32_t depth = 0;
  for (; shape->kind == Kind::composite; ++depth) shape = shape->fields.at(0).shape;
  EXPECT_EQ(depth, 32U);
  EXPECT_EQ(shape->base, TypeId());
}

TEST(BuiltinTypes, AreFoundByNumberAndByTheirArraysAndNothingElseIs) {
  for (const BuiltinType& one : builtin_types()) {
    EXPECT_EQ(builtin_type(TypeId(one.type)), &one);
    if (one.array == 0) continue;
    EXPECT_EQ(element_of_builtin_array(TypeId(one.array)), &one);
    EXPECT_EQ(builtin_type(TypeId(one.array)), nullptr);
  }
  for (const std::uint32_t unknown : {0U, 15U, 5070U, 16384U, 4294967295U}) {
    EXPECT_EQ(builtin_type(TypeId(unknown)), nullptr) << unknown;
    EXPECT_EQ(element_of_builtin_array(TypeId(unknown)), nullptr) << unknown;
  }
}

}  // namespace
}  // namespace pg
