#include "connector/record_line.h"

#include <gtest/gtest.h>

#include <string>

namespace connector {
namespace {

std::string line(const std::string& payload) {
  return record_line("cdc.public.orders.update", payload, {});
}

std::string diff(const std::string& payload) {
  return record_diff("cdc.public.orders.update", payload, {});
}

// A record with these parts, as walferry writes it.
std::string record(const std::string& op, const std::string& key, const std::string& before,
                   const std::string& after, const std::string& more = "") {
  return R"({"op":")" + op + R"(","schema":"public","table":"orders","key":)" + key +
         R"(,"before":)" + before + R"(,"after":)" + after + more +
         R"(,"lsn":"0/16B3720","commit_lsn":"0/16B3748","seq":3,"tx_last":true,"xid":731,)"
         R"("commit_ts":"2026-11-23T10:00:00.123456Z"})";
}

TEST(RecordLine, OfAnInsertHasTimeKeyTheOtherColumnsAndPosition) {
  EXPECT_EQ(line(record("insert", R"({"id":1})", "null", R"({"id":1,"status":"new","n":null})")),
            "2026-11-23 10:00:00.123  insert    public.orders  id=1  status=new n=null  "
            "0/16B3748:3 commit");
}

TEST(RecordLine, OfAnUpdateWithoutTheOldRowHasTheWholeNewOne) {
  EXPECT_EQ(line(record("update", R"({"id":1})", "null", R"({"id":1,"a":"x","b":2})",
                        R"(,"unchanged":["doc"])")),
            "2026-11-23 10:00:00.123  update    public.orders  id=1  a=x b=2 doc=(unchanged)  "
            "0/16B3748:3 commit");
}

TEST(RecordLine, OfAnUpdateWithTheOldRowHasOnlyWhatChanged) {
  EXPECT_EQ(line(record("update", R"({"id":1})", R"({"id":1,"a":"x","b":2,"c":"12.30"})",
                        R"({"id":1,"a":"x","b":3,"c":"12.3"})")),
            "2026-11-23 10:00:00.123  update    public.orders  id=1  b=2→3 c=12.30→12.3  "
            "0/16B3748:3 commit");
}

TEST(RecordLine, OfAnUpdateOfTheKeyShowsTheOldKeyAndTheNewRow) {
  EXPECT_EQ(line(record("update", R"({"id":2})", R"({"id":1})", R"({"id":2,"a":"x"})")),
            "2026-11-23 10:00:00.123  update    public.orders  id=1→2  a=x  0/16B3748:3 commit");
}

TEST(RecordLine, OfADeleteHasTheKeyAndWhatElseIsKnownOfTheRow) {
  EXPECT_EQ(line(record("delete", R"({"id":1})", R"({"id":1})", "null")),
            "2026-11-23 10:00:00.123  delete    public.orders  id=1  0/16B3748:3 commit");
  EXPECT_EQ(line(record("delete", R"({"id":1})", R"({"id":1,"a":"x"})", "null")),
            "2026-11-23 10:00:00.123  delete    public.orders  id=1  a=x  0/16B3748:3 commit");
}

TEST(RecordLine, OfATruncateOrAKeylessRowHasNoKey) {
  EXPECT_EQ(line(record("truncate", "null", "null", "null")),
            "2026-11-23 10:00:00.123  truncate  public.orders  0/16B3748:3 commit");
  EXPECT_EQ(line(record("insert", "null", "null", R"({"a":1})")),
            "2026-11-23 10:00:00.123  insert    public.orders  a=1  0/16B3748:3 commit");
}

TEST(RecordLine, InsideATransactionDoesNotSayCommit) {
  std::string payload = record("truncate", "null", "null", "null");
  payload.replace(payload.find(R"("tx_last":true,)"), 15, "");
  EXPECT_EQ(line(payload).find("commit"), std::string::npos);
}

TEST(RecordLine, QuotesStringsThatCouldBeTakenForSomethingElse) {
  const std::string text = line(record(
      "insert", "null", "null",
      R"({"a":"two words","b":"","c":"null","d":"true","e":"x=y","f":{"g":[1,"h"]},"i":"ä"})"));
  EXPECT_NE(text.find(R"(a="two words" b="" c="null" d="true" e="x=y" f={"g":[1,"h"]} i=ä  )"),
            std::string::npos)
      << text;
}

TEST(RecordLine, CutsLongValuesBetweenCharactersAndSaysTheirSize) {
  std::string value;
  for (int i = 0; i < 1000; ++i) value += "ä";
  const std::string text = line(record("insert", "null", "null", R"({"a":")" + value + R"("})"));
  EXPECT_NE(text.find("ä…(2.0 KiB)"), std::string::npos) << text;
  EXPECT_LT(text.size(), 200U);
}

TEST(RecordLine, SendsNoControlCharacterToTheTerminal) {
  const std::string text = line(record(
      "insert", "null", "null", "{\"a\\u001b[31m\":\"x\\u001b]0;t\\u0007\\u007f\\u009b\\n\"}"));
  for (const char c : text) {
    EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F) << text;
  }
  EXPECT_EQ(text.find("\xC2\x9B"), std::string::npos) << text;
}

TEST(RecordLine, ColoursTheOperationAndEndsEveryColour) {
  const Palette palette = colours();
  const std::string text = record_line("s", record("delete", "null", "null", "null"), palette);
  EXPECT_NE(text.find("\x1b[31mdelete"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with(palette.plain)) << text;
}

TEST(RecordLine, OfASchemaRecordNamesItsColumns) {
  const std::string text = record_line(
      "cdc._schema.public.t",
      R"({"columns":[{"name":"id","type":"integer","type_oid":23,"key":true},)"
      R"({"name":"v","type":null,"type_oid":9,"key":false}],"identity":"default","lsn":"0/1"})",
      {});
  EXPECT_TRUE(text.ends_with("schema    cdc._schema.public.t  id integer, v ?")) << text;
}

// An envelope of Debezium's with these parts.
std::string envelope(const std::string& op, const std::string& before, const std::string& after) {
  return R"({"before":)" + before + R"(,"after":)" + after +
         R"(,"source":{"ts_us":1795428000123456,"schema":"public","table":"orders"},)"
         R"("transaction":{"id":"731:23869256","total_order":3},"op":")" +
         op + R"("})";
}

TEST(RecordLine, OfADebeziumEnvelopeReadsTheSame) {
  EXPECT_EQ(line(envelope("c", "null", R"({"id":1,"n":null})")),
            "2026-11-23 10:00:00.123  insert    public.orders  id=1 n=null  0/16C3748:3");
  EXPECT_EQ(line(envelope("u", R"({"id":1,"a":"x"})", R"({"id":1,"a":"y"})")),
            "2026-11-23 10:00:00.123  update    public.orders  a=x→y  0/16C3748:3");
  EXPECT_EQ(line(envelope("d", R"({"id":1,"n":null})", "null")),
            "2026-11-23 10:00:00.123  delete    public.orders  id=1  0/16C3748:3");
  EXPECT_EQ(line(envelope("t", "null", "null")),
            "2026-11-23 10:00:00.123  truncate  public.orders  0/16C3748:3");
  for (const char* wrong : {"x", "cc"}) {
    EXPECT_NE(line(envelope(wrong, "null", "null")).find("message   cdc.public"),
              std::string::npos);
  }
}

TEST(RecordDiff, HasALineForEachColumnThatChanged) {
  const std::string head =
      "2026-11-23 10:00:00.123  update    public.orders  id=1  0/16B3748:3 commit";
  EXPECT_EQ(diff(record("update", R"({"id":1})", R"({"id":1,"a":"x","b":2,"long":"1"})",
                        R"({"id":1,"a":"x","b":3,"long":null})")),
            head + "\n    b     2 → 3\n    long  1 → null");
  EXPECT_EQ(diff(record("update", R"({"id":1})", R"({"id":1,"a":"x"})", R"({"id":1,"a":"x"})")),
            head + "\n    (no value changed)");
}

TEST(RecordDiff, SaysWhatIsKnownWithoutTheOldRow) {
  EXPECT_EQ(diff(record("update", R"({"id":2})", R"({"id":1})", R"({"id":2,"a":"x"})",
                        R"(,"unchanged":["doc"])")),
            "2026-11-23 10:00:00.123  update    public.orders  id=1→2  0/16B3748:3 commit\n"
            "    a    → x\n    doc  (unchanged)");
  EXPECT_TRUE(diff(record("update", R"({"id":1})", "null", R"({"id":1})"))
                  .ends_with("\n    (the key alone)"));
}

TEST(RecordDiff, ColoursOldAndNew) {
  const std::string text =
      record_diff("s", record("update", "null", R"({"a":"x"})", R"({"a":"y"})"), colours());
  EXPECT_NE(text.find("\n    a  \x1b[31mx\x1b[0m → \x1b[32my\x1b[0m"), std::string::npos) << text;
}

TEST(RecordDiff, OfAnythingElseIsItsLine) {
  for (const std::string& payload :
       {record("insert", R"({"id":1})", "null", R"({"id":1,"a":"x"})"),
        record("delete", R"({"id":1})", R"({"id":1,"a":"x"})", "null"), std::string("no json")}) {
    EXPECT_EQ(diff(payload), line(payload));
  }
}

TEST(RecordLine, OfAnythingElseIsItsSubjectAndSize) {
  for (const char* payload : {"", "no json", "[1]", "{\"op\":1}", "{\"op\":\"insert\"}", "{}"}) {
    const std::string text = record_line("cdc._message.audit", payload, {});
    EXPECT_NE(text.find("message   cdc._message.audit  "), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with(" B")) << text;
  }
}

TEST(EventLine, ShowsTextAndCountsBytes) {
  EXPECT_EQ(event_line("events.o.new", "7", "2026-11-23T10:00:00.123456Z", "{\"a\": 1}", {}),
            "2026-11-23 10:00:00.123  event     events.o.new  id=7  {\"a\": 1}");
  EXPECT_EQ(event_line("events.o.new", "7", "", "\xff\xfe", {}),
            "                         event     events.o.new  id=7  2 B");
  EXPECT_EQ(event_line("e", "%1B", "", "a\x1b[31m", {}).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace connector
