// SIGHUP: the configuration read again, in the same process, under load.
#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

class Reload : public VerbsInDepth {
 protected:
  // The file is written, and the daemon told.
  void reload() {
    write_file(walferry_.config_file(), settings().to_toml());
    walferry_.send(SIGHUP);
  }
  void expect_said(const std::string& words) {
    EXPECT_TRUE(becomes_true([&] { return says(walferry_.log(), words); }, seconds(30)))
        << walferry_.log();
  }
  std::size_t times_said(const std::string& words) {
    return lines_of(lines_saying(walferry_.log(), words)).size();
  }
  // The daemon streams again, under the settings that it was told of.
  void wait_gone_on(std::size_t sessions) {
    wait_until([&] { return times_said("streaming from slot") >= sessions; }, seconds(30),
               "the next session");
  }
};

TEST_F(Reload, AddsAndRemovesTablesUnderLoadWithoutLoss) {
  create_load_tables();
  exec("CREATE TABLE added (id int PRIMARY KEY)");
  start();
  const pid_t pid = walferry_.pid();
  Load load(postgres_.conninfo());
  load.wait_for_more(30);
  exec("INSERT INTO added VALUES (0)");
  settings().table("public.added");
  reload();
  wait_gone_on(2);
  exec("INSERT INTO added SELECT generate_series(1, 10)");
  load.wait_for_more(30);
  // What is not published yet when its table is taken away is not published any more.
  wait_until([&] { return js().count("CDC", "cdc.public.added.insert") == 10; }, seconds(60),
             "what was committed before the table is taken away");
  settings().no_tables();
  for (const std::string& table : Load::tables()) settings().table(table);
  settings().table("public.t");
  reload();
  wait_gone_on(3);
  exec("INSERT INTO added VALUES (11)");
  load.wait_for_more(30);
  load.stop();
  EXPECT_EQ(walferry_.pid(), pid);
  const std::uint64_t end = postgres_.current_lsn();
  exec("INSERT INTO t VALUES (1, 'the end')");
  wait_until([&] { return js().count("CDC", "cdc.public.t.insert") == 1; }, seconds(60), "the end");
  ASSERT_LT(end, postgres_.current_lsn());
  walferry_.stop();
  int seen =
      0;  // changes of public.added that the oracle saw, the first and the last not published
  const auto published = [&](const std::string& table, const std::string&) {
    if (table != "public.added") return true;
    ++seen;
    return seen > 1 && seen <= 11;
  };
  EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_, {.published = published}));
  EXPECT_EQ(seen, 12);
}

TEST_F(Reload, ABrokenFileLeavesTheOldOne) {
  start();
  write_file(walferry_.config_file(),
             settings().to_toml() + "\n[source]\nslot = 7\nnonsense = 1\n");
  walferry_.send(SIGHUP);
  expect_said("the old one stays");
  settings().table("public.absent");
  reload();
  expect_said("absent");
  wait_until([&] { return times_said("the old one stays") >= 2; }, seconds(30), "the refusal");
  EXPECT_EQ(times_said("streaming from slot"), 1U) << "nothing was given up for it";
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(Reload, WhatMayNotChangeStaysAndTheRestIsTaken) {
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  settings().set_string("source", "slot", "other");
  settings().set_string("stream", "name", "OTHER");
  settings().set_string("publish", "format", "cloudevents");
  settings().set_string("log", "format", "json");
  reload();
  expect_said("source.slot");
  expect_said("stream.name cannot change without a restart");
  wait_gone_on(2);
  exec("INSERT INTO t VALUES (2, 'x')");
  wait_stored(2);
  EXPECT_EQ(js().read("CDC").back().headers.at("ce-type"), "walferry.change.insert");
  EXPECT_TRUE(says(walferry_.log(), "{\"time\":")) << "the log's format too";
  EXPECT_FALSE(postgres_.slot_exists("other"));
  walferry_.stop();
}

TEST_F(Reload, AStreamThatWouldNotFitIsNotTaken) {
  start();
  settings().set_string("publish", "max_message", "4MiB");  // above the server's max_payload
  reload();
  expect_said("the old one stays");
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(Reload, InTheMiddleOfATransactionItGoesOnWithTheNextRecord) {
  exec("CREATE TABLE other (id int PRIMARY KEY)");
  start();
  exec("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 30000) i");
  wait_until([&] { return js().last_sequence("CDC") > 2000; }, seconds(60), "a part of it");
  settings().table("public.other");
  reload();
  wait_gone_on(2);
  exec("INSERT INTO other VALUES (1)");
  expect_exact();
}

TEST_F(Reload, WhileNatsIsAwayItIsTakenWithTheNextSession) {
  exec("CREATE TABLE other (id int PRIMARY KEY)");
  start();
  nats_.stop();
  wait_until([&] { return says(walferry_.log(), "trying again"); }, seconds(30), "the outage");
  settings().table("public.other");
  reload();
  nats_.start();
  wait_gone_on(2);
  wait_until(
      [&] {
        return postgres_.value(
                   "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'other'") == "1";
      },
      seconds(30), "the table is published");
  exec("INSERT INTO other VALUES (1)");
  wait_stored(1);
  walferry_.stop();
}

}  // namespace
}  // namespace scenarios
