// The command line: each verb's options arrive, and everything else is a usage error, 2, that says
// on standard error what is wrong and where to read on.
#include "connector/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace connector {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Outcome {
  std::variant<int, Invocation> result;
  std::string out, err;
};

Outcome parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "walferry");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome{
      .result = parse_command_line(static_cast<int>(arguments.size()), arguments.data()),
      .out = "",
      .err = ""};
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

template <class Command>
Command parsed(const std::vector<const char*>& arguments) {
  const Outcome outcome = parse(arguments);
  EXPECT_THAT(outcome.out + outcome.err, IsEmpty());
  return std::get<Command>(std::get<Invocation>(outcome.result).command);
}

// `problem` on standard error, 2, and nothing on standard output.
void expect_refused(const std::vector<const char*>& arguments, const std::string& problem) {
  const Outcome outcome = parse(arguments);
  ASSERT_TRUE(std::holds_alternative<int>(outcome.result)) << problem;
  EXPECT_EQ(std::get<int>(outcome.result), 2) << problem;
  EXPECT_THAT(outcome.err, HasSubstr(problem));
  EXPECT_THAT(outcome.err, HasSubstr("--help"));
  EXPECT_THAT(outcome.out, IsEmpty());
}

class CommandLine : public testing::Test {
 protected:
  void SetUp() override { ::unsetenv("WALFERRY_CONFIG"); }
  void TearDown() override { ::unsetenv("WALFERRY_CONFIG"); }
};

TEST_F(CommandLine, VerifyTakesTablesAndItsFlags) {
  const auto all = parsed<VerifyCommand>({"verify", "--config", "c"});
  EXPECT_TRUE(all.tables.empty());
  EXPECT_FALSE(all.partial || all.json);
  const auto some = parsed<VerifyCommand>(
      {"verify", "public.a", "--partial", "\"S\".\"b.c\"", "--json", "--config", "c"});
  EXPECT_EQ(some.tables, (std::vector<std::string>{"public.a", "\"S\".\"b.c\""}));
  EXPECT_TRUE(some.partial && some.json);
  expect_refused({"verify", "a", "--config", "c"}, "\"a\"");
}

TEST_F(CommandLine, SnapshotTakesTablesAndOneThingToDo) {
  using Action = SnapshotOrder::Action;
  const auto asked = parsed<SnapshotCommand>(
      {"snapshot", "public.a", "\"S\".\"b.c\"", "--where", "id > 1", "--config", "c"});
  EXPECT_EQ(asked.action, Action::snapshot);
  EXPECT_EQ(asked.tables, (std::vector<std::string>{"public.a", "\"S\".\"b.c\""}));
  EXPECT_EQ(asked.where, "id > 1");
  EXPECT_TRUE(asked.wait);
  EXPECT_FALSE(
      parsed<SnapshotCommand>({"snapshot", "public.a", "--no-wait", "--config", "c"}).wait);
  const auto paused = parsed<SnapshotCommand>({"snapshot", "--pause", "--config", "c"});
  EXPECT_EQ(paused.action, Action::pause);
  EXPECT_TRUE(paused.tables.empty());
  EXPECT_EQ(parsed<SnapshotCommand>({"snapshot", "--resume", "public.a", "--config", "c"}).action,
            Action::resume);
  EXPECT_EQ(parsed<SnapshotCommand>({"snapshot", "--cancel", "--config", "c"}).action,
            Action::cancel);
  expect_refused({"snapshot", "--config", "c"}, "no table; name those");
  expect_refused({"snapshot", "a", "--config", "c"}, "\"a\"");
  expect_refused({"snapshot", "public.a", "--where", "", "--config", "c"}, "is empty");
  expect_refused({"snapshot", "public.a", "--where", "true", "--pause", "--config", "c"},
                 "excludes");
  expect_refused({"snapshot", "--cancel", "--pause", "--config", "c"}, "excludes");
}

TEST_F(CommandLine, RunTakesItsFlags) {
  const RunCommand plain = parsed<RunCommand>({"run", "--config", "f"});
  EXPECT_FALSE(plain.adopt || plain.accept_gap || plain.until_current || plain.until_lsn);
  const RunCommand all = parsed<RunCommand>(
      {"run", "--adopt", "--accept-gap", "--config=f", "--until-lsn", "1/16b3748"});
  EXPECT_TRUE(all.adopt && all.accept_gap && !all.until_current);
  EXPECT_EQ(all.until_lsn, pg::Lsn(0x1016B3748));
  EXPECT_TRUE(parsed<RunCommand>({"run", "--config", "f", "--until", "current"}).until_current);
  EXPECT_FALSE(plain.from_lsn);
  EXPECT_EQ(parsed<RunCommand>({"run", "--config", "f", "--from-lsn", "0/10"}).from_lsn,
            pg::Lsn(0x10));
}

TEST_F(CommandLine, SeekTakesAnLsnOrATime) {
  const auto lsn = parsed<SeekCommand>({"seek", "--config", "f", "0/16B3748", "--json"});
  EXPECT_EQ(std::get<pg::Lsn>(lsn.target), pg::Lsn(0x16B3748));
  EXPECT_TRUE(lsn.json);
  const auto time = parsed<SeekCommand>({"seek", "--config", "f", "2000-01-01T00:00:01Z"});
  EXPECT_EQ(std::get<pg::Timestamp>(time.target), pg::Timestamp{1'000'000});
  EXPECT_FALSE(time.json);
  EXPECT_TRUE(std::holds_alternative<pg::Timestamp>(
      parsed<SeekCommand>({"seek", "--config", "f", "5m ago"}).target));
}

TEST_F(CommandLine, MarkMakesListsOrDrops) {
  using Action = MarkCommand::Action;
  const auto mark = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"mark", "--config", "f"});
    return parsed<MarkCommand>(more);
  };
  EXPECT_TRUE(mark({"a_1"}).action == Action::add && mark({"a_1"}).name == "a_1");
  EXPECT_TRUE(mark({"--drop", "a"}).action == Action::drop && mark({"--drop", "a"}).name == "a");
  EXPECT_TRUE(mark({"--list"}).action == Action::list && !mark({"--list"}).json);
  EXPECT_TRUE(mark({}).action == Action::list);
  EXPECT_TRUE(mark({"--json"}).json);
}

TEST_F(CommandLine, ReplayTakesItsRangeAndItsStream) {
  const auto plain = parsed<ReplayCommand>({"replay", "--config", "f", "--from-lsn", "0/10"});
  EXPECT_EQ(plain.from, pg::Lsn(0x10));
  EXPECT_FALSE(plain.to);
  EXPECT_EQ(plain.stream + plain.subject_prefix, "");
  const auto all =
      parsed<ReplayCommand>({"replay", "--config", "f", "--from-lsn", "0/10", "--to-lsn", "0/20",
                             "--stream", "AGAIN", "--subject-prefix", "once.more"});
  EXPECT_EQ(all.to, pg::Lsn(0x20));
  EXPECT_EQ(all.stream, "AGAIN");
  EXPECT_EQ(all.subject_prefix, "once.more");
}

TEST_F(CommandLine, OtherVerbsTakeTheirFlags) {
  EXPECT_FALSE(parsed<CheckCommand>({"check", "--config", "f"}).json);
  EXPECT_TRUE(parsed<CheckCommand>({"check", "--config", "f", "--json"}).json);
  const StatusCommand status = parsed<StatusCommand>({"status", "--config", "f", "--watch"});
  EXPECT_TRUE(status.watch && !status.json);
  EXPECT_TRUE(parsed<StatusCommand>({"status", "--config", "f", "--json"}).json);
  EXPECT_FALSE(parsed<TeardownCommand>({"teardown", "--config", "f"}).yes);
  EXPECT_TRUE(parsed<TeardownCommand>({"teardown", "--config", "f", "--yes"}).yes);
}

TEST_F(CommandLine, TailTakesSubjectAndLast) {
  const TailCommand plain = parsed<TailCommand>({"tail", "--config", "f"});
  EXPECT_THAT(plain.subject, IsEmpty());
  EXPECT_FALSE(plain.json || plain.last || plain.from_lsn);
  const TailCommand all =
      parsed<TailCommand>({"tail", "--config", "f", "cdc.*.orders.>", "--last", "10", "--json"});
  EXPECT_EQ(all.subject, "cdc.*.orders.>");
  EXPECT_EQ(all.last, 10U);
  EXPECT_TRUE(all.json);
  EXPECT_FALSE(plain.diff);
  const TailCommand from =
      parsed<TailCommand>({"tail", "--config", "f", "--from-lsn", "0/10", "--diff", "public.t"});
  EXPECT_EQ(from.from_lsn, pg::Lsn(0x10));
  EXPECT_EQ(from.subject, "public.t");
  EXPECT_TRUE(from.diff);
  EXPECT_EQ(parsed<TailCommand>({"tail", "--config", "f", "\"a b\".c"}).subject, "\"a b\".c");
  EXPECT_EQ(parsed<TailCommand>({"tail", "--config", "f", "status"}).subject, "status");
}

TEST_F(CommandLine, ConfigComesFromTheOptionElseFromTheEnvironment) {
  const auto config_of = [](const std::vector<const char*>& arguments) {
    return std::get<Invocation>(parse(arguments).result).config_file;
  };
  EXPECT_EQ(config_of({"run", "--config", "a.toml"}), "a.toml");
  ::setenv("WALFERRY_CONFIG", "b.toml", 1);
  for (const char* verb : {"run", "check", "status", "tail", "teardown"}) {
    EXPECT_EQ(config_of({verb}), "b.toml");
    EXPECT_EQ(config_of({verb, "--config", "a.toml"}), "a.toml");
  }
}

TEST_F(CommandLine, MissingConfigNamesBothWays) {
  for (const char* verb : {"run", "check", "status", "tail", "teardown"}) {
    expect_refused({verb}, std::string("walferry ") + verb +
                               ": no configuration; give --config FILE or set WALFERRY_CONFIG");
  }
  ::setenv("WALFERRY_CONFIG", "", 1);
  expect_refused({"run"}, "no configuration");
}

TEST_F(CommandLine, VersionNeedsNoConfig) {
  parsed<VersionCommand>({"version"});
  parsed<VersionCommand>({"--version"});
}

TEST_F(CommandLine, HelpGoesToStandardOutputWithAnExample) {
  const Outcome outcome = parse({"--help"});
  EXPECT_EQ(std::get<int>(outcome.result), 0);
  EXPECT_THAT(outcome.err, IsEmpty());
  for (const char* verb : {"run", "check", "status", "tail", "seek", "replay", "mark", "snapshot",
                           "teardown", "version"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("\n  ") + verb + " "));
    const Outcome of_verb = parse({verb, "--help"});
    EXPECT_EQ(std::get<int>(of_verb.result), 0);
    EXPECT_THAT(of_verb.out, HasSubstr(std::string("Example:\n  walferry ") + verb));
  }
  for (const char* verb : {"init"}) {
    EXPECT_THAT(outcome.out, Not(HasSubstr(std::string("\n  ") + verb + " ")));
  }
}

TEST_F(CommandLine, VerbsThatAreNotBuiltAreRefusedByName) {
  for (const char* verb : {"init"}) {
    const std::string problem = std::string(verb) + ": not built yet in this version";
    expect_refused({verb}, problem);
    expect_refused({verb, "--help"}, problem);
    expect_refused({verb, "--config", "f", "x", "--dsn", "y"}, problem);
  }
}

TEST_F(CommandLine, NonsenseIsAUsageError) {
  expect_refused({}, "VERB");
  expect_refused({"rnu"}, "\"rnu\" is no verb; did you mean run?");
  expect_refused(
      {"frobnicate"},
      "there are run, check, status, tail, seek, replay, mark, snapshot, verify, teardown");
  expect_refused({"--config", "f", "run"}, "--config");
  expect_refused({"run", "--config"}, "--config");
  expect_refused({"run", "--config="}, "--config");
  expect_refused({"run", "--config", "f", "--config", "g"}, "--config");
  expect_refused({"run", "--config", "f", "--jsn"}, "--jsn");
  expect_refused({"run", "--config", "f", "extra"}, "extra");
  expect_refused({"run", "--config", "f", "check"}, "check");
  expect_refused({"check", "--config", "f", "--adopt"}, "--adopt");
  expect_refused({"run", "--config", "f", "--from-lsn", "x"}, "no LSN");
  expect_refused({"tail", "--config", "f", "--from-lsn", "0/1", "--last", "1"}, "excludes");
  expect_refused({"tail", "--config", "f", "--diff", "--json"}, "excludes");
  expect_refused({"seek", "--config", "f"}, "LSN-or-TIME");
  expect_refused({"seek", "--config", "f", "yesterday"}, "neither an LSN");
  expect_refused({"mark", "--config", "f", "a", "--drop", "b"}, "excludes");
  expect_refused({"mark", "--config", "f", "--list", "--drop", "b"}, "excludes");
  expect_refused({"mark", "--config", "f", "Big"}, "a-z, 0-9 and _");
  expect_refused({"mark", "--config", "f", "a_mark_b"}, "_mark_");
  expect_refused({"replay", "--config", "f"}, "--from-lsn");
  expect_refused({"replay", "--config", "f", "--from-lsn", "0/1", "--stream", "a.b"}, "--stream");
  expect_refused({"run", "--config", "f", "--until", "now"}, "write --until current");
  expect_refused({"run", "--config", "f", "--until", "current", "--until-lsn", "0/1"}, "excludes");
  expect_refused({"tail", "--config", "f", "a..b"}, "is no NATS subject");
  expect_refused({"tail", "--config", "f", "a", "b"}, "b");
  for (const char* count : {"0", "-1", "x", "1x", "0x10", "1.5", "99999999999999999999"}) {
    expect_refused({"tail", "--config", "f", "--last", count}, "is no number from 1 on");
  }
}

TEST_F(CommandLine, LsnsAreStrict) {
  for (const char* lsn : {"16B3748", "0/", "/1", "0/G", "0/1 ", "0x0/1", "0/123456789", "0/1/2"}) {
    expect_refused(
        {"run", "--config", "f", "--until-lsn", lsn},
        std::string("\"") + lsn + "\" is no LSN; write two hexadecimal numbers, such as 0/16B3748");
  }
}

}  // namespace
}  // namespace connector
