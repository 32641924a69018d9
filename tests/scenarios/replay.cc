// `replay`: what was published once, published again to another stream, beside the daemon.
#include <algorithm>
#include <cstdlib>

#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

// A message without what is its stream's: subject behind the prefix, id behind the slot's part,
// other headers, body.
struct Told {
  std::string subject, place, body;
  NatsHeaders headers;
  friend bool operator==(const Told&, const Told&) = default;
};

std::ostream& operator<<(std::ostream& out, const Told& told) {
  return out << told.place << " " << told.subject << " " << told.body;
}

std::vector<Told> told_by(const std::vector<Stored>& stored, const std::string& prefix) {
  std::vector<Told> all;
  for (const Stored& message : stored) {
    EXPECT_TRUE(message.subject.starts_with(prefix + ".")) << message.subject;
    Told told{.subject = message.subject.substr(prefix.size()),
              .place = "",
              .body = message.payload,
              .headers = message.headers};
    const std::string id = message.headers.at("Nats-Msg-Id");
    told.place = id.substr(id.find(':') + 1);
    if (told.place.ends_with(":schema")) continue;  // each stream has its own
    if (told.headers.contains("ce-id")) {
      EXPECT_EQ(told.headers["ce-id"], id);
    }
    for (const char* own : {"Nats-Msg-Id", "Nats-Expected-Last-Sequence", "ce-id"}) {
      told.headers.erase(own);
    }
    all.push_back(std::move(told));
  }
  return all;
}

std::uint64_t lsn_of(const Told& told) { return std::stoull(told.place, nullptr, 16); }

class Replay : public VerbsInDepth {
 protected:
  void TearDown() override {
    load_.reset();
    VerbsInDepth::TearDown();
  }
  void begin(std::uint64_t transactions) {
    settings().set("source", "messages", "[\"*\"]");
    create_load_tables();
    start();
    load_.emplace(postgres_.conninfo());
    load_->wait_for_more(transactions);
    exec("SELECT pg_logical_emit_message(false, 'p', 'outside')");
    exec("SELECT pg_logical_emit_message(true, 'p', 'inside')");
    load_->wait_for_more(transactions);
  }
  Finished replay(int code, std::vector<std::string> args) {
    args.insert(args.begin(), "replay");
    Finished finished = walferry_.verb(args);
    EXPECT_EQ(finished.exit.code, code) << finished.out << finished.err;
    return finished;
  }
  // What the daemon has published at or after `from` and before `to`.
  std::vector<Told> first_told(std::uint64_t from, std::uint64_t to) {
    std::vector<Told> told = told_by(js().read("CDC"), "cdc");
    std::erase_if(told, [&](const Told& one) { return lsn_of(one) < from || lsn_of(one) >= to; });
    return told;
  }
  std::uint64_t wait_published(std::uint64_t lsn) {
    wait_until(
        [&] {
          const auto status = json::parse(walferry_.verb({"status", "--json"}).out);
          const auto& last = status["last_record"];
          return last.is_object() && last["commit_lsn"].is_string() &&
                 parse_lsn(last["commit_lsn"].get<std::string>()) > lsn;
        },
        seconds(60), "the daemon is beyond " + lsn_text(lsn));
    return lsn;
  }

  std::optional<Load> load_;
};

class ReplayFormats : public Replay, public testing::WithParamInterface<std::string> {};

TEST_P(ReplayFormats, TellsTheSameAgainWhileTheDaemonGoesOn) {
  settings().set_string("publish", "format", GetParam());
  begin(std::getenv("WALFERRY_TEST_LONG") != nullptr ? 2000 : 60);
  const std::uint64_t from = postgres_.confirmed_flush("walferry");
  const std::uint64_t to = wait_published(postgres_.current_lsn());
  const std::string pid = session_of_the_slot();
  const Finished finished = replay(0, {"--from-lsn", lsn_text(from), "--to-lsn", lsn_text(to)});
  EXPECT_TRUE(says(finished.out, "CDC_REPLAY")) << finished.out;
  EXPECT_EQ(session_of_the_slot(), pid);
  // Postgres drops it when it sees that the connection has ended.
  wait_until(
      [&] {
        return postgres_.value("SELECT count(*) FROM pg_replication_slots WHERE temporary") == "0";
      },
      seconds(60), "the end of the temporary slot");
  const auto again = told_by(js().read("CDC_REPLAY"), "replay.cdc");
  const auto once = first_told(from, to);
  EXPECT_GT(once.size(), 100U);
  EXPECT_EQ(again, once);
  // A second time nothing is added.
  const std::uint64_t last = js().last_sequence("CDC_REPLAY");
  replay(0, {"--from-lsn", lsn_text(from), "--to-lsn", lsn_text(to)});
  EXPECT_EQ(js().last_sequence("CDC_REPLAY"), last);
  load_->stop();
  walferry_.stop();
}

INSTANTIATE_TEST_SUITE_P(Formats, ReplayFormats, testing::Values("json", "debezium", "cloudevents"),
                         [](const auto& format) { return format.param; });

TEST_F(Replay, TakesTheRangeToTheLetterFromTheMiddleOfWhatIsStored) {
  begin(60);
  load_->stop();
  wait_complete();
  const auto all = first_told(0, ~std::uint64_t{0});
  const std::uint64_t from = lsn_of(all.at(all.size() / 3));
  const std::uint64_t to = lsn_of(all.at(2 * all.size() / 3));
  replay(0, {"--from-lsn", lsn_text(from), "--to-lsn", lsn_text(to), "--stream", "AGAIN",
             "--subject-prefix", "once.more"});
  EXPECT_EQ(told_by(js().read("AGAIN"), "once.more"), first_told(from, to));
  // The message outside a transaction has the position where its record ends.
  for (const Told& told : all) {
    if (told.body != "outside") continue;
    replay(0, {"--from-lsn", lsn_text(lsn_of(told)), "--stream", "OUTSIDE", "--subject-prefix",
               "out", "--to-lsn", lsn_text(lsn_of(told) + 1)});
    EXPECT_EQ(told_by(js().read("OUTSIDE"), "out"), std::vector<Told>{told});
  }
  walferry_.stop();
}

TEST_F(Replay, GoesOnWhereItWasInterrupted) {
  start();
  exec("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i");
  exec("INSERT INTO t VALUES (0, 'the last')");
  wait_stored(40001);
  const std::string from = lsn_text(postgres_.confirmed_flush("walferry"));
  const std::string to = lsn_text(postgres_.current_lsn());
  for (const int signal : {SIGKILL, SIGTERM}) {
    const std::uint64_t before = js().last_sequence("CDC_REPLAY");
    Process part(spawn({"replay", "--from-lsn", from, "--to-lsn", to}, "out", "err"));
    wait_until([&] { return js().last_sequence("CDC_REPLAY") > before + 3000; }, seconds(60),
               "a part of it");
    part.send(signal);
    const servers::Exit end = part.wait_exit(seconds(20));
    EXPECT_EQ(end.code, signal == SIGTERM ? 0 : -1);
    EXPECT_LT(js().last_sequence("CDC_REPLAY"), 40002U) << "it was over before it could be stopped";
  }
  replay(0, {"--from-lsn", from, "--to-lsn", to});
  EXPECT_EQ(told_by(js().read("CDC_REPLAY"), "replay.cdc"), told_by(js().read("CDC"), "cdc"));
  EXPECT_EQ(js().last_sequence("CDC_REPLAY"), 40002U);
}

TEST_F(Replay, ReachesBackToAMarkAndNoFurther) {
  settings().set_string("source", "replay_window", "0");
  create_load_tables();
  start();
  EXPECT_EQ(walferry_.verb({"mark", "point"}).exit.code, 0);
  const std::uint64_t mark = postgres_.confirmed_flush("walferry_mark_point");
  {
    Load load(postgres_.conninfo());
    load.wait_for_more(30);
  }
  const std::uint64_t to = postgres_.current_lsn();
  wait_until([&] { return postgres_.confirmed_flush("walferry") >= to; }, seconds(30),
             "all is confirmed");
  replay(0, {"--from-lsn", lsn_text(mark), "--to-lsn", lsn_text(to)});
  EXPECT_EQ(told_by(js().read("CDC_REPLAY"), "replay.cdc"), first_told(mark, to));
  EXPECT_EQ(postgres_.confirmed_flush("walferry_mark_point"), mark);
  const Finished early = replay(
      4, {"--from-lsn", lsn_text(mark - 1), "--stream", "EARLY", "--subject-prefix", "early"});
  EXPECT_TRUE(names_lsn(early.err, mark)) << early.err;
  EXPECT_EQ(js().stream("EARLY"), std::nullopt) << "nothing is made for a replay that cannot be";
  expect_exact();
}

// The daemon leaves out what the rows of a snapshot, read without a key, have in them already.
TEST_F(Replay, LeavesOutWhatTheDaemonLeftOutBesideASnapshot) {
  exec("CREATE TABLE heap (v int)");
  settings().table("public.heap", "snapshot = \"never\"");
  start();
  exec("INSERT INTO heap VALUES (1)");
  wait_stored(1);
  walferry_.stop();
  const std::string from = lsn_text(postgres_.confirmed_flush("walferry"));
  const auto value = [this](const char* sql) { return postgres_.value(sql); };
  const std::string mark = value("SELECT pg_current_wal_lsn()");
  exec("INSERT INTO heap VALUES (2)");
  const json table = {{"state", "complete"},
                      {"steps", json::array()},
                      {"mark", mark},
                      {"wal_end", value("SELECT pg_current_wal_lsn()")},
                      {"snapshot", value("SELECT pg_current_snapshot()")}};
  const json progress = {{"version", 1},
                         {"stream_created", js().stream("CDC")->at("created")},
                         {"tables", {{R"("public"."heap")", table}}}};
  js().publish("$KV.walferry.CDC.walferry.snapshots", progress.dump());
  start();
  exec("INSERT INTO heap VALUES (3)");
  wait_stored(2);
  replay(0, {"--from-lsn", from});
  const auto again = told_by(js().read("CDC_REPLAY"), "replay.cdc");
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(json::parse(again[0].body)["after"]["v"], 1);
  EXPECT_EQ(json::parse(again[1].body)["after"]["v"], 3);
  EXPECT_EQ(again, told_by(js().read("CDC"), "cdc"));
  walferry_.stop();
}

// Under REPLICA IDENTITY FULL the key is the primary key of then, which WAL does not tell.
TEST_F(Replay, TellsTheKeyOfThenUnderReplicaIdentityFull) {
  exec("CREATE TABLE f (a int PRIMARY KEY, b int UNIQUE NOT NULL)");
  exec("ALTER TABLE f REPLICA IDENTITY FULL");
  settings().table("public.f");
  start();
  const std::string from = lsn_text(postgres_.confirmed_flush("walferry"));
  exec("INSERT INTO f VALUES (1, 10)");
  wait_stored(1);
  exec("ALTER TABLE f DROP CONSTRAINT f_pkey, ADD c int, ADD PRIMARY KEY (b)");
  exec("INSERT INTO f VALUES (2, 20)");
  wait_stored(2);
  exec("ALTER TABLE f DROP CONSTRAINT f_pkey, ADD PRIMARY KEY (a)");
  const Finished known = replay(0, {"--from-lsn", from});
  const auto again = told_by(js().read("CDC_REPLAY"), "replay.cdc");
  EXPECT_EQ(again, told_by(js().read("CDC"), "cdc"));
  EXPECT_EQ(json::parse(again.at(0).body)["key"], json::parse(R"({"a":1})"));
  EXPECT_EQ(json::parse(again.at(1).body)["key"], json::parse(R"({"b":20})"));
  EXPECT_TRUE(says(known.err, "was announced (b), which is not today's (a)")) << known.err;
  EXPECT_FALSE(says(known.err, "not known any more")) << known.err;
  js().publish("$KV.walferry.CDC.walferry.shapes", R"({"version":1,"tables":{}})");
  const Finished unknown =
      replay(0, {"--from-lsn", from, "--stream", "LATER", "--subject-prefix", "later"});
  EXPECT_TRUE(says(unknown.err, "table public.f: which primary key it had")) << unknown.err;
}

TEST_F(Replay, SaysWhatItsStreamHasDroppedMeanwhile) {
  start();
  exec("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 3000) i");
  wait_stored(3000);
  const std::string from = lsn_text(postgres_.confirmed_flush("walferry"));
  walferry_.stop();
  js().create_stream({{"name", "SMALL"}, {"subjects", {"small.>"}}, {"max_bytes", 256 * 1024}});
  const std::vector<std::string> args = {"--from-lsn",       from,   "--stream", "SMALL",
                                         "--subject-prefix", "small"};
  for (const char* when : {"at its end", "and when it begins again"}) {
    const Finished finished = replay(1, args);
    EXPECT_TRUE(says(finished.err, "has lost a part of this replay: the beginning")) << when;
    EXPECT_TRUE(says(finished.err, "nats stream rm SMALL")) << when;
    EXPECT_EQ(finished.out, "");
  }
}

TEST_F(Replay, RefusesWhatWouldMixStreams) {
  EXPECT_TRUE(says(replay(3, {"--from-lsn", "0/1"}).err, "neither a slot nor a mark"));
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  const std::uint64_t from = postgres_.confirmed_flush("walferry");
  const std::string here = lsn_text(from);
  EXPECT_TRUE(says(replay(2, {"--from-lsn", here, "--stream", "CDC"}).err, "dedup"));
  EXPECT_TRUE(says(replay(2, {"--from-lsn", here, "--subject-prefix", "cdc.x"}).err, "overlap"));
  EXPECT_TRUE(says(replay(2, {"--from-lsn", here, "--to-lsn", here}).err, "not behind"));
  EXPECT_TRUE(says(replay(2, {}).err, "--from-lsn"));
  replay(0, {"--from-lsn", here});
  const Finished other = replay(3, {"--from-lsn", lsn_text(from + 1)});
  EXPECT_TRUE(says(other.err, "nats stream rm CDC_REPLAY")) << other.err;
  exec("INSERT INTO t VALUES (2, 'x')");
  wait_stored(2);
  replay(0, {"--from-lsn", here});
  EXPECT_EQ(js().last_sequence("CDC_REPLAY"), 3U) << "the same, up to a later end, is gone on with";
}

}  // namespace
}  // namespace scenarios
