// The other verbs: check says what is wrong and how to mend it, status and tail show, teardown
// leaves nothing behind, version tells.
#include <algorithm>
#include <sstream>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

class Verbs : public Scenario {
 protected:
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
};

TEST_F(Verbs, CheckOfASoundSetUpIsOkAndChangesNothing) {
  const Finished finished = walferry_.verb({"check"});
  EXPECT_EQ(finished.exit.code, 0) << finished.out << finished.err;
  EXPECT_TRUE(says(finished.out, "ok"));
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  EXPECT_EQ(postgres_.value("SELECT count(*) FROM pg_publication"), "0");
  EXPECT_FALSE(js().stream("CDC").has_value());
}

TEST_F(Verbs, CheckNamesWhatIsMissingAndTheCommandThatMendsIt) {
  exec("CREATE ROLE plain LOGIN");
  settings().set_string("source", "dsn", postgres_.conninfo("plain"));
  settings().table("public.no_such_table");
  const Finished finished = walferry_.verb({"check"});
  EXPECT_EQ(finished.exit.code, 3) << finished.out << finished.err;
  EXPECT_TRUE(says(finished.out, "fail")) << finished.out;
  EXPECT_TRUE(says(finished.out, "ALTER ROLE")) << finished.out;
  EXPECT_TRUE(says(finished.out, "no_such_table")) << finished.out;
}

TEST_F(Verbs, CheckAsJsonIsOneDocumentThatAgreesWithItsExitCode) {
  const Finished good = walferry_.verb({"check", "--json"});
  EXPECT_EQ(good.exit.code, 0) << good.err;
  EXPECT_EQ(good.out.find("\"fail\""), std::string::npos) << good.out;
  EXPECT_FALSE(json::parse(good.out).empty());
  settings().table("public.no_such_table");
  const Finished bad = walferry_.verb({"check", "--json"});
  EXPECT_EQ(bad.exit.code, 3);
  EXPECT_NE(json::parse(bad.out).dump().find("\"fail\""), std::string::npos) << bad.out;
}

TEST_F(Verbs, CheckWarnsAboutATableThatCanOnlyBeInsertedInto) {
  create_table("keyless", "id int");
  const Finished finished = walferry_.verb({"check"});
  EXPECT_EQ(finished.exit.code, 0) << finished.out << finished.err;
  EXPECT_TRUE(says(finished.out, "warn") && says(finished.out, "keyless")) << finished.out;
}

TEST_F(Verbs, StatusShowsPositionSlotAndStream) {
  start();
  exec("INSERT INTO t VALUES (1, 'x'), (2, 'y')");
  wait_stored(2);
  const Finished text = walferry_.verb({"status"});
  EXPECT_EQ(text.exit.code, 0) << text.err;
  EXPECT_TRUE(says(text.out, "walferry") && says(text.out, "CDC")) << text.out;
  EXPECT_FALSE(lsns_in(text.out).empty()) << text.out;
  const Finished machine = walferry_.verb({"status", "--json"});
  EXPECT_EQ(machine.exit.code, 0) << machine.err;
  EXPECT_TRUE(json::parse(machine.out).is_object());
  EXPECT_TRUE(walferry_.running());
}

TEST_F(Verbs, TailShowsTheLastRecordsAsTheyAreStored) {
  start();
  exec("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i");
  wait_stored(20);
  // tail follows: what it has printed is read while it runs.
  const TempDir dir;
  Process tail(Spawn{.argv = {walferry_binary(), "tail", "--json", "--last", "3", "--config",
                              walferry_.config_file()},
                     .stdout_file = dir.file("out")});
  const auto lines = [&] {
    const std::string out = read_file(dir.file("out"));
    return std::count(out.begin(), out.end(), '\n');
  };
  wait_until([&] { return lines() >= 3; }, seconds(20), "three records");
  exec("INSERT INTO t VALUES (21, 'v21')");
  wait_until([&] { return lines() >= 4; }, seconds(20), "and the next one");
  tail.send(SIGTERM);
  EXPECT_EQ(tail.wait_exit(seconds(10)).code, 0);
  std::istringstream out(read_file(dir.file("out")));
  int id = 18;
  for (std::string line; std::getline(out, line); ++id) {
    EXPECT_NE(line.find("\"v" + std::to_string(id) + "\""), std::string::npos) << line;
    EXPECT_TRUE(json::accept(line)) << line;
  }
  EXPECT_EQ(id, 22);
}

TEST_F(Verbs, TeardownDropsSlotPublicationsAndSavedPosition) {
  create_table("keyless", "id int");
  exec("CREATE PUBLICATION of_someone_else FOR TABLE t");
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  walferry_.stop();
  EXPECT_TRUE(js().key_value("walferry", "CDC.walferry").has_value());
  const Finished finished = walferry_.verb({"teardown", "--yes"});
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
  EXPECT_EQ(postgres_.value("SELECT string_agg(pubname, ',') FROM pg_publication"),
            "of_someone_else");
  EXPECT_EQ(js().key_value("walferry", "CDC.walferry").value_or(""), "");
  EXPECT_EQ(stored_records(), 1U) << "the records are the user's";
}

TEST_F(Verbs, TeardownWithoutAYesChangesNothing) {
  start();
  walferry_.stop();
  EXPECT_NE(walferry_.verb({"teardown"}).exit.code, 0);  // standard input is empty
  EXPECT_TRUE(postgres_.slot_exists("walferry"));
}

TEST_F(Verbs, LogsAsJsonAreOneObjectALine) {
  settings().set_string("log", "format", "json");
  exec("CREATE TABLE \"keyless \"\"quoted\"\"\" (id int)");
  settings().table("public.\"keyless \"\"quoted\"\"\"");  // a warning with quotes in it
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  wait_stored(1);
  walferry_.stop();
  std::istringstream log(walferry_.log());
  int lines = 0;
  for (std::string line; std::getline(log, line); ++lines) {
    EXPECT_TRUE(json::accept(line)) << line;
  }
  EXPECT_GT(lines, 3);
}

TEST_F(Verbs, ConfigIsAlsoReadFromTheEnvironment) {
  write_file(walferry_.config_file(), settings().to_toml());
  const Finished finished = run_to_end(
      {.argv = {walferry_binary(), "check"}, .env = {"WALFERRY_CONFIG=" + walferry_.config_file()}},
      seconds(20));
  EXPECT_EQ(finished.exit.code, 0) << finished.err;
}

TEST(Version, NamesItselfAndItsLibraries) {
  const Finished finished = run_to_end({.argv = {walferry_binary(), "version"}}, seconds(10));
  EXPECT_EQ(finished.exit.code, 0);
  EXPECT_TRUE(says(finished.out, "walferry") && says(finished.out, "libpq") &&
              says(finished.out, "nats"))
      << finished.out;
}

TEST(Version, VerbsThatAreNotBuiltYetAreRefused) {
  for (const char* verb : {"init", "seek", "replay", "mark", "snapshot"}) {
    EXPECT_EQ(run_to_end({.argv = {walferry_binary(), verb}}, seconds(10)).exit.code, 2) << verb;
  }
}

}  // namespace
}  // namespace scenarios
