// The decoder on what a real server sent (tests/wire), whole and cut at every length.
#include "pg/pgoutput.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/pg/wire.h"

namespace pg {
namespace {

// A row as text: NULL, UNCHANGED, or the bytes in quotes; long runs shortened.
std::string text_of(Row row) {
  std::string text;
  for (const Value& value : row) {
    if (!text.empty()) text += ' ';
    if (std::holds_alternative<Null>(value)) {
      text += "NULL";
    } else if (std::holds_alternative<Unchanged>(value)) {
      text += "UNCHANGED";
    } else {
      const auto bytes = std::get<std::string_view>(value);
      text += bytes.size() > 1000
                  ? std::string(bytes.substr(0, 1)) + "*" + std::to_string(bytes.size())
                  : "'" + std::string(bytes) + "'";
    }
  }
  return text;
}

const char* name_of(OldRow kind) {
  return kind == OldRow::none ? "none" : kind == OldRow::key ? "key" : "full";
}

struct Describe {
  std::string operator()(const Begin&) const { return "begin"; }
  std::string operator()(const Commit&) const { return "commit"; }
  std::string operator()(const Insert& c) const {
    return "insert " + c.relation->name + ": " + text_of(c.row);
  }
  std::string operator()(const Update& c) const {
    return "update " + c.relation->name + " " + name_of(c.old_kind) + ": " + text_of(c.old) +
           " -> " + text_of(c.row);
  }
  std::string operator()(const Delete& c) const {
    return "delete " + c.relation->name + " " + name_of(c.old_kind) + ": " + text_of(c.old);
  }
  std::string operator()(const Truncate& c) const {
    std::string text = "truncate";
    for (const Relation* relation : c.relations) text += " " + relation->name;
    return text + (c.cascade ? " cascade" : "") + (c.restart_identity ? " restart" : "");
  }
  std::string operator()(const Message& c) const {
    return "message " + std::string(c.prefix) + (c.transactional ? " inside" : " outside") + ": " +
           std::string(c.content);
  }
  std::string operator()(const RelationSeen& c) const {
    std::string text = "relation " + c.relation->schema + "." + c.relation->name + " " +
                       static_cast<char>(c.relation->identity) + ":";
    for (const Column& column : c.relation->columns) {
      text += " " + column.name + (column.key ? "*" : "");
    }
    return text;
  }
  std::string operator()(const TypeSeen& c) const {
    return "type " + std::string(c.schema) + "." + std::string(c.name);
  }
  std::string operator()(const Origin& c) const {
    return "origin " + std::string(c.name) + " " + to_string(c.origin_lsn);
  }
};

std::vector<std::string> decoded(const std::string& capture) {
  PgoutputDecoder decoder;
  std::vector<std::string> result;
  for (const Captured& message : captured(capture)) {
    result.push_back(std::visit(Describe(), decoder.decode(message.bytes)));
  }
  return result;
}

using Lines = std::vector<std::string>;

TEST(Pgoutput, RowsOfATableWithAKey) {
  EXPECT_EQ(
      decoded("rows"),
      (Lines{"begin", "type shop.mood", "relation shop.orders d: id* status note feeling",
             "insert orders: '1' '' NULL 'glad'", "insert orders: '2' 'new' 'two\nlines' NULL",
             "update orders none:  -> '1' 'paid' NULL 'glad'",
             "update orders key: '2' NULL NULL NULL -> '3' 'new' 'two\nlines' NULL",
             "delete orders key: '3' NULL NULL NULL", "commit"}));
}

TEST(Pgoutput, UnchangedToastIsNeitherNullNorText) {
  const Lines lines = decoded("toast");
  ASSERT_EQ(lines.size(), 17U);
  EXPECT_EQ(Lines(lines.begin() + 12, lines.end()),
            (Lines{"begin", "update documents none:  -> '1' UNCHANGED '2'",
                   "update full_rows full: '1' f*2100 '1' -> '1' UNCHANGED '2'",
                   "update by_index key: NULL k*2100 NULL -> '1' UNCHANGED '2'", "commit"}));
}

TEST(Pgoutput, UnderFullTheOldRowIsWhole) {
  EXPECT_EQ(decoded("full"), (Lines{"begin", "relation shop.full_rows f: id* body* version*",
                                    "insert full_rows: '2' '' NULL", "commit", "begin",
                                    "update full_rows full: '2' '' NULL -> '2' '' '3'",
                                    "delete full_rows full: '2' '' '3'", "commit"}));
}

TEST(Pgoutput, UnderAnIndexTheOldKeyIsItsColumns) {
  EXPECT_EQ(decoded("by_index"),
            (Lines{"begin", "relation shop.by_index i: a b* c", "insert by_index: '2' 'two' '2'",
                   "update by_index key: NULL 'two' NULL -> '2' 'zwei' '2'",
                   "delete by_index key: NULL 'zwei' NULL", "commit"}));
}

TEST(Pgoutput, WithoutAnIdentityNoColumnIsAKey) {
  EXPECT_EQ(decoded("identities"),
            (Lines{"begin", "relation shop.appended d: line",
                   "insert appended: 'by default, without a key'", "relation shop.nameless n: line",
                   "insert nameless: 'by none'", "commit"}));
}

TEST(Pgoutput, OneTruncateOfSeveralTables) {
  const Lines lines = decoded("truncate");
  EXPECT_EQ(lines.at(3), "truncate documents full_rows");
  EXPECT_EQ(lines.at(7), "truncate orders parts cascade restart");
}

TEST(Pgoutput, LogicalMessagesInsideAndOutsideATransaction) {
  const Lines lines = decoded("messages");
  EXPECT_EQ(lines.at(0), "message audit outside: ");
  EXPECT_EQ(lines.at(2), "message outbox inside: " + std::string("\0\xff\"\x10", 4));
}

TEST(Pgoutput, TheOriginOfATransaction) {
  EXPECT_EQ(decoded("origin").at(1), "origin elsewhere 0/ABCD1234");
}

TEST(Pgoutput, TheNewestRelationWinsWithinATransaction) {
  EXPECT_EQ(decoded("altered"),
            (Lines{"begin", "relation shop.parts d: id* order_id", "insert parts: '1' NULL",
                   "relation shop.parts d: id* order_id weight", "insert parts: '2' NULL '1.50'",
                   "commit"}));
}

TEST(Pgoutput, TypesAndModifiersOfColumns) {
  PgoutputDecoder decoder;
  const Relation* orders = nullptr;
  TypeId mood;
  for (const Captured& message : captured("rows")) {
    const Change change = decoder.decode(message.bytes);
    if (const auto* type = std::get_if<TypeSeen>(&change)) mood = type->type;
    if (const auto* seen = std::get_if<RelationSeen>(&change)) orders = seen->relation;
  }
  ASSERT_NE(orders, nullptr);
  EXPECT_EQ(orders->columns.at(0).type, TypeId(23));
  EXPECT_EQ(orders->columns.at(0).modifier, -1);
  EXPECT_EQ(orders->columns.at(1).type, TypeId(1043));
  EXPECT_EQ(orders->columns.at(1).modifier, 24);  // varchar(20), and four
  EXPECT_EQ(orders->columns.at(3).type, mood);
}

// Postgres names begin and end of a transaction beside the bytes, as text.
TEST(Pgoutput, PositionsAndXidsAreThoseThatPostgresPrints) {
  for (const char* capture : all_captures) {
    PgoutputDecoder decoder;
    Begin begin;
    for (const Captured& message : captured(capture)) {
      const Change change = decoder.decode(message.bytes);
      if (const auto* b = std::get_if<Begin>(&change)) {
        begin = *b;
        EXPECT_EQ(std::to_string(begin.xid.value), message.xid) << capture;
      } else if (const auto* commit = std::get_if<Commit>(&change)) {
        EXPECT_EQ(to_string(commit->end_lsn), message.lsn) << capture;
        EXPECT_EQ(commit->commit_lsn, begin.commit_lsn) << capture;
        EXPECT_EQ(commit->commit_time, begin.commit_time) << capture;
        EXPECT_LT(commit->commit_lsn, commit->end_lsn) << capture;
      } else if (const auto* emitted = std::get_if<Message>(&change)) {
        EXPECT_EQ(to_string(emitted->lsn), message.lsn) << capture;
      }
    }
  }
}

// Each message is cut at every length, by a decoder that knows all the relations before it.
TEST(Pgoutput, AMessageCutAnywhereIsAnError) {
  for (const char* capture : all_captures) {
    PgoutputDecoder decoder;
    for (const Captured& message : captured(capture)) {
      const std::string_view whole = message.bytes;
      for (std::size_t length = 0; length < whole.size(); ++length) {
        const std::string cut(whole.substr(0, length));  // so that reading on is seen
        EXPECT_THROW(decoder.decode(cut), ProtocolError) << capture << " at " << length;
      }
      EXPECT_NO_THROW(decoder.decode(whole)) << capture;
    }
  }
}

TEST(Pgoutput, BytesBeyondTheEndAreAnError) {
  for (const char* capture : all_captures) {
    PgoutputDecoder decoder;
    for (const Captured& message : captured(capture)) {
      EXPECT_THROW(decoder.decode(message.bytes + '\0'), ProtocolError) << capture;
      EXPECT_THROW(decoder.decode(message.bytes + message.bytes), ProtocolError) << capture;
      decoder.decode(message.bytes);
    }
  }
}

// A failed Relation message must not have replaced the one before.
TEST(Pgoutput, ABadRelationMessageLeavesTheOldShape) {
  PgoutputDecoder decoder;
  const auto messages = captured("altered");
  for (std::size_t i = 0; i < 3; ++i) decoder.decode(messages[i].bytes);
  const std::string& widened = messages[3].bytes;
  EXPECT_THROW(decoder.decode(widened.substr(0, widened.size() - 1)), ProtocolError);
  EXPECT_EQ(std::visit(Describe(), decoder.decode(messages[2].bytes)), "insert parts: '1' NULL");
}

TEST(Pgoutput, EveryOtherTagIsAnError) {
  for (int tag = 0; tag < 256; ++tag) {
    std::string message(65, '\0');
    message.front() = static_cast<char>(tag);
    EXPECT_THROW(PgoutputDecoder().decode(message), ProtocolError) << tag;
  }
}

std::string error_of(PgoutputDecoder& decoder, const std::string& message) {
  try {
    decoder.decode(message);
    return "";
  } catch (const ProtocolError& error) {
    return error.what();
  }
}

TEST(Pgoutput, ErrorsSayTagAndOffset) {
  PgoutputDecoder decoder;
  EXPECT_EQ(error_of(decoder, "Z"), "unknown message 'Z' (0x5A) at byte 0");
  EXPECT_EQ(error_of(decoder, std::string(1, '\xE9')), "unknown message '?' (0xE9) at byte 0");

  const auto messages = captured("rows");
  decoder.decode(messages[2].bytes);
  std::string insert = messages[3].bytes;
  insert[5] = 'X';
  EXPECT_EQ(error_of(decoder, insert), "unknown tuple kind 'X' (0x58) at byte 5");
  insert = messages[3].bytes;
  insert[8] = 'b';  // binary was not asked for
  EXPECT_EQ(error_of(decoder, insert), "unknown column kind 'b' (0x62) at byte 8");
  insert = messages[3].bytes;
  insert[7] = 3;
  EXPECT_EQ(error_of(decoder, insert), "a row of 3 columns at byte 6, where shop.orders has 4");

  std::string relation = messages[2].bytes;
  relation[17] = 'q';  // behind tag, id, "shop" and "orders"
  EXPECT_EQ(error_of(decoder, relation), "unknown replica identity 'q' (0x71) at byte 17");
}

TEST(Pgoutput, AnOldRowInPlaceOfANewOneIsAnError) {
  PgoutputDecoder decoder;
  const auto messages = captured("rows");
  decoder.decode(messages[2].bytes);
  std::string update = messages[5].bytes;
  update[5] = 'K';  // an old row, and then nothing
  EXPECT_THROW(decoder.decode(update), ProtocolError);
  std::string remove = messages[7].bytes;
  remove[5] = 'N';
  EXPECT_EQ(error_of(decoder, remove), "unknown tuple kind 'N' (0x4E) at byte 5");
}

TEST(Pgoutput, AChangeToAnUnannouncedRelationIsAnError) {
  for (const char* capture : {"rows", "full", "truncate"}) {
    for (const Captured& message : captured(capture)) {
      const char tag = message.bytes.front();
      if (tag != 'I' && tag != 'U' && tag != 'D' && tag != 'T') continue;
      PgoutputDecoder decoder;
      EXPECT_NE(error_of(decoder, message.bytes).find("never announced"), std::string::npos);
    }
  }
}

// Announced lengths near 2^32 must neither wrap nor be allocated.
TEST(Pgoutput, AnnouncedLengthsAreNotTrusted) {
  const std::string head("M\0\0\0\0\0\1\2\3\4p\0", 12);
  PgoutputDecoder decoder;
  EXPECT_THROW(decoder.decode(head + "\xff\xff\xff\xff" + "x"), ProtocolError);
  EXPECT_THROW(decoder.decode(std::string("T\xff\xff\xff\xff\0", 6)), ProtocolError);
  EXPECT_THROW(decoder.decode(std::string("R\0\0\0\1s\0t\0d\xff\xff", 12)), ProtocolError);
}

TEST(Pgoutput, AnEmptySchemaIsPgCatalog) {
  PgoutputDecoder decoder;
  const Change change = decoder.decode(std::string("R\0\0\0\1\0t\0d\0\0", 11));
  EXPECT_EQ(std::get<RelationSeen>(change).relation->schema, "pg_catalog");
}

TEST(Pgoutput, RowsBorrowFromTheMessage) {
  PgoutputDecoder decoder;
  const auto messages = captured("rows");
  decoder.decode(messages[2].bytes);
  const std::string& bytes = messages[4].bytes;
  const Change change = decoder.decode(bytes);
  const auto status = std::get<std::string_view>(std::get<Insert>(change).row[1]);
  EXPECT_GE(status.data(), bytes.data());
  EXPECT_LE(status.data() + status.size(), bytes.data() + bytes.size());
}

}  // namespace
}  // namespace pg
