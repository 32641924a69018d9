// Status and tail while servers come and go, teardown in every order.
#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

// ---- status

TEST_F(VerbsInDepth, StatusAgreesWithBothServers) {
  const auto status = [&](int code) {
    const Finished finished = walferry_.verb({"status", "--json"});
    EXPECT_EQ(finished.exit.code, code) << finished.err;
    return json::parse(finished.out);
  };
  json seen = status(0);
  EXPECT_EQ(seen["running"], false);
  EXPECT_EQ(seen["slot"]["exists"], false);
  EXPECT_EQ(seen["stream"]["exists"], false);
  start();
  exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 7) i");
  wait_stored(7);
  seen = status(0);
  EXPECT_EQ(seen["running"], true);
  EXPECT_EQ(seen["slot"]["active_pid"].dump(), session_of_the_slot());
  EXPECT_EQ(seen["stream"]["messages"], 8);
  EXPECT_EQ(seen["stream"]["last_seq"], 8);
  EXPECT_EQ(seen["last_record"]["commit_ts"], json::parse(records().back().payload)["commit_ts"]);
  EXPECT_LT(seen["last_record"]["age_seconds"].get<double>(), 60);
  EXPECT_LT(seen["lag_bytes"].get<std::uint64_t>(), 1U << 20);
  walferry_.stop();
  nats_.stop();
  seen = status(1);
  EXPECT_EQ(seen["nats"]["reachable"], false);
  EXPECT_EQ(seen["stream"], nullptr);
  EXPECT_EQ(seen["slot"]["active"], false);
  nats_.start();
  postgres_.stop();
  seen = status(1);
  EXPECT_EQ(seen["running"], nullptr) << "nobody knows";
  EXPECT_EQ(seen["stream"]["last_seq"], 8);
}

TEST_F(VerbsInDepth, StatusWatchesUntilItIsStoppedAcrossARestart) {
  write_file(walferry_.config_file(), settings().to_toml());
  Process watch(spawn({"status", "--watch", "--json"}, "out", "err"));
  wait_printed(1);
  postgres_.stop();
  const auto last = [&] { return json::parse(printed().back()); };
  wait_until([&] { return last()["postgres"]["reachable"] == false; }, seconds(20), "the outage");
  postgres_.start();
  wait_until([&] { return last()["postgres"]["reachable"] == true; }, seconds(20), "its end");
  watch.send(SIGINT);
  EXPECT_EQ(watch.wait_exit(seconds(10)).code, 0);
}

// ---- tail

TEST_F(VerbsInDepth, TailShowsEachRecordOnceAcrossRestartsOfTheServer) {
  start();
  Process tail(spawn({"tail", "--json", "--last", "1", "cdc.public.>"}, "out", "err"));
  exec("INSERT INTO t VALUES (0, 'first')");
  wait_printed(1);
  int id = 1;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i, ++id)
      exec("INSERT INTO t VALUES (" + std::to_string(id) + ", '')");
    if (round == 1) nats_.kill_hard(), nats_.start();
    if (round == 0) nats_.restart();
  }
  wait_printed(static_cast<std::size_t>(id));
  EXPECT_FALSE(
      becomes_true([&] { return printed().size() > static_cast<std::size_t>(id); }, seconds(1)));
  tail.send(SIGTERM);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
  std::vector<std::string> stored;
  for (const Record& record : records()) stored.push_back(record.payload);
  EXPECT_EQ(printed(), stored);
}

TEST_F(VerbsInDepth, TailFollowsAStreamThatIsMadeAnew) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  write_file(walferry_.config_file(), settings().to_toml());
  js().publish("cdc.x", R"({"n":1})");
  Process tail(spawn({"tail", "--json", "--last", "1"}, "out", "err"));
  wait_printed(1);
  js().delete_stream("CDC");
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  js().publish("cdc.x", R"({"n":2})");
  wait_printed(2);
  EXPECT_EQ(printed().back(), R"({"n":2})");
  EXPECT_TRUE(says(read_file(dir_.file("err")), "made anew"));
  tail.send(SIGINT);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
}

TEST_F(VerbsInDepth, TailBeginsWithExactlyTheLastThatMatch) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  write_file(walferry_.config_file(), settings().to_toml());
  for (int i = 1; i <= 30; ++i) {
    js().publish(i % 3 == 0 ? "cdc.a.b" : "cdc.c", "{\"n\":" + std::to_string(i) + "}");
  }
  for (const std::uint64_t gone : {29U, 27U, 26U, 20U}) js().delete_message("CDC", gone);
  int runs = 0;
  const auto first_of = [&](const std::vector<std::string>& args, std::size_t lines) {
    const std::string out = "out." + std::to_string(++runs);
    Process tail(spawn(args, out, "err"));
    wait_printed(lines, out);
    EXPECT_FALSE(becomes_true([&] { return printed(out).size() > lines; }, Milliseconds(300)));
    return printed(out).front();
  };
  EXPECT_EQ(first_of({"tail", "--json", "--last", "4"}, 4), R"({"n":24})");
  EXPECT_EQ(first_of({"tail", "--json", "--last", "4", "cdc.a.>"}, 4), R"({"n":18})");
  EXPECT_EQ(first_of({"tail", "--json", "--last", "99", "cdc.*.b"}, 9), R"({"n":3})");
  EXPECT_EQ(first_of({"tail", "--json", "--last", "99"}, 26), R"({"n":1})");
}

TEST_F(VerbsInDepth, TailEndsWithItsReader) {
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  // Nothing more is stored: that the reader has gone must show without a write.
  const Finished finished = run_to_end(
      {.argv = {"/bin/bash", "-c",
                walferry_binary() + " tail --json --last 1 --config " + walferry_.config_file() +
                    " | head -n 1 >" + dir_.file("out") + "; exit ${PIPESTATUS[0]}"}},
      seconds(20));
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_EQ(printed().size(), 1U);
}

TEST_F(VerbsInDepth, TailShowsWhatIsNoRecordAndLeavesItOutOfJson) {
  js().create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}});
  write_file(walferry_.config_file(), settings().to_toml());
  js().publish("cdc.foreign", "two\nlines");
  js().publish("cdc.foreign", "{\"a\":1}");
  {
    Process tail(spawn({"tail", "--last", "9"}, "out", "err"));
    wait_printed(2);
    EXPECT_TRUE(says(printed().front(), "cdc.foreign") && says(printed().front(), "9 B"));
  }
  Process tail(spawn({"tail", "--last", "9", "--json"}, "json", "err"));
  wait_printed(1, "json");
  EXPECT_EQ(printed("json"), std::vector<std::string>{"{\"a\":1}"});
  EXPECT_TRUE(says(read_file(dir_.file("err")), "left out"));
}

TEST_F(VerbsInDepth, TailOfNoStreamIsAPreconditionThatIsNotMet) {
  const Finished finished = walferry_.verb({"tail"});
  EXPECT_EQ(finished.exit.code, 3);
  EXPECT_TRUE(says(finished.err, "CDC does not exist")) << finished.err;
}

TEST(TailOnACluster, ShowsEachRecordOnceWhenALeaderDies) {
  NatsCluster cluster;
  Walferry walferry(walferry_binary(), settings_for("host=/nowhere", cluster.url()));
  walferry.settings().table("public.t");
  write_file(walferry.config_file(), walferry.settings().to_toml());
  JetStream js = cluster.jetstream();
  js.create_stream({{"name", "CDC"}, {"subjects", {"cdc.>"}}, {"num_replicas", 3}});
  cluster.wait_whole("CDC");
  int stored = 0;
  const auto publish = [&](int count) {
    for (const int end = stored + count; stored < end;) {
      // During an election nobody answers; the id keeps a second try from being stored twice.
      wait_until(
          [&] {
            js.publish("cdc.x", "{\"n\":" + std::to_string(stored + 1) + "}",
                       {{"Nats-Msg-Id", std::to_string(stored + 1)}});
            return true;
          },
          seconds(60), "an acknowledgement");
      ++stored;
    }
  };
  publish(30);
  const TempDir dir;
  Process tail(Spawn{.argv = {walferry_binary(), "tail", "--json", "--last", "4", "--config",
                              walferry.config_file()},
                     .stdout_file = dir.file("out")});
  const auto printed = [&] { return lines_of(read_file(dir.file("out"))); };
  wait_until([&] { return printed().size() >= 4; }, seconds(30), "the last four");
  cluster.named(js.leader("CDC")).kill_hard();
  publish(30);
  wait_until([&] { return printed().size() >= 34; }, seconds(60), "what was stored since");
  std::vector<std::string> expected;
  for (int n = 27; n <= 60; ++n) expected.push_back("{\"n\":" + std::to_string(n) + "}");
  EXPECT_EQ(printed(), expected);
}

TEST_F(VerbsInDepth, TailJoinsPartsAndTakesPacksApart) {
  settings().set_string("publish", "oversize", "split");
  settings().set_string("publish", "pack", "transaction");
  settings().set_string("publish", "max_message", "4KiB");
  start();
  exec("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, repeat('x', 9000)), (4, 'four')");
  Process tail(spawn({"tail", "--json", "--last", "100"}, "out", "err"));
  wait_printed(5);
  tail.send(SIGTERM);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
  const auto lines = printed();
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_TRUE(json::parse(lines[0]).contains("columns"));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(json::parse(lines[i])["after"]["id"], i);
  }
  EXPECT_EQ(json::parse(lines[3])["after"]["v"], std::string(9000, 'x'));
}

TEST_F(VerbsInDepth, TailLastCountsRecordsAndNotTheirParts) {
  settings().set_string("publish", "oversize", "split");
  settings().set_string("publish", "max_message", "4KiB");
  start();
  for (int id = 1; id <= 3; ++id) {
    exec("INSERT INTO t VALUES (" + std::to_string(id) + ", repeat('x', 20000))");
  }
  exec("INSERT INTO t VALUES (4, 'short'), (5, repeat('x', 20000))");
  wait_until([&] { return stored_records() > 20; }, seconds(30), "all parts");
  for (int last = 1; last <= 5; ++last) {
    const std::string out = "out" + std::to_string(last);
    Process tail(
        spawn({"tail", "--json", "--last", std::to_string(last), "cdc.public.>"}, out, "err"));
    wait_printed(static_cast<std::size_t>(last), out);
    tail.send(SIGTERM);
    EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
    const auto lines = printed(out);
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(last));
    for (int i = 0; i < last; ++i) {
      EXPECT_EQ(json::parse(lines.at(static_cast<std::size_t>(i)))["after"]["id"], 6 - last + i);
    }
  }
}

TEST_F(VerbsInDepth, TailLastOfAStreamThatIsEmptyFollowsIt) {
  start();
  Process tail(spawn({"tail", "--json", "--last", "5", "cdc.public.>"}, "out", "err"));
  wait_until(
      [&] { return js().stream("CDC")->at("state").at("consumer_count") == 1 || !tail.running(); },
      seconds(30), "it follows");
  exec("INSERT INTO t VALUES (1, 'one')");
  wait_printed(1);
  tail.send(SIGTERM);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
}

// ---- teardown

TEST_F(VerbsInDepth, TeardownRefusesASlotInUseAndNamesItsSession) {
  start();
  const std::string pid = session_of_the_slot();
  const Finished finished = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(finished.exit.code, 3);
  EXPECT_TRUE(says(finished.err, pid)) << finished.err;
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "2");
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value());
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(VerbsInDepth, TeardownMayBeRepeatedAndTheNextRunBeginsAnew) {
  start();
  walferry_.stop();
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
  const Finished again = walferry_.verb({"teardown"});
  EXPECT_EQ(again.exit.code, 0) << again.err;
  EXPECT_TRUE(says(again.out, "nothing to drop")) << again.out;
  EXPECT_EQ(walferry_.verb({"check"}).exit.code, 0);
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(VerbsInDepth, TeardownFreesTheSlotAlsoWhileNatsIsAway) {
  start();
  walferry_.stop();
  nats_.stop();
  const Finished half = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(half.exit.code, 1) << half.out;
  EXPECT_TRUE(says(half.out, "again when NATS answers")) << half.out;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  nats_.start();
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value());
  EXPECT_EQ(walferry_.verb({"teardown", "--yes"}).exit.code, 0);
  EXPECT_EQ(js().key_value("walferry", "CDC.walferry").value_or(""), "");
}

TEST_F(VerbsInDepth, TeardownLeavesAloneWhatIsNotWalferrys) {
  exec("CREATE PUBLICATION walferry FOR TABLE t");
  postgres_.query("SELECT pg_create_physical_replication_slot('walferry')");
  const Finished finished = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_TRUE(says(finished.out, "left alone")) << finished.out;
  EXPECT_TRUE(postgres_.slot_exists("walferry"));
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "1");
}

}  // namespace
}  // namespace scenarios
