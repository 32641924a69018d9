// Every type: what the record says of a value, cast back by Postgres, is the row's value.
#include "tests/scenarios/types_rig.h"

namespace scenarios {
namespace {

class Types : public TypesScenario {
 protected:
  // Equal as text, which is stricter than most types' =, and by = where the type has one.
  void expect_cast_back(const std::string& table, std::size_t i) {
    const std::string column = "c" + std::to_string(i);
    const std::string& type = columns_[i].type;
    const std::string back =
        "own.back(g.p -> 'after' -> '" + column + "', '" + type + "'::regtype)::" + type;
    const bool has_equal =
        probe_.error_state("SELECT v = v FROM (SELECT " + columns_[i].values[0] + " v) one")
            .empty();
    std::string same = "(" + back + ")::text IS NOT DISTINCT FROM t." + column + "::text";
    if (is_json(type)) {
      same = "(" + back + ")::text::jsonb IS NOT DISTINCT FROM t." + column + "::text::jsonb";
    }
    if (has_equal) same += " AND " + back + " IS NOT DISTINCT FROM t." + column;
    EXPECT_EQ(wrong_values(table, i, same), "") << type;
  }
  // Or a domain over it: white space in it is not kept.
  bool is_json(const std::string& type) {
    return postgres_.value("SELECT own.base_name('" + type + "'::regtype)") == "json";
  }
};

TEST_F(Types, EachValueOfEachTypeInTheCatalogCastsBackToItself) {
  create_types();
  add_all();
  create_tables();
  start();
  wait_stored(insert_all());
  expect_exact();
  std::vector<std::pair<std::string, std::string>> payloads;
  for (const Record& record : records()) payloads.emplace_back(record.table, record.payload);
  keep(payloads);
  for_each_column([&](const std::string& table, std::size_t i) { expect_cast_back(table, i); });
  EXPECT_EQ(lines_saying(walferry_.log(), " warn"), "");
}

}  // namespace
}  // namespace scenarios
