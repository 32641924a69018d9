#include "pg/types.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "pg/byte_reader.h"

namespace pg {
namespace {

constexpr std::uint64_t all_bits = std::numeric_limits<std::uint64_t>::max();

TEST(Lsn, ReadsAndPrintsAsPostgresDoes) {
  for (const char* text : {"0/0", "0/16B3748", "1/0", "FFFFFFFF/FFFFFFFF", "A/1"}) {
    const auto lsn = parse_lsn(text);
    ASSERT_TRUE(lsn) << text;
    EXPECT_EQ(to_string(*lsn), text);
  }
  EXPECT_EQ(parse_lsn("16/b374d848"), Lsn(0x16B374D848));
  EXPECT_EQ(parse_lsn("00000016/0000D848"), Lsn(0x160000D848));
}

TEST(Lsn, TakesNothingElse) {
  for (const char* text : {"", "/", "0", "0/", "/0", "0/0/0", "x/0", "0/x", " 0/0", "0/0 ", "-1/0",
                           "+1/0", "0x1/0", "000000000/0", "0/100000000"}) {
    EXPECT_FALSE(parse_lsn(text)) << text;
  }
}

TEST(Lsn, AsSixteenDigits) {
  EXPECT_EQ(to_hex16(Lsn(0x16B3748)), "00000000016B3748");
  EXPECT_EQ(parse_hex16("00000000016B3748"), Lsn(0x16B3748));
  EXPECT_EQ(parse_hex16(to_hex16(Lsn(all_bits))), Lsn(all_bits));
  for (const char* text : {"", "16B3748", "00000000016B374", "000000000016B3748",
                           "00000000016B374G", "-0000000016B3748"}) {
    EXPECT_FALSE(parse_hex16(text)) << text;
  }
}

TEST(Lsn, SubtractsToBytesAndNeverBelowZero) {
  EXPECT_EQ(Lsn(30) - Lsn(10), 20U);
  EXPECT_EQ(Lsn(10) - Lsn(30), 0U);
  EXPECT_EQ(Lsn(all_bits) - Lsn(), all_bits);
}

TEST(Position, IsOrderedByCommitAndThenByOrdinal) {
  EXPECT_LT((Position{Lsn(1), 9}), (Position{Lsn(2), 1}));
  EXPECT_LT((Position{Lsn(2), 1}), (Position{Lsn(2), 2}));
  EXPECT_EQ((Position{Lsn(2), 2}), (Position{Lsn(2), 2}));
}

TEST(ByteReader, ReadsBigEndianOfEveryWidth) {
  ByteReader in(
      std::string_view("\x01\xFE\xDC\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x23\x45\x67", 15));
  EXPECT_EQ(in.read<std::uint8_t>(), 0x01U);
  EXPECT_EQ(in.read<std::uint16_t>(), 0xFEDCU);
  EXPECT_EQ(in.read<std::uint32_t>(), 0x01234567U);
  EXPECT_EQ(in.read<std::uint64_t>(), 0x89ABCDEF01234567U);
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_EQ(in.offset(), 15U);
}

TEST(ByteReader, ReadsStringsToTheirZero) {
  ByteReader in(std::string_view("ab\0\0c\0d", 7));
  EXPECT_EQ(in.c_string(), "ab");
  EXPECT_EQ(in.c_string(), "");
  EXPECT_EQ(in.c_string(), "c");
  EXPECT_THROW(in.c_string(), ProtocolError);
  EXPECT_EQ(in.tag(), 'd');
  EXPECT_THROW(in.tag(), ProtocolError);
}

TEST(ByteReader, PastTheEndThrowsWithTheOffsetAndConsumesNothing) {
  ByteReader in("abc");
  in.bytes(1);
  try {
    in.read<std::uint32_t>();
    FAIL();
  } catch (const ProtocolError& error) {
    EXPECT_STREQ(error.what(),
                 "message ends at byte 3, where 4 more bytes from byte 1 on were announced");
  }
  EXPECT_THROW(in.bytes(std::numeric_limits<std::size_t>::max()), ProtocolError);
  EXPECT_EQ(in.bytes(2), "bc");
  EXPECT_EQ(in.bytes(0), "");
}

}  // namespace
}  // namespace pg
