#include "connector/external_sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace connector {
namespace {

using Entry = std::tuple<std::string, std::uint64_t, std::string>;

std::vector<Entry> sorted(const std::vector<Entry>& entries, std::size_t budget) {
  ExternalSort sort(testing::TempDir(), budget);
  for (const auto& [key, order, value] : entries) {
    sort.add({.key = key, .order = order, .value = value});
  }
  sort.finish();
  std::vector<Entry> all;
  while (sort.next()) {
    const ExternalSort::Item& item = sort.item();
    all.emplace_back(item.key, item.order, item.value);
  }
  EXPECT_FALSE(sort.next());
  sort.read_again();
  for (const Entry& entry : all) {
    const bool same = sort.next() && sort.item().key == std::get<0>(entry) &&
                      sort.item().order == std::get<1>(entry) &&
                      sort.item().value == std::get<2>(entry);
    if (!same) {
      ADD_FAILURE() << "another item, read again";
      break;
    }
  }
  return all;
}

std::vector<Entry> random_entries(std::size_t count) {
  std::mt19937 random(7);
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    std::string key(random() % 4, static_cast<char>(random() % 256));
    key += std::to_string(random() % 50);
    entries.emplace_back(key, i, std::string(random() % 90, 'v') + std::to_string(i));
  }
  std::shuffle(entries.begin(), entries.end(), random);
  return entries;
}

// From all in memory to merges of merges.
TEST(ExternalSort, GivesAllInOrderWhateverTheBudget) {
  const auto entries = random_entries(20'000);
  auto expected = entries;
  std::sort(expected.begin(), expected.end(), [](const Entry& a, const Entry& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  for (const std::size_t budget : {64U << 20, 1U << 20, 100'000U, 20'000U, 2'000U}) {
    EXPECT_TRUE(sorted(entries, budget) == expected) << "budget " << budget;
  }
}

TEST(ExternalSort, KeysAreBytes) {
  const std::vector<Entry> entries = {{std::string("b\0", 2), 1, ""},
                                      {"\xff", 2, "x"},
                                      {"b", 3, ""},
                                      {"", 4, "empty"},
                                      {std::string("\0", 1), 5, std::string("\0\n", 2)}};
  for (const std::size_t budget : {1U << 20, 1U}) {
    const auto all = sorted(entries, budget);
    ASSERT_EQ(all.size(), 5U);
    EXPECT_EQ(std::get<2>(all[0]), "empty");
    EXPECT_EQ(std::get<2>(all[1]), std::string("\0\n", 2));
    EXPECT_EQ(std::get<1>(all[2]), 3U);
    EXPECT_EQ(std::get<1>(all[3]), 1U);
    EXPECT_EQ(std::get<2>(all[4]), "x");
  }
}

TEST(ExternalSort, AnItemLargerThanTheBudgetAndTheBuffersPasses) {
  const std::string large(3U << 20, 'L');
  const auto all = sorted({{"c", 1, "small"}, {"b", 2, large}, {large, 3, "key"}}, 1000);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(std::get<0>(all[0]), large);
  EXPECT_EQ(std::get<2>(all[1]), large);
  EXPECT_EQ(std::get<2>(all[2]), "small");
}

TEST(ExternalSort, NothingGivesNothing) { EXPECT_TRUE(sorted({}, 1000).empty()); }

TEST(ExternalSort, AFolderThatIsNotThereIsSaid) {
  ExternalSort sort("/nowhere/at/all", 10);
  sort.add({.key = "a", .order = 1, .value = "0123456789"});
  EXPECT_THROW(sort.add({.key = "b", .order = 2, .value = "0123456789"}), std::runtime_error);
}

}  // namespace
}  // namespace connector
