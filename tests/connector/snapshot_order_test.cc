#include "connector/snapshot_order.h"

#include <gtest/gtest.h>

namespace connector {
namespace {

SnapshotOrder order() {
  return {.action = SnapshotOrder::Action::snapshot,
          .slot = "walferry",
          .id = "0011223344556677",
          .tables = {{"public", "orders"}, {"Ä \".", "t\n*>"}},
          .where = "v = 'it''s \\ \"so\"' -- ü"};
}

TEST(SnapshotOrder, IsReadAsItWasSigned) {
  for (const auto action : {SnapshotOrder::Action::snapshot, SnapshotOrder::Action::pause,
                            SnapshotOrder::Action::resume, SnapshotOrder::Action::cancel}) {
    SnapshotOrder one = order();
    one.action = action;
    EXPECT_EQ(parse_order(signed_order(one, "secret"), "secret"), one) << name_of(action);
  }
}

TEST(SnapshotOrder, OfAnotherSecretIsNone) {
  EXPECT_FALSE(parse_order(signed_order(order(), "secret"), "another"));
  EXPECT_FALSE(parse_order(signed_order(order(), ""), "")) << "there is none yet";
}

TEST(SnapshotOrder, WithAnythingChangedIsNone) {
  const std::string text = signed_order(order(), "secret");
  ASSERT_TRUE(parse_order(text, "secret"));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(parse_order(changed, "secret")) << i;
    EXPECT_FALSE(parse_order(text.substr(0, i), "secret")) << i;
  }
  EXPECT_FALSE(parse_order(text + " ", "secret"));
}

TEST(SnapshotOrder, SaysForWhichSlotItIs) {
  const std::string text = signed_order(order(), "secret");
  EXPECT_TRUE(is_order_for(text, "walferry"));
  EXPECT_FALSE(is_order_for(text, "walferr"));
  EXPECT_FALSE(is_order_for(text, "walferry_2"));
  EXPECT_FALSE(is_order_for("walferry", "walferry"));
  EXPECT_FALSE(is_order_for("", ""));
}

}  // namespace
}  // namespace connector
