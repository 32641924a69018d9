#include "connector/terminal.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

namespace connector {
namespace {

TEST(HumanBytes, AreRoundedIntoTheUnitThatFits) {
  const std::pair<std::uint64_t, const char*> cases[] = {
      {0, "0 B"},
      {1023, "1023 B"},
      {1024, "1.0 KiB"},
      {1536, "1.5 KiB"},
      {(1ULL << 20) - 1, "1.0 MiB"},  // not 1024.0 KiB
      {16ULL << 20, "16.0 MiB"},
      {3ULL << 40, "3.0 TiB"},
      {UINT64_MAX, "16384.0 PiB"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(human_bytes(bytes), text);
}

TEST(HumanNumber, HasACommaEveryThreeDigits) {
  EXPECT_EQ(human_number(0), "0");
  EXPECT_EQ(human_number(999), "999");
  EXPECT_EQ(human_number(1000), "1,000");
  EXPECT_EQ(human_number(1234567), "1,234,567");
}

TEST(HumanAge, HasAtMostTwoUnits) {
  const std::pair<double, const char*> cases[] = {
      {-1, "0.0 s"},  {0.21, "0.2 s"},
      {9.96, "10 s"}, {59.4, "59 s"},
      {60, "1 min"},  {200, "3 min 20 s"},
      {3600, "1 h"},  {3660, "1 h 1 min"},
      {86400, "1 d"}, {86400 * 2 + 3600 * 4, "2 d 4 h"},
  };
  for (const auto& [seconds, text] : cases) EXPECT_EQ(human_age(seconds), text);
}

TEST(Printable, EscapesWhatATerminalWouldObeyAndNothingElse) {
  EXPECT_EQ(printable("plain, ä, €, 😀"), "plain, ä, €, 😀");
  EXPECT_EQ(printable("\x1b[31m"), "\\u001b[31m");
  EXPECT_EQ(printable("a\nb\tc\x7f"), "a\\u000ab\\u0009c\\u007f");
  EXPECT_EQ(printable("\xC2\x80\xC2\x9F\xC2\xA0"), "\\u0080\\u009f\xC2\xA0");
  EXPECT_EQ(printable("\xC2"), "\xC2");  // cut in two: left as it is
}

TEST(ColoursOfATest, AreOffSinceStandardOutputIsNoTerminal) {
  if (stdout_is_terminal()) GTEST_SKIP() << "run by hand";
  EXPECT_STREQ(palette_for_stdout().red, "");
}

}  // namespace
}  // namespace connector
