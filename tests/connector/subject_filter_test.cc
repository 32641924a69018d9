// What tail is asked for: subjects as they are, tables by name.
#include "connector/subject_filter.h"

#include <gtest/gtest.h>

#include "connector/stop.h"

namespace connector {
namespace {

std::string filter(const std::string& asked) {
  Config config;
  config.stream.subjects = {"events.*"};
  return subject_filter(config, asked);
}

TEST(SubjectFilter, SubjectsStandAsTheyAre) {
  for (const std::string asked :
       {"", ">", "cdc.>", "cdc.public.orders.>", "*.public.>", "cdc.*.*.insert", "cdc._schema.>",
        "events.a", "events.>", "*.a"}) {
    EXPECT_EQ(filter(asked), asked);
  }
}

TEST(SubjectFilter, TablesAreTheirSubjects) {
  EXPECT_EQ(filter("public.orders"), "cdc.public.orders.*");
  EXPECT_EQ(filter("public.*"), "cdc.public.*.*");
  EXPECT_EQ(filter("Big.täble"), "cdc.Big.t%C3%A4ble.*");
  EXPECT_EQ(filter(R"("a b"."c.d")"), "cdc.a%20b.c%2Ed.*");
  EXPECT_EQ(filter("_hidden.t"), "cdc.%5Fhidden.t.*");
}

TEST(SubjectFilter, WhatIsNeitherIsRefused) {
  for (const std::string asked : {"orders", "other.public.orders", "other.>", "other.a*", "a b"}) {
    try {
      filter(asked);
      ADD_FAILURE() << asked;
    } catch (const Stop& stop) {
      EXPECT_EQ(stop.code(), Exit::usage) << asked;
    }
  }
}

}  // namespace
}  // namespace connector
