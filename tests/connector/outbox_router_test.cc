// What becomes of an outbox's row: payload to the byte, headers that cannot pretend to be others.
#include "connector/outbox_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connector/json_value.h"

namespace connector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using Columns = std::vector<OutboxRouter::Column>;
using Texts = std::vector<const char*>;  // nullptr: NULL

const Columns usual{{"id"},         {"aggregate_type"}, {"aggregate_id"},
                    {"event_type"}, {"payload"},        {"headers"}};

OutboxEvent route(const Columns& columns, const Texts& texts, const OutboxConfig& config = {}) {
  const OutboxRouter router(config, columns);
  EXPECT_THAT(router.missing(), IsEmpty());
  std::vector<pg::Value> row;
  for (const char* text : texts) {
    if (text == nullptr) {
      row.emplace_back(pg::Null{});
    } else {
      row.emplace_back(std::string_view(text));
    }
  }
  OutboxEvent event;
  router.route(row, event);
  return event;
}

OutboxEvent with_headers(const char* headers) {
  return route(usual, {"7", "order", "1", "paid", "p", headers});
}

std::string refusal(const Columns& columns, const Texts& texts) {
  try {
    route(columns, texts);
    return "";
  } catch (const BadValue& bad) {
    return bad.what();
  }
}

TEST(OutboxRouter, TakesTheDefaultColumns) {
  const OutboxEvent event =
      route(usual, {"7", "order", "1", "paid", R"({"a": 1.0,  "b":"ü"})", nullptr});
  EXPECT_EQ(event.subject, "events.order.paid");
  EXPECT_EQ(event.body, R"({"a": 1.0,  "b":"ü"})") << "not a byte of it is changed";
  EXPECT_EQ(event.event_id, "7");
  EXPECT_THAT(event.headers, IsEmpty());
}

TEST(OutboxRouter, TakesTheColumnsOfDebeziumsEventRouter) {
  const Columns columns{{"id"}, {"aggregatetype"}, {"aggregateid"}, {"type"}, {"payload"}};
  EXPECT_EQ(route(columns, {"7", "order", "1", "paid", "p"}).subject, "events.order.paid");
  OutboxConfig config;
  config.subject = "e.{aggregate_id}.{type}.{id}";
  EXPECT_EQ(route(columns, {"7", "order", "1", "paid", "p"}, config).subject, "e.1.paid.7");
}

TEST(OutboxRouter, TakesTheColumnsThatAreNamed) {
  OutboxConfig config;
  config.id = "event";
  config.aggregate_type = "kind";
  config.payload = "data";
  config.headers = "meta";
  config.subject = "e.{aggregate_type}.{tenant}";
  const OutboxEvent event =
      route({{"event"}, {"kind"}, {"tenant"}, {"data"}, {"meta"}, {"payload"}},
            {"e1", "k", "t", "d", R"({"x": "y"})", "not this"}, config);
  EXPECT_EQ(event.subject, "e.k.t");
  EXPECT_EQ(event.body, "d");
  EXPECT_EQ(event.event_id, "e1");
  EXPECT_THAT(event.headers, ElementsAre(Pair("x", "y")));
}

TEST(OutboxRouter, SaysWhichColumnsAreMissing) {
  EXPECT_THAT(OutboxRouter({}, Columns{{"id"}}).missing(),
              ElementsAre("aggregate_type", "event_type", "payload"));
  OutboxConfig config;
  config.subject = "e.{tenant}.{tenant}";
  config.headers = "meta";
  EXPECT_THAT(OutboxRouter(config, usual).missing(), ElementsAre("tenant", "meta"));
  config.headers = "";
  config.subject = "e.all";
  EXPECT_THAT(OutboxRouter(config, Columns{{"id"}, {"payload"}}).missing(), IsEmpty());
}

TEST(OutboxRouter, BytesAreBytes) {
  const Columns columns{{"id"}, {"aggregate_type"}, {"event_type"}, {"payload", true}};
  EXPECT_EQ(route(columns, {"1", "a", "b", "\\x00ff0a22"}).body, std::string("\0\xff\n\"", 4));
  EXPECT_EQ(route(columns, {"1", "a", "b", "\\x"}).body, "");
  EXPECT_EQ(route(columns, {"1", "a", "b", nullptr}).body, "");
  EXPECT_THAT(refusal(columns, {"1", "a", "b", "\\001"}), HasSubstr("hex"));
  EXPECT_THAT(refusal(columns, {"1", "a", "b", "\\x0"}), HasSubstr("hex"));
  EXPECT_THAT(refusal(columns, {"1", "a", "b", "\\xzz"}), HasSubstr("hex"));
}

TEST(OutboxRouter, HeadersComeFromJsonAndHstore) {
  EXPECT_THAT(
      with_headers(R"( {"trace": "00-ab", "n": 1, "t": true, "z": null, "o": {"a": [1]}})").headers,
      ElementsAre(Pair("trace", "00-ab"), Pair("n", "1"), Pair("t", "true"), Pair("z", "%"),
                  Pair("o", "%7B%22a%22%3A%20%5B1%5D%7D")));
  EXPECT_THAT(with_headers(R"("a"=>"b\"c", "n"=>NULL)").headers,
              ElementsAre(Pair("a", "b%22c"), Pair("n", "%")));
  EXPECT_THAT(with_headers("{}").headers, IsEmpty());
  EXPECT_THAT(with_headers("").headers, IsEmpty()) << "an empty hstore";
  EXPECT_THAT(with_headers("null").headers, IsEmpty()) << "what jsonb says for nothing";
  EXPECT_THAT(with_headers(" null ").headers, IsEmpty());
  EXPECT_THAT(with_headers(R"({"n": 1e400, "m": -1E+4000})").headers,
              ElementsAre(Pair("n", "1e400"), Pair("m", "-1E%2B4000")));
  for (const char* bad :
       {"[1]", "\"text\"", "1", "{\"a\"", R"({"a": 1} {})", R"({"a": "\ud800"})", R"({"n": 1e})",
        R"({"n": 01e400})", R"({"n": 1e400e400})", R"({"n": 1e400)"}) {
    EXPECT_NE(refusal(usual, {"7", "order", "1", "paid", "p", bad}), "") << bad;
  }
}

TEST(OutboxRouter, NoRowBringsAHeaderOfNatsOrOfWalferry) {
  const OutboxEvent event = with_headers(
      R"({"Nats-Msg-Id": "x", "nats-expected-stream": "x", "WALFERRY-Position": "x",
          "natsy": "1", "a\r\nNats-Msg-Id": "b\r\nc", "": "e", "k:v": "1"})");
  EXPECT_THAT(
      event.headers,
      ElementsAre(Pair("%4Eats-Msg-Id", "x"), Pair("%6Eats-expected-stream", "x"),
                  Pair("%57ALFERRY-Position", "x"), Pair("natsy", "1"),
                  Pair("a%0D%0A%4Eats-Msg-Id", "b%0D%0Ac"), Pair("%", "e"), Pair("k%3Av", "1")));
  EXPECT_EQ(route(usual, {"a\nb", "t", "1", "e", "p", nullptr}).event_id, "a%0Ab");
  EXPECT_EQ(route(usual, {"Nats-Expected-Last-Sequence", "t", "1", "e", "p", nullptr}).event_id,
            "%4Eats-Expected-Last-Sequence");
  EXPECT_THAT(with_headers(R"({"X-Nats-Msg-Id": "Nats-Nats-x nats-"})").headers,
              ElementsAre(Pair("X-%4Eats-Msg-Id", "%4Eats-%4Eats-x%20%6Eats-")));
}

TEST(OutboxRouter, WhatTheServerWouldNotTakeIsRefused) {
  const std::string long_text(OutboxRouter::longest_subject, 'x');
  EXPECT_THAT(refusal(usual, {"7", long_text.c_str(), "1", "paid", "p", nullptr}),
              HasSubstr("subject has"));
  const std::string headers =
      R"({"a": ")" + std::string(OutboxRouter::most_header_bytes, 'x') + R"("})";
  EXPECT_THAT(refusal(usual, {"7", "t", "1", "paid", "p", headers.c_str()}), HasSubstr("headers"));
}

TEST(OutboxRouter, AMessageIsARowInJson) {
  OutboxEvent event;
  route_message({},
                R"({"id": 9, "aggregate_type": "order", "event_type": "p.q",)"
                R"( "payload": {"a": 1.50, "b" : [ ]}, "headers": {"h": "1"}, "more": null})",
                event);
  EXPECT_EQ(event.subject, "events.order.p%2Eq");
  EXPECT_EQ(event.body, R"({"a": 1.50, "b" : [ ]})");
  EXPECT_EQ(event.event_id, "9");
  EXPECT_THAT(event.headers, ElementsAre(Pair("h", "1")));
  route_message({}, R"({"id":"x","aggregatetype":"o","type":"t","payload":"a\nb"})", event);
  EXPECT_EQ(event.subject, "events.o.t");
  EXPECT_EQ(event.body, "a\nb");
  EXPECT_THAT(event.headers, IsEmpty());
  for (const char* bad :
       {"", "text", "[]", R"({"id": 1})", R"({"id": 1)", "\xff",
        R"({"id":1,"aggregate_type":"o","event_type":"t","payload":{"x" oops}})",
        R"({"id":1,"aggregate_type":"o","event_type":"t","payload":1}{"id":2})"}) {
    EXPECT_THROW(route_message({}, bad, event), BadValue) << bad;
  }
}

}  // namespace
}  // namespace connector
