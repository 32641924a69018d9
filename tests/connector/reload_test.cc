// What SIGHUP may change, as far as the file alone tells.
#include "connector/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace connector {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ReloadFile : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }
  void write(const std::string& more) {
    std::ofstream(file_) << "[source]\ndsn = \"dbname=app\"\n[[table]]\nname = \"public.t\"\n"
                            "snapshot = \"never\"\n"
                         << more;
  }
  const std::string file_ = testing::TempDir() + "reload_test_" + std::to_string(getpid());
};

TEST(KeepFixed, WhatSaysWhereAPositionIsStaysAndIsNamed) {
  Config running;
  running.source.dsn = "dbname=a";
  Config next = running;
  next.source.dsn = "dbname=b";
  next.source.slot = "other";
  next.source.publication = "other";
  next.nats.domain = "other";
  next.stream.name = "OTHER";
  next.stream.subject_prefix = "other";
  next.publish.order = "dedup";
  EXPECT_THAT(keep_fixed(next, running),
              ElementsAre("source.dsn", "source.slot", "source.publication", "nats.domain",
                          "stream.name", "stream.subject_prefix", "publish.order"));
  EXPECT_EQ(next, running);
}

TEST(KeepFixed, TheRestIsTaken) {
  const Config running;
  Config next = running;
  next.source.messages = {"*"};
  next.source.replay_window = std::chrono::seconds(1);
  next.nats.url = "nats://elsewhere:4222";
  next.publish.format = "debezium";
  next.tables.push_back({.schema = "public", .table = "t"});
  next.log.level = "debug";
  const Config wanted = next;
  EXPECT_THAT(keep_fixed(next, running), IsEmpty());
  EXPECT_EQ(next, wanted);
}

TEST_F(ReloadFile, IsTakenWhenItHasChanged) {
  write("");
  const Config running = load_config(file_);
  EXPECT_FALSE(reload(running)) << "nothing new";
  write("[[table]]\nname = \"public.u\"\nsnapshot = \"never\"\n");
  const auto next = reload(running);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->tables.size(), 2U);
}

TEST_F(ReloadFile, IsNotTakenWhenItIsBrokenOrGone) {
  write("");
  const Config running = load_config(file_);
  write("nonsense = 1\n");
  EXPECT_FALSE(reload(running));
  std::filesystem::remove(file_);
  EXPECT_FALSE(reload(running));
}

TEST_F(ReloadFile, WithNothingNewButWhatStaysIsNothingNew) {
  write("");
  const Config running = load_config(file_);
  write("[stream]\nname = \"OTHER\"\n");
  EXPECT_FALSE(reload(running));
}

}  // namespace
}  // namespace connector
