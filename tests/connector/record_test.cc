// Records byte for byte: CONTRACT.md, "The record".
#include "connector/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pg/pgoutput.h"
#include "tests/pg/wire.h"

namespace connector {
namespace {

using pg::Null;
using pg::OldRow;
using pg::ReplicaIdentity;
using pg::Unchanged;
using Values = std::vector<pg::Value>;

constexpr pg::TypeId int4(23);
constexpr pg::TypeId text(25);

// Only what every server has; number 16400 is a domain over int4.
pg::TypeCatalog types([](pg::TypeId type) -> std::optional<pg::TypeRow> {
  if (type != pg::TypeId(16400)) return std::nullopt;
  return pg::TypeRow{.type = 'd', .below = int4, .schema = "public", .name = "public.positive"};
});
StructuredValues values(types);

// id, name and doc; which of them are flagged as the identity's is the caller's word.
pg::Relation orders(ReplicaIdentity identity, std::vector<bool> key) {
  pg::Relation relation;
  relation.id = pg::RelationId(7);
  relation.schema = "public";
  relation.name = "orders";
  relation.identity = identity;
  relation.columns = {{.name = "id", .type = int4, .key = key[0]},
                      {.name = "name", .type = text, .key = key[1]},
                      {.name = "doc", .type = text, .key = key[2]}};
  return relation;
}

const pg::Relation by_key = orders(ReplicaIdentity::primary, {true, false, false});
const pg::Relation in_full = orders(ReplicaIdentity::full, {true, true, true});
const pg::Relation keyless = orders(ReplicaIdentity::nothing, {false, false, false});

TableEncoder encoder(const pg::Relation& relation, const std::vector<std::string>& primary = {}) {
  return TableEncoder(relation, primary, "cdc", values);
}

std::string insert(const TableEncoder& table, const Values& row) {
  std::string out;
  table.insert(out, pg::Insert{nullptr, row});
  return out;
}
std::string update(const TableEncoder& table, OldRow kind, const Values& old, const Values& row) {
  std::string out;
  table.update(out, pg::Update{nullptr, kind, old, row});
  return out;
}
std::string remove(const TableEncoder& table, OldRow kind, const Values& old) {
  std::string out;
  table.remove(out, pg::Delete{nullptr, kind, old});
  return out;
}

const std::string head = R"("schema":"public","table":"orders",)";

TEST(Record, AWholeOneIsTheContractsLine) {
  pg::Relation relation;
  relation.schema = "public";
  relation.name = "orders";
  relation.columns = {{.name = "id", .type = int4, .key = true},
                      {.name = "status", .type = text},
                      {.name = "amount", .type = pg::TypeId(1700)},
                      {.name = "tags", .type = pg::TypeId(114)},
                      {.name = "document", .type = text}};
  TransactionEncoder transaction;
  transaction.begin({.commit_lsn = pg::Lsn(0x16B3748),
                     .commit_time = {848743200123456},
                     .xid = pg::TransactionId(731)});
  EXPECT_EQ(transaction.commit_lsn(), pg::Lsn(0x16B3748));
  std::string out = update(encoder(relation), OldRow::none, {},
                           {"42", "paid", "12.30", R"(["a", "b"])", Unchanged{}});
  transaction.append_position(out, pg::Lsn(0x16B3720), 3);
  transaction.append_end(out, true);
  EXPECT_EQ(out, R"({"op":"update","schema":"public","table":"orders",)"
                 R"("key":{"id":42},)"
                 R"("before":null,)"
                 R"("after":{"id":42,"status":"paid","amount":"12.30","tags":["a","b"]},)"
                 R"("unchanged":["document"],)"
                 R"("lsn":"0/16B3720","commit_lsn":"0/16B3748","seq":3,"tx_last":true,"xid":731,)"
                 R"("commit_ts":"2026-11-23T10:00:00.123456Z"})");
}

TEST(Record, TxLastIsAbsentElsewhere) {
  TransactionEncoder transaction;
  transaction.begin({.commit_lsn = pg::Lsn(0xFEDCBA9876543210), .commit_time = {0}, .xid = {}});
  std::string out;
  transaction.append_position(out, pg::Lsn(), 18446744073709551615U);
  transaction.append_end(out, false);
  EXPECT_EQ(out, R"(,"lsn":"0/0","commit_lsn":"FEDCBA98/76543210","seq":18446744073709551615,)"
                 R"("xid":0,"commit_ts":"2000-01-01T00:00:00.000000Z"})");
}

TEST(Record, BeginReplacesTheTransactionBefore) {
  TransactionEncoder transaction;
  transaction.begin({.commit_lsn = pg::Lsn(1), .commit_time = {1}, .xid = pg::TransactionId(1)});
  transaction.begin({.commit_lsn = pg::Lsn(2), .commit_time = {2}, .xid = pg::TransactionId(2)});
  std::string out;
  transaction.append_position(out, pg::Lsn(2), 1);
  transaction.append_end(out, false);
  EXPECT_EQ(out, R"(,"lsn":"0/2","commit_lsn":"0/2","seq":1,"xid":2,)"
                 R"("commit_ts":"2000-01-01T00:00:00.000002Z"})");
}

TEST(Record, OfAnInsert) {
  EXPECT_EQ(insert(encoder(by_key), {"1", "", Null{}}),
            "{\"op\":\"insert\"," + head +
                R"("key":{"id":1},"before":null,"after":{"id":1,"name":"","doc":null})");
}

TEST(Record, OfATruncate) {
  std::string out;
  encoder(by_key).truncate(out);
  EXPECT_EQ(out, "{\"op\":\"truncate\"," + head + R"("key":null,"before":null,"after":null)");
}

TEST(Record, IsAppended) {
  std::string out = "before";
  encoder(by_key).truncate(out);
  EXPECT_EQ(out.rfind("before{\"op\"", 0), 0U);
}

TEST(Record, OfADeleteHasTheOldKeyAsBefore) {
  EXPECT_EQ(remove(encoder(by_key), OldRow::key, {"1", Null{}, Null{}}),
            "{\"op\":\"delete\"," + head + R"("key":{"id":1},"before":{"id":1},"after":null)");
}

TEST(Record, OfAnUpdateOfTheKeyHasTheOldKeyAsBefore) {
  EXPECT_EQ(update(encoder(by_key), OldRow::key, {"1", Null{}, Null{}}, {"2", "b", "c"}),
            "{\"op\":\"update\"," + head +
                R"("key":{"id":2},"before":{"id":1},"after":{"id":2,"name":"b","doc":"c"})");
}

TEST(Record, AnOldKeyEqualToTheNewIsNoBefore) {
  EXPECT_EQ(update(encoder(by_key), OldRow::key, {"1", Null{}, Null{}}, {"1", "b", "c"}),
            "{\"op\":\"update\"," + head +
                R"("key":{"id":1},"before":null,"after":{"id":1,"name":"b","doc":"c"})");
}

TEST(Record, UnchangedToastIsListedInOrderAndAbsentFromAfter) {
  EXPECT_EQ(update(encoder(by_key), OldRow::none, {}, {"1", Unchanged{}, Unchanged{}}),
            "{\"op\":\"update\"," + head + R"("key":{"id":1},"before":null,"after":{"id":1},)" +
                R"("unchanged":["name","doc"])");
}

TEST(Record, AnOldKeyDoesNotFillOtherColumns) {
  EXPECT_EQ(update(encoder(by_key), OldRow::key, {"1", Null{}, Null{}}, {"2", "b", Unchanged{}}),
            "{\"op\":\"update\"," + head +
                R"("key":{"id":2},"before":{"id":1},"after":{"id":2,"name":"b"},)" +
                R"("unchanged":["doc"])");
}

TEST(Record, AnUnchangedToastKeyIsTakenFromTheOldKey) {
  const pg::Relation relation = orders(ReplicaIdentity::index, {false, true, false});
  EXPECT_EQ(
      update(encoder(relation), OldRow::key, {Null{}, "long", Null{}}, {"1", Unchanged{}, "c"}),
      "{\"op\":\"update\"," + head + R"("key":{"name":"long"},"before":null,)" +
          R"("after":{"id":1,"name":"long","doc":"c"})");
}

TEST(Record, OneOfTwoKeyColumnsChangedAndTheOtherUnchangedToast) {
  const pg::Relation relation = orders(ReplicaIdentity::primary, {true, true, false});
  EXPECT_EQ(update(encoder(relation), OldRow::key, {"1", "long", Null{}}, {"2", Unchanged{}, "c"}),
            "{\"op\":\"update\"," + head +
                R"("key":{"id":2,"name":"long"},"before":{"id":1,"name":"long"},)" +
                R"("after":{"id":2,"name":"long","doc":"c"})");
}

TEST(Record, AnUnchangedToastKeyWithoutAnOldRowIsAnErrorThatNamesTheColumn) {
  const pg::Relation relation = orders(ReplicaIdentity::index, {false, true, false});
  try {
    update(encoder(relation), OldRow::none, {}, {"1", Unchanged{}, "c"});
    FAIL();
  } catch (const BadValue& bad) {
    EXPECT_EQ(std::string(bad.what()).rfind("column name: ", 0), 0U) << bad.what();
  }
}

TEST(Record, UnderFullBeforeIsTheOldRowAndFillsUnchangedToast) {
  EXPECT_EQ(update(encoder(in_full, {"id"}), OldRow::full, {"1", Null{}, "long"},
                   {"1", "b", Unchanged{}}),
            "{\"op\":\"update\"," + head +
                R"("key":{"id":1},"before":{"id":1,"name":null,"doc":"long"},)" +
                R"("after":{"id":1,"name":"b","doc":"long"})");
  EXPECT_EQ(remove(encoder(in_full, {"id"}), OldRow::full, {"1", Null{}, "long"}),
            "{\"op\":\"delete\"," + head +
                R"("key":{"id":1},"before":{"id":1,"name":null,"doc":"long"},"after":null)");
}

TEST(Record, UnderFullTheKeyIsThePrimaryKeyInItsOrderElseNull) {
  const Values row{"1", "n", "d"};
  const auto key_of = [&](const std::vector<std::string>& primary) {
    return nlohmann::ordered_json::parse(insert(encoder(in_full, primary), row) + "}")["key"]
        .dump();
  };
  EXPECT_EQ(key_of({"id"}), R"({"id":1})");
  EXPECT_EQ(key_of({"doc", "id"}), R"({"doc":"d","id":1})");
  EXPECT_EQ(key_of({}), "null");
  EXPECT_EQ(key_of({"id", "dropped"}), "null");  // a key of another time is none
}

TEST(Record, ThePrimaryKeyIsUsedUnderFullOnly) {
  EXPECT_EQ(insert(encoder(keyless, {"id"}), {"1", "n", "d"}),
            "{\"op\":\"insert\"," + head +
                R"("key":null,"before":null,"after":{"id":1,"name":"n","doc":"d"})");
  EXPECT_EQ(insert(encoder(by_key, {"name"}), {"1", "n", "d"}).find(R"("key":{"id":1})"),
            ("{\"op\":\"insert\"," + head).size());
}

TEST(Record, ABadValueNamesItsColumnAndNotItself) {
  try {
    insert(encoder(by_key), {"1", "secret\xFF", Null{}});
    FAIL();
  } catch (const BadValue& bad) {
    const std::string what = bad.what();
    EXPECT_NE(what.find("column name"), std::string::npos) << what;
    EXPECT_EQ(what.find("secret"), std::string::npos) << what;
  }
}

TEST(Record, ADomainIsEncodedAsItsBaseType) {
  pg::Relation relation = by_key;
  relation.columns[0].type = pg::TypeId(16400);
  const std::string out = insert(encoder(relation), {"1", "n", "d"});
  EXPECT_NE(out.find(R"("after":{"id":1,)"), std::string::npos) << out;
}

TEST(Record, NamesAreEscapedInJsonAndInSubjects) {
  pg::Relation relation;
  relation.schema = "_a.b";
  relation.name = "Ä \"*>";
  relation.columns = {{.name = "q\"\\\n", .type = int4}};
  const TableEncoder table = encoder(relation);
  EXPECT_EQ(table.subject(Op::insert), "cdc.%5Fa%2Eb.%C3%84%20%22%2A%3E.insert");
  EXPECT_EQ(table.subject(Op::update), "cdc.%5Fa%2Eb.%C3%84%20%22%2A%3E.update");
  EXPECT_EQ(table.subject(Op::remove), "cdc.%5Fa%2Eb.%C3%84%20%22%2A%3E.delete");
  EXPECT_EQ(table.subject(Op::truncate), "cdc.%5Fa%2Eb.%C3%84%20%22%2A%3E.truncate");
  EXPECT_EQ(update(table, OldRow::none, {}, {Unchanged{}}),
            R"({"op":"update","schema":"_a.b","table":"Ä \"*>","key":null,"before":null,)"
            R"("after":{},"unchanged":["q\"\\\n"])");
}

TEST(Record, TimesBeforeTheEpochAndFarBeyond) {
  EXPECT_EQ(iso_time({-1}), "1999-12-31T23:59:59.999999Z");
  EXPECT_EQ(iso_time({951782399000001 - 946684800000000}), "2000-02-28T23:59:59.000001Z");
  EXPECT_EQ(iso_time({951782400000000 - 946684800000000}), "2000-02-29T00:00:00.000000Z");
  EXPECT_THAT(iso_time({INT64_MIN}), testing::EndsWith("T19:59:05.224192Z"));
  EXPECT_THAT(iso_time({INT64_MAX}), testing::EndsWith("T04:00:54.775807Z"));
}

// The commit times that a real server sent, against what it says of them as text.
TEST(Record, CommitTimesAreThoseThatPostgresPrints) {
  int seen = 0;
  for (const char* capture : pg::all_captures) {
    pg::PgoutputDecoder decoder;
    for (const pg::Captured& message : pg::captured(capture)) {
      const pg::Change change = decoder.decode(message.bytes);
      const auto* begin = std::get_if<pg::Begin>(&change);
      if (begin == nullptr || begin->commit_time == pg::Timestamp{}) continue;
      EXPECT_EQ(iso_time(begin->commit_time), message.commit_time) << capture;
      ++seen;
    }
  }
  EXPECT_GE(seen, 12);
}

// A row of many types as a real server sent it.
TEST(Record, OfARealRow) {
  pg::PgoutputDecoder decoder;
  std::string out;
  for (const pg::Captured& message : pg::captured("kinds")) {
    const pg::Change change = decoder.decode(message.bytes);
    if (const auto* row = std::get_if<pg::Insert>(&change)) {
      encoder(*row->relation).insert(out, *row);
    }
  }
  EXPECT_EQ(out, R"({"op":"insert","schema":"shop","table":"kinds",)"
                 R"("key":{"id":9223372036854775807},"before":null,"after":{)"
                 R"("id":9223372036854775807,"b":true,"i2":-32768,"o":4294967295,)"
                 R"("f4":0.1,"f8":-1.5e-300,"nan":"NaN","n":"12.300",)"
                 R"("j":{"a b":[1,"\" { "]},"jb":"scalar","by":"AAH+/w==","d":"2026-11-23",)"
                 R"("t":"10:00:00.5","ttz":"10:00:00+02","ts":"2026-11-23T10:00:00",)"
                 R"("tstz":"2026-11-23T08:00:00.123456Z","forever":"infinity",)"
                 R"("old":"0044-03-15 12:00:00+00 BC","iv":"P1DT2H3M4S",)"
                 R"("u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","a":[1,null],)"
                 R"("tx":"\"quoted\" \\ \t\u0001 ä€😀"})");
}

}  // namespace
}  // namespace connector
