// `seek` against a linear search by a reader of the test's own, and `tail` from where it leads.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "tests/scenarios/verbs_rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

bool is_long() { return std::getenv("WALFERRY_TEST_LONG") != nullptr; }

// What a reader sees of a stored message.
struct Seen {
  std::uint64_t sequence = 0;
  std::uint64_t commit_lsn = 0;
  bool schema = false;
  std::string time;  // of the commit, ISO 8601; empty: none of its own
};

std::string iso(std::int64_t micros) {
  const std::time_t whole = micros / 1'000'000;
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime(&whole));
  std::string fraction = std::to_string(micros % 1'000'000);
  fraction.insert(0, 6 - fraction.size(), '0');
  return std::string(text, length) + "." + fraction + "Z";
}

std::int64_t micros_of(const std::string& time) {
  std::tm parts{};
  strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  return timegm(&parts) * 1'000'000 + std::stoll(time.substr(20, 6));
}

std::string time_in(const Stored& message) {
  const json body = json::parse(message.payload, nullptr, false);
  if (!body.is_object()) return "";
  if (body.contains("commit_ts")) return body["commit_ts"];
  if (!body.contains("source")) return "";
  const std::int64_t micros = body["source"]["ts_us"];
  return micros == 0 ? "" : iso(micros);
}

std::vector<Seen> seen_in(const std::vector<Stored>& stored) {
  std::vector<Seen> all;
  for (const Stored& message : stored) {
    const auto id = message.headers.find("Nats-Msg-Id");
    if (id == message.headers.end() || !id->second.starts_with("walferry:")) continue;
    Seen seen{.sequence = message.sequence, .time = ""};
    seen.commit_lsn = std::stoull(id->second.substr(9, 16), nullptr, 16);
    seen.schema = id->second.ends_with(":schema");
    if (!seen.schema) seen.time = time_in(message);
    all.push_back(seen);
  }
  return all;
}

std::optional<std::uint64_t> first_at_lsn(const std::vector<Seen>& all, std::uint64_t lsn) {
  for (const Seen& seen : all) {
    if (seen.commit_lsn >= lsn) return seen.sequence;
  }
  return std::nullopt;
}

// The first whose running maximum reaches the time; the announcement of its table's shape just
// before belongs to it.
std::optional<std::uint64_t> first_at_time(const std::vector<Seen>& all, const std::string& time) {
  std::string maximum;
  for (std::size_t i = 0; i < all.size(); ++i) {
    maximum = std::max(maximum, all[i].time);
    if (maximum < time) continue;
    while (i > 0 && all[i - 1].schema && all[i - 1].commit_lsn == all[i].commit_lsn &&
           all[i - 1].sequence + 1 == all[i].sequence) {
      --i;
    }
    return all[i].sequence;
  }
  return std::nullopt;
}

class Seek : public VerbsInDepth, public testing::WithParamInterface<std::string> {
 protected:
  json seek(const std::string& target) {
    const Finished finished = walferry_.verb({"seek", "--json", target});
    EXPECT_EQ(finished.exit.code, 0) << finished.err;
    return json::parse(finished.out);
  }
  static std::optional<std::uint64_t> sequence_in(const json& answer) {
    if (answer["sequence"].is_null()) return std::nullopt;
    return answer["sequence"].get<std::uint64_t>();
  }
  std::uint64_t upto(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound)(random_);
  }
  void expect_agreement(const std::vector<Seen>& all, int questions) {
    const std::uint64_t low = all.front().commit_lsn;
    const std::uint64_t high = all.back().commit_lsn;
    for (int i = 0; i < questions; ++i) {
      std::uint64_t lsn = low - 50 + upto(high - low + 100);
      if (i % 3 == 0) lsn = all[upto(all.size() - 1)].commit_lsn;
      const json answer = seek(lsn_text(lsn));
      EXPECT_EQ(sequence_in(answer), first_at_lsn(all, lsn)) << lsn_text(lsn);
      EXPECT_LT(answer["messages_read"].get<int>(), 120);
    }
    std::vector<std::string> times;
    for (const Seen& seen : all) {
      if (!seen.time.empty()) times.push_back(seen.time);
    }
    for (int i = 0; i < questions; ++i) {
      std::string time = times[upto(times.size() - 1)];
      if (i % 2 == 0) {
        time = iso(micros_of(time) + static_cast<std::int64_t>(upto(4000)) - 2000);
      }
      EXPECT_EQ(sequence_in(seek(time)), first_at_time(all, time)) << time;
    }
  }

  std::mt19937_64 random_{std::random_device()()};
};

TEST_P(Seek, AgreesWithALinearSearch) {
  settings().set_string("publish", "format", GetParam());
  settings().set("source", "messages", "[\"*\"]");
  create_load_tables();
  start();
  {
    Load load(postgres_.conninfo(), {.writers = 6, .pause = Milliseconds(0)});
    for (int i = 0; i < (is_long() ? 60 : 6); ++i) {
      load.wait_for_more(50);
      exec(
          "SELECT pg_logical_emit_message(false, 'p', '{\"commit_ts\":\"2001-01-01T00:00:00Z\"}')");
      exec("SELECT pg_logical_emit_message(true, 'p', 'x')");
    }
  }
  exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3000) i");
  wait_until([&] { return js().count("CDC", "cdc.public.t.insert") == 3000; }, seconds(60), "all");
  walferry_.stop();
  js().publish("cdc.foreign", "nothing of walferry's");
  expect_agreement(seen_in(js().read("CDC")), is_long() ? 200 : 20);
  // The same with holes of all sizes, the stream's ends among them.
  const std::uint64_t last = js().last_sequence("CDC");
  for (int hole = 0; hole < 12; ++hole) {
    const std::uint64_t begin = hole == 0 ? 1 : 1 + upto(last - 40);
    for (std::uint64_t i = 0; i <= upto(30); ++i) {
      js().ask("STREAM.MSG.DELETE.CDC", {{"seq", begin + i}});
    }
  }
  expect_agreement(seen_in(js().read("CDC")), is_long() ? 200 : 20);
}

INSTANTIATE_TEST_SUITE_P(Formats, Seek, testing::Values("json", "debezium", "cloudevents"),
                         [](const auto& format) { return format.param; });

class SeekAndTail : public VerbsInDepth {};

TEST_F(SeekAndTail, BeforeAllIsTheFirstAndBehindAllIsSaid) {
  Finished none = walferry_.verb({"seek", "0/1"});
  EXPECT_EQ(none.exit.code, 3) << none.err;
  EXPECT_TRUE(says(none.err, "does not exist")) << none.err;
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  for (const std::string early : {"0/1", "2001-01-01", "100d ago"}) {
    const Finished first = walferry_.verb({"seek", early});
    EXPECT_TRUE(says(first.out, "sequence   1\n")) << first.out;
    EXPECT_TRUE(says(first.out, "nats consumer add CDC NAME --pull --deliver=1 ")) << first.out;
  }
  const Finished last = walferry_.verb({"seek", "FF/0"});
  EXPECT_EQ(last.exit.code, 0) << last.err;
  EXPECT_TRUE(says(last.out, "no record at or after FF/0: its last message is 2")) << last.out;
  EXPECT_TRUE(says(last.out, "--deliver=new")) << last.out;
  EXPECT_EQ(json::parse(walferry_.verb({"seek", "--json", "2999-01-01"}).out)["sequence"], nullptr);
}

TEST_F(SeekAndTail, ARecordInPartsIsFoundAtItsFirst) {
  settings().set_string("publish", "oversize", "split");
  settings().set_string("publish", "max_message", "4KiB");
  start();
  exec("INSERT INTO t VALUES (1, 'one')");
  exec("INSERT INTO t VALUES (2, repeat('x', 9000))");
  exec("INSERT INTO t VALUES (3, 'three')");
  wait_stored(5);
  const auto all = js().read("CDC");
  ASSERT_EQ(all.size(), 6U);
  const std::string whole = all[2].payload + all[3].payload + all[4].payload;
  const std::string time = json::parse(whole)["commit_ts"];
  const json answer = json::parse(walferry_.verb({"seek", "--json", time}).out);
  EXPECT_EQ(answer["sequence"], 3);
  EXPECT_EQ(answer["commit_ts"], time);
}

TEST_F(SeekAndTail, TailBeginsAtAnLsnWithATable) {
  create_table("u", "id int PRIMARY KEY");
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  exec("INSERT INTO u VALUES (1)");
  exec("INSERT INTO t VALUES (2, 'x')");
  wait_stored(3);
  const std::uint64_t from = records().at(1).commit_lsn;
  Process all(spawn({"tail", "--json", "--from-lsn", lsn_text(from)}, "all", "err"));
  Process table(
      spawn({"tail", "--json", "--from-lsn", lsn_text(from), "public.t"}, "table", "err"));
  wait_printed(3, "all");
  wait_printed(1, "table");
  EXPECT_EQ(printed("all").at(1), records().at(1).payload) << "behind its table's shape";
  EXPECT_EQ(printed("table").front(), records().at(2).payload);
  Process later(spawn({"tail", "--json", "--from-lsn", "FF/0", "public.*"}, "later", "late"));
  wait_until([&] { return says(read_file(dir_.file("late")), "following what comes now"); },
             seconds(20), "the word that nothing is there");
  exec("INSERT INTO u VALUES (2)");
  wait_printed(1, "later");
  EXPECT_EQ(printed("later").size(), 1U);
  const Finished bad = walferry_.verb({"tail", "nowhere"});
  EXPECT_EQ(bad.exit.code, 2);
  EXPECT_TRUE(says(bad.err, "no table's name")) << bad.err;
}

TEST_F(SeekAndTail, TailShowsUpdatesColumnByColumn) {
  exec("ALTER TABLE t REPLICA IDENTITY FULL");
  start();
  exec("INSERT INTO t VALUES (1, 'old')");
  exec("UPDATE t SET v = 'new'");
  wait_stored(2);
  Process diff(spawn({"tail", "--diff", "--last", "2"}, "out", "err"));
  wait_printed(3);
  EXPECT_EQ(printed().at(2), "    v  old → new");
}

}  // namespace
}  // namespace scenarios
