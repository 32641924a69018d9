// Values of structured types as JSON, and what happens when a text and its type do not fit.
#include "connector/structured_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/connector/type_table.h"

namespace connector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t mood = 16400;
constexpr std::uint32_t moods = 16401;
constexpr std::uint32_t hstore = 16402;
constexpr std::uint32_t hstores = 16403;
constexpr std::uint32_t pair = 16404;       // (n int, "q""uote" text)
constexpr std::uint32_t pairs = 16405;      // pair[]
constexpr std::uint32_t outer = 16406;      // (list pair[], p pair, at timestamptz, doc jsonb)
constexpr std::uint32_t good_pair = 16407;  // a domain over pair
constexpr std::uint32_t numbers = 16408;    // a domain over int4[]
constexpr std::uint32_t rows = 16409;       // numbers[]: arrays in arrays
constexpr std::uint32_t nothing = 16410;    // a composite without fields
constexpr std::uint32_t lone = 16411;       // (x text)
constexpr std::uint32_t boxes = 1020;

class StructuredValue : public testing::Test {
 protected:
  StructuredValue() {
    table_.scalar(mood, "mood", 'e');
    table_.array(moods, mood);
    table_.hstore(hstore);
    table_.array(hstores, hstore);
    table_.composite(pair, "pair", {{"n", 23}, {"q\"uote", 25}});
    table_.array(pairs, pair);
    table_.composite(outer, "outer", {{"list", pairs}, {"p", pair}, {"at", 1184}, {"doc", 3802}});
    table_.domain(good_pair, "good_pair", pair);
    table_.domain(numbers, "numbers", 1007);
    table_.array(rows, numbers);
    table_.composite(nothing, "nothing", {});
    table_.composite(lone, "lone", {{"x", 25}});
  }

  std::string json(std::uint32_t type, std::string_view text) {
    std::string out = "=";
    values_.append(out, *types_.shape(pg::TypeId(type)), text);
    return out.substr(1);
  }

  TypeTable table_;
  pg::TypeCatalog types_ = table_.catalog();
  StructuredValues values_{types_};
};

TEST_F(StructuredValue, IsNestedJson) {
  struct Case {
    std::uint32_t type;
    const char* text;
    const char* json;
  };
  const std::vector<Case> cases = {
      {1007, "{}", "[]"},
      {1007, "{1,NULL,-3}", "[1,null,-3]"},
      {1007, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
      {1007, "{{{{{{1}}}}}}", "[[[[[[1]]]]]]"},
      {1007, "[0:1]={1,2}", R"("[0:1]={1,2}")"},
      {1009, R"({a,"b c","\"d\\",NULL,"NULL",""})", R"(["a","b c","\"d\\",null,"NULL",""])"},
      {1000, "{t,f,NULL}", "[true,false,null]"},
      {1022, "{1e+20,NaN,-Infinity,-0}", R"([1e+20,"NaN","-Infinity",-0])"},
      {1231, "{1.10,NaN}", R"(["1.10","NaN"])"},
      {1001, R"({"\\x00ff","\\x"})", R"(["AP8=",""])"},
      {199, R"({"{\"a\" : [1, 2]}","null",NULL})", R"([{"a":[1,2]},null,null])"},
      {1185, R"({"2026-11-23 10:00:00+00",infinity})", R"(["2026-11-23T10:00:00Z","infinity"])"},
      {boxes, "{(1,1),(0,0);(2,2),(1,1)}", R"-(["(1,1),(0,0)","(2,2),(1,1)"])-"},
      {1006, R"({"1 2","3"})", R"(["1 2","3"])"},  // int2vector[]
      {3905, R"-({"[1,3)",empty})-", R"-(["[1,3)","empty"])-"},
      {22, "1 2 3", R"("1 2 3")"},
      {mood, "so so", R"("so so")"},
      {moods, R"({"so so",happy,NULL})", R"(["so so","happy",null])"},
      {hstore, "", "{}"},
      {hstore, R"("a"=>"1", "b\""=>NULL, ""=>"x\\")", R"({"a":"1","b\"":null,"":"x\\"})"},
      {hstores, R"({"\"a\"=>\"1\"",""})", R"([{"a":"1"},{}])"},
      {pair, "(1,x)", R"({"n":1,"q\"uote":"x"})"},
      {pair, "(,)", R"({"n":null,"q\"uote":null})"},
      {pair, R"((7,"a ""b"" \\"))", R"({"n":7,"q\"uote":"a \"b\" \\"})"},
      {pairs, R"-({"(1,x)",NULL,"(2,)"})-",
       R"([{"n":1,"q\"uote":"x"},null,{"n":2,"q\"uote":null}])"},
      {outer, R"-(("{""(1,\\""a b\\"")"",NULL}","(2,c)","2026-11-23 10:00:00+00","{""a"": 1}"))-",
       R"({"list":[{"n":1,"q\"uote":"a b"},null],"p":{"n":2,"q\"uote":"c"},)"
       R"("at":"2026-11-23T10:00:00Z","doc":{"a":1}})"},
      {outer, "({},,,)", R"({"list":[],"p":null,"at":null,"doc":null})"},
      {good_pair, "(1,x)", R"({"n":1,"q\"uote":"x"})"},
      {numbers, "{1,2}", "[1,2]"},
      {rows, R"({"{1,2}","{3}","{}"})", "[[1,2],[3],[]]"},
      {nothing, "()", "{}"},
      {lone, "()", R"({"x":null})"},
      {lone, R"((""))", R"({"x":""})"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(json(one.type, one.text), one.json) << one.text;
  }
  EXPECT_THAT(types_.take_warnings(), IsEmpty());
}

TEST_F(StructuredValue, WhatCannotBeOfTheTypeIsABadValue) {
  struct Case {
    std::uint32_t type;
    const char* text;
  };
  const std::vector<Case> cases = {
      {1007, "1"},          {1007, "{a}"},
      {1007, "{1"},         {1000, "{yes}"},
      {hstore, "a=>1"},     {numbers, "{x}"},
      {1009, "{\"\xFF\"}"}, {pair, "(1,\xFF)"},
      {lone, "(\"\xC3\")"}, {hstore, "\"\xFF\"=>NULL"},
  };
  for (const Case& one : cases) {
    EXPECT_THROW(json(one.type, one.text), BadValue) << one.text;
  }
}

TEST_F(StructuredValue, AFieldThatWasAddedIsSeenAtTheFirstRowThatHasIt) {
  EXPECT_EQ(json(pair, "(1,x)"), R"({"n":1,"q\"uote":"x"})");
  table_.composite(pair, "pair", {{"n", 23}, {"q", 25}, {"b", 16}});
  EXPECT_EQ(json(pair, "(2,y,t)"), R"({"n":2,"q":"y","b":true})");
  EXPECT_EQ(json(outer, R"-((,"(3,z,f)",,))-"),
            R"({"list":null,"p":{"n":3,"q":"z","b":false},"at":null,"doc":null})");
  EXPECT_THAT(types_.take_warnings(), IsEmpty());
}

TEST_F(StructuredValue, ARowOlderThanItsTypeIsTextAndThatIsSaidOnce) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(json(pair, "(1,x,t)"), R"-("(1,x,t)")-");
  EXPECT_THAT(types_.take_warnings(), ElementsAre(HasSubstr("shop.pair")));
  const int lookups = table_.lookups;
  EXPECT_EQ(json(pair, "(1,x,t)"), R"-("(1,x,t)")-");
  EXPECT_EQ(table_.lookups, lookups);  // asked once, not for each row
  EXPECT_EQ(json(pair, "(1,x)"), R"({"n":1,"q\"uote":"x"})");
  EXPECT_EQ(json(pairs, R"-({"(1,x,t)"})-"), R"-("{\"(1,x,t)\"}")-");
  EXPECT_EQ(json(pair, "(x,1)"), R"-("(x,1)")-");  // a field that is no int any more
  EXPECT_THAT(types_.take_warnings(), ElementsAre(HasSubstr("shop.some[]")));
}

TEST_F(StructuredValue, OnceARowFitsTheNextMisfitIsLookedUpAgain) {
  EXPECT_EQ(json(pair, "(1)"), R"-("(1)")-");
  EXPECT_EQ(json(pair, "(1,x)"), R"({"n":1,"q\"uote":"x"})");
  table_.composite(pair, "pair", {{"n", 23}});
  EXPECT_EQ(json(pair, "(1)"), R"({"n":1})");
}

TEST_F(StructuredValue, ATypeDroppedMeanwhileIsText) {
  EXPECT_EQ(json(pair, "(1,x)"), R"({"n":1,"q\"uote":"x"})");
  table_.rows.erase(pair);
  EXPECT_EQ(json(pair, "(1,x,2)"), R"-("(1,x,2)")-");
  EXPECT_EQ(json(pairs, R"-({"(1,x)"})-"), R"-(["(1,x)"])-");
  EXPECT_THAT(types_.take_warnings(), ElementsAre(HasSubstr("not in the catalog")));
}

}  // namespace
}  // namespace connector
