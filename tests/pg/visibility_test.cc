#include "pg/visibility.h"

#include <gtest/gtest.h>

namespace pg {
namespace {

struct Case {
  const char* snapshot;
  std::uint32_t xid;
  bool sees;
};

TEST(Visibility, SeesWhatWasOverWhenItWasTaken) {
  const Case cases[] = {
      {"100:110:100,105", 99, true},
      {"100:110:100,105", 100, false},
      {"100:110:100,105", 101, true},
      {"100:110:100,105", 105, false},
      {"100:110:100,105", 109, true},
      {"100:110:100,105", 110, false},
      {"100:110:100,105", 200, false},
      {"50:50:", 49, true},
      {"50:50:", 50, false},
      // The server counts in 64 bits, WAL has the lower half.
      {"4294967290:4294967300:4294967298", 4294967289U, true},
      {"4294967290:4294967300:4294967298", 3, true},
      {"4294967290:4294967300:4294967298", 2, false},
      {"4294967290:4294967300:4294967298", 4, false},
  };
  for (const Case& one : cases) {
    const auto visibility = Visibility::parse(one.snapshot);
    ASSERT_TRUE(visibility.has_value()) << one.snapshot;
    EXPECT_EQ(visibility->sees(TransactionId(one.xid)), one.sees) << one.snapshot << " " << one.xid;
    EXPECT_EQ(visibility->text(), one.snapshot);
  }
}

TEST(Visibility, RefusesWhatIsNoSnapshot) {
  for (const char* text : {"", "1", "1:2", "1:2:x", "a:2:", "1:2:3;4", "1:2:3:4"}) {
    EXPECT_FALSE(Visibility::parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace pg
