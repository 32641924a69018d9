// Subjects of outboxes: what a template takes of a stream, and where no value can lead.
#include "connector/subject_template.h"

#include <gtest/gtest.h>

#include <map>

#include "connector/subject.h"

namespace connector {
namespace {

std::string subject(const std::string& text, const std::map<std::string, const char*>& row) {
  const SubjectTemplate made(text);
  std::string out;
  made.append(out, [&](std::size_t i) -> std::optional<std::string_view> {
    const char* value = row.at(made.columns()[i]);
    return value == nullptr ? std::nullopt : std::optional<std::string_view>(value);
  });
  return out;
}

TEST(SubjectTemplate, PutsValuesInTheirPlaces) {
  EXPECT_EQ(subject("events.{a}.{b}", {{"a", "order"}, {"b", "paid"}}), "events.order.paid");
  EXPECT_EQ(subject("x.v1-{a}-{a}.y", {{"a", "o"}}), "x.v1-o-o.y");
  EXPECT_EQ(subject("fixed.words", {}), "fixed.words");
  EXPECT_EQ(subject("e.{odd name}", {{"odd name", "v"}}), "e.v");
}

TEST(SubjectTemplate, NoValueCanAddATokenOrAWildcard) {
  EXPECT_EQ(subject("e.{a}", {{"a", "x.y"}}), "e.x%2Ey");
  EXPECT_EQ(subject("e.{a}", {{"a", "*"}}), "e.%2A");
  EXPECT_EQ(subject("e.{a}", {{"a", ">"}}), "e.%3E");
  EXPECT_EQ(subject("e.{a}", {{"a", "a b\r\nPUB"}}), "e.a%20b%0D%0APUB");
  EXPECT_EQ(subject("e.{a}", {{"a", ""}}), "e.%");
  EXPECT_EQ(subject("e.{a}", {{"a", nullptr}}), "e.%");
  EXPECT_EQ(subject("e.{a}", {{"a", "{b}"}}), "e.%7Bb%7D");
  EXPECT_EQ(subject("e.{a}", {{"a", "%"}}), "e.%25");
}

TEST(SubjectTemplate, TheStreamTakesEveryValue) {
  EXPECT_EQ(SubjectTemplate("events.{a}.{b}").filter(), "events.*.*");
  EXPECT_EQ(SubjectTemplate("events.v-{a}.end").filter(), "events.*.end");
  EXPECT_EQ(SubjectTemplate("events.{a}{b}").filter(), "events.*");
  EXPECT_EQ(SubjectTemplate("plain").filter(), "plain");
}

TEST(SubjectTemplate, SaysWhatIsWrong) {
  for (const char* good : {"events.{a}", "a", "a.b.{c}-d", "a.{with space}"}) {
    EXPECT_EQ(check_subject_template(good), "") << good;
  }
  for (const char* bad : {"", "events.{a", "events.a}", "events.{}", "events.*", "events.>",
                          "{a}.b", "v{a}.b", "events..{a}", "events.", ".a", "two words", "$JS.API",
                          "events.{a}.*", "events.a b{c}", "events.{a}\t"}) {
    EXPECT_NE(check_subject_template(bad), "") << bad;
  }
}

TEST(Subjects, OverlapAndCover) {
  EXPECT_TRUE(subjects_overlap("a.*", "*.b"));
  EXPECT_TRUE(subjects_overlap("a.>", "a.b.c"));
  EXPECT_FALSE(subjects_overlap("a.>", "a"));
  EXPECT_FALSE(subjects_overlap("a.b", "a.c"));
  EXPECT_TRUE(subject_covers("a.>", "a.*.c"));
  EXPECT_TRUE(subject_covers("a.*", "a.b"));
  EXPECT_TRUE(subject_covers("a.*", "a.*"));
  EXPECT_FALSE(subject_covers("a.b", "a.*"));
  EXPECT_FALSE(subject_covers("a.*", "a.>"));
  EXPECT_FALSE(subject_covers("a.*", "a.b.c"));
  EXPECT_FALSE(subject_covers("a.>", "a"));
}

}  // namespace
}  // namespace connector
