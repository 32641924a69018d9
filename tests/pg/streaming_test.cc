// The messages that frame parts of transactions, as a real server sent them and cut at every
// length.
#include "pg/streaming.h"

#include <gtest/gtest.h>

#include <string>

#include "pg/byte_reader.h"
#include "pg/pgoutput.h"
#include "tests/pg/wire.h"

namespace pg {
namespace {

std::string text_of(const std::string& bytes) {
  const auto message = parse_stream_message(bytes);
  if (!message) return "";
  if (const auto* start = std::get_if<StreamStart>(&*message)) {
    return "start " + std::to_string(start->xid.value) + (start->first ? " first" : "");
  }
  if (const auto* abort = std::get_if<StreamAbort>(&*message)) {
    return "abort " + std::to_string(abort->xid.value) + " " + std::to_string(abort->sub.value);
  }
  if (const auto* commit = std::get_if<StreamCommit>(&*message)) {
    return "commit " + std::to_string(commit->xid.value);
  }
  return "stop";
}

TEST(Streaming, TheFramesThatAServerSent) {
  std::string frames;
  for (const Captured& message : captured("streamed")) {
    const std::string text = text_of(message.bytes);
    if (!text.empty() && text != "stop") frames += text + "\n";
  }
  EXPECT_EQ(frames,
            "start 761 first\nstart 762 first\nstart 762\nstart 762\nstart 764 first\n"
            "abort 762 763\nstart 764\nstart 762\nstart 761\nstart 761\nabort 764 764\n"
            "start 762\ncommit 762\nstart 761\ncommit 761\n");
}

TEST(Streaming, ACommitHasThePositionsThatPostgresPrints) {
  int commits = 0;
  for (const Captured& message : captured("streamed")) {
    const auto parsed = parse_stream_message(message.bytes);
    if (!parsed || !std::holds_alternative<StreamCommit>(*parsed)) continue;
    const StreamCommit& commit = std::get<StreamCommit>(*parsed);
    EXPECT_EQ(to_string(commit.commit.end_lsn), message.lsn);
    EXPECT_EQ(std::to_string(commit.xid.value), message.xid);
    EXPECT_LT(commit.commit.commit_lsn, commit.commit.end_lsn);
    PgoutputDecoder decoder;
    const std::string begin_bytes = begin_message(commit);
    const auto begin = std::get<Begin>(decoder.decode(begin_bytes));
    EXPECT_EQ(begin.commit_lsn, commit.commit.commit_lsn);
    EXPECT_EQ(begin.commit_time, commit.commit.commit_time);
    EXPECT_EQ(begin.xid, commit.xid);
    const std::string commit_bytes = commit_message(commit);
    const auto end = std::get<Commit>(decoder.decode(commit_bytes));
    EXPECT_EQ(end.commit_lsn, commit.commit.commit_lsn);
    EXPECT_EQ(end.end_lsn, commit.commit.end_lsn);
    EXPECT_EQ(end.commit_time, commit.commit.commit_time);
    ++commits;
  }
  EXPECT_EQ(commits, 2);
}

TEST(Streaming, AFrameThatIsCutOrTooLongIsAnError) {
  for (const Captured& message : captured("streamed")) {
    if (text_of(message.bytes).empty()) continue;
    for (std::size_t length = 1; length < message.bytes.size(); ++length) {
      const std::string cut = message.bytes.substr(0, length);
      EXPECT_THROW(parse_stream_message(cut), ProtocolError) << message.bytes[0] << length;
    }
    EXPECT_THROW(parse_stream_message(message.bytes + '\0'), ProtocolError) << message.bytes[0];
  }
}

TEST(Streaming, WhatIsNoFrameIsLeftToTheDecoder) {
  EXPECT_FALSE(parse_stream_message(""));
  for (const char* capture : all_captures) {
    for (const Captured& message : captured(capture)) {
      EXPECT_FALSE(parse_stream_message(message.bytes)) << capture;
    }
  }
}

TEST(Streaming, AMessageInABlockIsOneOfProtocol1AfterItsXid) {
  const std::string insert("I\0\0\2\xfb\0\0@$N", 10);
  const InStream split = split_in_stream(insert, TransactionId(762));
  EXPECT_EQ(split.xid, TransactionId(763));
  EXPECT_EQ(std::string(split.tag) + std::string(split.rest), std::string("I\0\0@$N", 6));
  for (std::size_t length = 0; length < 5; ++length) {
    const std::string cut = insert.substr(0, length);
    EXPECT_THROW(split_in_stream(cut, TransactionId(762)), ProtocolError) << length;
  }
}

TEST(Streaming, OriginHasNoXidOfItsOwn) {
  const std::string origin("O\0\0\0\0\0\0\0\0elsewhere\0", 19);
  const InStream split = split_in_stream(origin, TransactionId(762));
  EXPECT_EQ(split.xid, TransactionId(762));
  EXPECT_EQ(std::string(split.tag) + std::string(split.rest), origin);
}

TEST(Streaming, NothingElseMayStandInABlock) {
  for (int tag = 0; tag < 256; ++tag) {
    std::string message(9, '\0');
    message.front() = static_cast<char>(tag);
    const bool known = std::string("ORYIUDTM").find(message.front()) != std::string::npos;
    if (known) {
      EXPECT_NO_THROW(split_in_stream(message, TransactionId(1))) << tag;
    } else {
      EXPECT_THROW(split_in_stream(message, TransactionId(1)), ProtocolError) << tag;
    }
  }
}

TEST(Streaming, TheRelationThatIsDescribed) {
  EXPECT_EQ(relation_described(std::string("R\0\0@$s", 6)), RelationId(0x4024));
  EXPECT_FALSE(relation_described(std::string("I\0\0@$s", 6)));
  EXPECT_FALSE(relation_described(""));
  EXPECT_THROW(relation_described(std::string("R\0\0@", 4)), ProtocolError);
}

}  // namespace
}  // namespace pg
