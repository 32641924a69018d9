#include "outbox/table_merge.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <random>
#include <vector>

#include "outbox/sort_key.h"

namespace outbox {
namespace {

using Keyed = std::map<std::int64_t, std::string>;

class Merge : public testing::Test {
 public:
  ~Merge() override { std::filesystem::remove_all(folder_); }

 protected:
  Merge() {
    std::string name = "/tmp/walferry-merge-XXXXXX";
    folder_ = mkdtemp(name.data());
  }

  struct Row {
    std::int64_t key;
    std::string text;
  };
  // Merges the rows with the last state; returns the changes as words.
  std::vector<std::string> merge(const std::vector<Row>& rows, bool keyed, bool keep_text) {
    std::optional<StateReader> before;
    if (rounds_ > 0) {
      before.emplace(file(rounds_));
      before->begin(0, before->blocks().size());
    }
    ++rounds_;
    StateWriter next(file(rounds_), "head", 4);
    std::vector<std::string> changes;
    TableMerge merge({.seeds = seeds_, .keyed = keyed, .keep_text = keep_text},
                     before ? &*before : nullptr, next, [&](const RowChange& change) {
                       const std::string key = std::to_string(integer_of(change.key));
                       const char* kind = change.kind == RowChange::Kind::insert   ? "+"
                                          : change.kind == RowChange::Kind::update ? "~"
                                                                                   : "-";
                       changes.push_back(kind + key + " " + std::string(change.old_text) + ">" +
                                         std::string(change.text));
                     });
    for (const Row& row : rows) {
      std::string key;
      append_integer(key, row.key);
      merge.row({.key = key, .text = row.text, .server_hash = row.key * 3});
    }
    merge.finish();
    next.commit();
    return changes;
  }
  std::string file(int round) const { return folder_ + "/" + std::to_string(round); }

  std::string folder_;
  int rounds_ = 0;
  const Seeds seeds_ = draw_seeds();
};

TEST_F(Merge, FindsEachKindOfChange) {
  EXPECT_EQ(merge({{1, "a"}, {2, "b"}, {3, "c"}}, true, false).size(), 3U);
  EXPECT_TRUE(merge({{1, "a"}, {2, "b"}, {3, "c"}}, true, false).empty());
  EXPECT_EQ(merge({{0, "z"}, {2, "x"}, {3, "c"}, {4, "d"}}, true, false),
            (std::vector<std::string>{"+0 >z", "-1 >", "~2 >x", "+4 >d"}));
  EXPECT_EQ(merge({}, true, false).size(), 4U);
}

TEST_F(Merge, KnowsTheOldRowWhereItIsKept) {
  merge({{1, "a"}, {2, "b"}}, true, true);
  EXPECT_EQ(merge({{1, "x"}}, true, true), (std::vector<std::string>{"~1 a>x", "-2 b>"}));
}

// Two rows of one hash and different text, too.
TEST_F(Merge, CountsEqualRowsWithoutAKey) {
  merge({{1, "a"}, {1, "a"}, {1, "b"}, {2, "c"}}, false, true);
  EXPECT_TRUE(merge({{1, "b"}, {1, "a"}, {1, "a"}, {2, "c"}}, false, true).empty());
  EXPECT_EQ(merge({{1, "a"}, {1, "b"}, {1, "b"}, {3, "d"}}, false, true),
            (std::vector<std::string>{"-1 a>", "+1 >b", "-2 c>", "+3 >d"}));
}

TEST_F(Merge, RefusesOneKeyTwice) {
  EXPECT_THROW(merge({{1, "a"}, {1, "b"}}, true, false), AmbiguousKey);
}

TEST_F(Merge, RefusesAnotherOrder) {
  EXPECT_THROW(merge({{2, "a"}, {1, "b"}}, true, false), std::logic_error);
}

TEST_F(Merge, SumsAreThoseOfTheRowsOfEachBlock) {
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < 10; ++i) rows.push_back({i, "x"});
  merge(rows, true, false);
  StateReader state(file(rounds_));
  EXPECT_EQ(state.head(), "head");
  EXPECT_EQ(state.rows(), 10U);
  ASSERT_EQ(state.blocks().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    state.begin(i, i + 1);
    EXPECT_EQ(integer_of(state.blocks()[i].begin), static_cast<std::int64_t>(i * 4));
    HashSum sum = 0;
    std::uint64_t count = 0;
    while (state.next()) {
      sum += integer_of(state.row().key) * 3;
      ++count;
    }
    EXPECT_EQ(state.blocks()[i].rows, count);
    EXPECT_TRUE(state.blocks()[i].sum == sum);
  }
}

TEST_F(Merge, AppliedToWhatWasGivesWhatIs) {
  std::mt19937 random(3);
  Keyed was;
  for (int round = 0; round < 40; ++round) {
    Keyed is;
    for (const auto& [key, text] : was) {
      if (random() % 10 == 0) continue;
      is[key] = random() % 10 == 0 ? std::to_string(random()) : text;
    }
    for (int i = 0; i < 8; ++i) is.emplace(random() % 200, "new");
    std::vector<Row> rows;
    for (const auto& [key, text] : is) rows.push_back({key, text});
    for (const std::string& change : merge(rows, true, false)) {
      const std::int64_t key = std::stol(change.substr(1));
      if (change[0] == '-') {
        EXPECT_EQ(was.erase(key), 1U);
      } else {
        EXPECT_EQ(was.contains(key), change[0] == '~');
        was[key] = change.substr(change.find('>') + 1);
      }
    }
    EXPECT_EQ(was, is);
  }
}

}  // namespace
}  // namespace outbox
