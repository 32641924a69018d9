#include "connector/stored_change.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "connector/json_members.h"

namespace connector {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::pair<Pairs, bool> members_of(std::string_view text) {
  Pairs pairs;
  JsonMembers members(text);
  while (members.next()) pairs.emplace_back(members.name(), members.value());
  return {pairs, members.good()};
}

TEST(JsonMembers, GivesNamesAndTheTextOfValues) {
  const auto [pairs, good] = members_of(
      "{\"a\":1,\"b\":\"x\\\"}\",\"c\":{\"d\":[1,{\"e\":\"]\"}]},\"\\u0041\\n\":null,"
      "\"f\":[],\"g\":-1.5e300}");
  EXPECT_TRUE(good);
  EXPECT_EQ(pairs, (Pairs{{"a", "1"},
                          {"b", "\"x\\\"}\""},
                          {"c", "{\"d\":[1,{\"e\":\"]\"}]}"},
                          {"A\n", "null"},
                          {"f", "[]"},
                          {"g", "-1.5e300"}}));
  EXPECT_EQ(members_of("{}"), (std::pair(Pairs{}, true)));
  EXPECT_EQ(members_of(" { \"a\" : 1 , \"b\" :[ 2 ] } "),
            (std::pair(Pairs{{"a", "1"}, {"b", "[ 2 ]"}}, true)));
}

TEST(JsonMembers, WhatIsNoObjectIsNotGood) {
  for (const char* text :
       {"", "1", "[1]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":\"", "{\"a\":[1",
        "{a:1}", "{\"a\":1 \"b\":2}", "{\"a\":\"\\", "{,}"}) {
    EXPECT_FALSE(members_of(text).second) << text;
  }
}

TEST(StoredChange, ReadsTheJsonRecord) {
  const auto change = parse_change(
      R"({"op":"update","schema":"public","table":"a \"b\"","key":{"id":42},"before":{"id":41},)"
      R"("after":{"id":42,"v":"x"},"unchanged":["doc"],"omitted":["big"],"lsn":"0/1",)"
      R"("commit_lsn":"1/16B3748","seq":3,"tx_last":true,"xid":4000000000,"commit_ts":"…"})");
  ASSERT_TRUE(change);
  EXPECT_EQ(change->kind, StoredChange::Kind::update);
  EXPECT_EQ(change->format, ChangeFormat::json);
  EXPECT_EQ(change->schema, "public");
  EXPECT_EQ(change->table, "a \"b\"");
  EXPECT_EQ(change->key, R"({"id":42})");
  EXPECT_EQ(change->before, R"({"id":41})");
  EXPECT_EQ(change->after, R"({"id":42,"v":"x"})");
  EXPECT_EQ(json_texts(change->unchanged), std::vector<std::string>{"doc"});
  EXPECT_EQ(json_texts(change->omitted), std::vector<std::string>{"big"});
  EXPECT_EQ(change->commit_lsn, pg::Lsn(0x1016B3748));
  EXPECT_EQ(change->xid, pg::TransactionId(4'000'000'000));
}

TEST(StoredChange, ReadsDebeziumsEnvelope) {
  const std::string tail =
      R"("source":{"version":"walferry","ts_ms":1,"schema":"public","table":"t","txId":731,)"
      R"("lsn":17,"xmin":null},"transaction":{"id":"731:23869256","total_order":3},"op":")";
  using Kind = StoredChange::Kind;
  for (const auto& [op, kind] : {std::pair('c', Kind::insert), std::pair('u', Kind::update),
                                 std::pair('d', Kind::remove), std::pair('t', Kind::truncate)}) {
    const std::string record = R"({"before":{"id":1},"after":null,)" + tail + op + "\"}";
    const auto change = parse_change(record);
    ASSERT_TRUE(change);
    EXPECT_EQ(change->kind, kind);
    EXPECT_EQ(change->format, ChangeFormat::debezium);
    EXPECT_EQ(change->schema + "." + change->table, "public.t");
    EXPECT_EQ(change->before, R"({"id":1})");
    EXPECT_EQ(change->after, "");
    EXPECT_EQ(change->commit_lsn, pg::Lsn(23869256));
    EXPECT_EQ(change->xid, pg::TransactionId(731));
  }
  const auto snapshot = parse_change(
      R"({"before":null,"after":{"id":1},"source":{"schema":"s","table":"t","txId":null,"lsn":99},)"
      R"("transaction":null,"op":"r"})");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->kind, Kind::snapshot);
  EXPECT_EQ(snapshot->commit_lsn, pg::Lsn(99));
  EXPECT_EQ(snapshot->xid, pg::TransactionId());
}

TEST(StoredChange, OtherMessagesAreNone) {
  for (const char* text :
       {"", "hello", "{}", R"({"op":"m","source":{"schema":"","table":""}})", R"({"op":"insert"})",
        R"({"op":"insert","schema":"s","table":"t")", "[1,2]"}) {
    EXPECT_FALSE(parse_change(text)) << text;
  }
}

std::vector<std::string> lines(std::vector<publisher::Delivery> messages) {
  MessageLines reader;
  std::vector<std::string> all;
  for (publisher::Delivery& message : messages) {
    reader.take(message, [&](std::string_view line) { all.emplace_back(line); });
  }
  return all;
}

publisher::Delivery message(std::string payload, std::map<std::string, std::string> headers = {}) {
  return {
      .sequence = {}, .subject = "s", .payload = std::move(payload), .headers = std::move(headers)};
}

publisher::Delivery part(std::string payload, int number, int of) {
  return message(std::move(payload), {{"Walferry-Part", std::to_string(number)},
                                      {"Walferry-Parts", std::to_string(of)}});
}

TEST(MessageLines, JoinsPartsAndTakesPacksApart) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines({message("a\nb")}), (Lines{"a\nb"}));
  EXPECT_EQ(lines({message("a\nb\nc", {{"Walferry-Changes", "3"}})}), (Lines{"a", "b", "c"}));
  EXPECT_EQ(lines({part("x", 1, 3), part("y", 2, 3), part("z", 3, 3), message("m")}),
            (Lines{"xyz", "m"}));
  // Of the first one the beginning is gone; the second was begun twice.
  EXPECT_EQ(lines({part("y", 2, 3), part("z", 3, 3), message("m")}), Lines{"m"});
  EXPECT_EQ(lines({part("a", 1, 2), part("b", 1, 2), part("c", 2, 2)}), Lines{"bc"});
  EXPECT_EQ(lines({part("a", 1, 3), part("c", 3, 3), part("d", 1, 2), part("e", 2, 2)}),
            Lines{"de"});
}

}  // namespace
}  // namespace connector
