// The configuration: every key that is accepted reaches its field with the meaning that CONTRACT
// gives it, and the files in config/ agree with the parser.
#include "connector/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "tests/connector/config_text.h"

namespace connector {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::string reference_file = WALFERRY_SOURCE_DIR "/config/reference.toml";
const std::string minimal_file = WALFERRY_SOURCE_DIR "/config/minimal.toml";

Config parsed(const std::string& setting) { return parse_config(with(setting), "f.toml"); }

// The keys of a file, found without a TOML parser.
std::set<std::string> keys_written_in(const std::string& file) {
  std::ifstream stream(file);
  std::set<std::string> keys;
  std::string section;
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      section = line.substr(line.find_first_not_of('['));
      section.resize(section.find(']'));
    } else {
      keys.insert(section + "." + line.substr(0, line.find_first_of(" =")));
    }
  }
  return keys;
}

TEST(ConfigFiles, ReferenceHoldsTheDefaults) {
  Config defaults;
  defaults.file = reference_file;
  defaults.source.dsn = "host=/var/run/postgresql dbname=app user=walferry";
  defaults.source.publication = "walferry";
  defaults.tables = {{.schema = "public", .table = "orders", .pattern = false}};
  OutboxConfig outbox;
  outbox.schema = "public";
  outbox.table = "outbox";
  defaults.outboxes = {outbox};
  TableConfig events{.schema = "public", .table = "outbox", .pattern = false};
  events.ops = {.insert = true, .update = false, .remove = false, .truncate = false};
  events.snapshot = false;
  events.outbox = outbox;
  defaults.tables.push_back(events);
  EXPECT_TRUE(load_config(reference_file) == defaults);
}

TEST(ConfigFiles, ReferenceHoldsExactlyTheKnownKeys) {
  const std::vector<std::string> known = known_keys();
  const std::set<std::string> unique(known.begin(), known.end());
  EXPECT_EQ(unique.size(), known.size());
  EXPECT_GT(known.size(), 50U);
  EXPECT_EQ(keys_written_in(reference_file), unique);
}

TEST(ConfigFiles, MinimalMeansTheDefaults) {
  Config expected;
  expected.file = minimal_file;
  expected.source.dsn = "host=/var/run/postgresql dbname=app user=walferry";
  expected.source.publication = "walferry";
  expected.tables = {{.schema = "public", .table = "*", .pattern = true}};
  EXPECT_TRUE(load_config(minimal_file) == expected);
}

TEST(ConfigFiles, UnreadableFileIsNamedWithTheReason) {
  const auto problem_of = [](const std::string& file) -> std::string {
    try {
      load_config(file);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(problem_of("/nonexistent/w.toml"),
            "/nonexistent/w.toml: cannot be read: No such file or directory");
  EXPECT_EQ(problem_of("/"), "/: cannot be read: Is a directory");
}

// No key at its default, but for origin, which one of the others does not go together with.
const std::string every_key = R"(
[source]
dsn = "postgresql://w@db1,db2/app"
slot = "s_1"
publication = "My Pub"
exclude_tables = ["public.x", 'a."*"']
messages = ["audit", "*"]
origin = "any"
replay_window = "90s"
replay_window_max = "0"
streaming = "on"
spill_dir = "/tmp"
spill_max = "1MiB"
[nats]
url = "nats://a:1, tls://[::1]:2,nats://u:p@b"
user = "u"
password = "p"
domain = "hub"
[stream]
name = "S"
subject_prefix = "a.b"
create = false
storage = "memory"
subjects = ["x.>", "y.*.z"]
discard = "new"
compression = "s2"
replicas = 3
max_age = "7d"
max_bytes = "2GiB"
duplicate_window = "250ms"
placement_tags = ["ssd"]
[publish]
format = "debezium"
max_in_flight = 10000
max_in_flight_bytes = "64MiB"
pack = "transaction"
oversize = "split"
max_message = "64MiB"
[[table]]
name = "public.*"
snapshot = "never"
exclude = ["secret", "A b"]
[[table]]
name = "public.orders"
snapshot = "never"
columns = ["id", "email"]
mask = { email = "hash", "A b" = "redact" }
ops = ["delete", "insert"]
where = "id > 5"
key = ["email", "id"]
[snapshot]
workers = 16
chunk_rows = 7
[log]
level = "trace"
format = "json"
keys = true
)";

TEST(Config, EveryKeyReachesItsField) {
  Config expected;
  expected.file = "f.toml";
  expected.source = {.dsn = "postgresql://w@db1,db2/app",
                     .slot = "s_1",
                     .publication = "My Pub",
                     .exclude_tables = {"public.x", "a.\"*\""},
                     .messages = {"audit", "*"},
                     .origin = "any",
                     .replay_window = milliseconds(90'000),
                     .replay_window_max = 0,
                     .streaming = "on",
                     .spill_dir = "/tmp",
                     .spill_max = 1ULL << 20};
  expected.nats.url = "nats://a:1,tls://[::1]:2,nats://u:p@b";
  expected.nats.user = "u";
  expected.nats.password = "p";
  expected.nats.domain = "hub";
  expected.stream = {.name = "S",
                     .subject_prefix = "a.b",
                     .create = false,
                     .storage = "memory",
                     .subjects = {"x.>", "y.*.z"},
                     .discard = "new",
                     .compression = "s2",
                     .replicas = 3,
                     .max_age = std::chrono::hours(7 * 24),
                     .max_bytes = 2LL << 30,
                     .duplicate_window = milliseconds(250),
                     .placement_tags = {"ssd"}};
  expected.publish = {.format = "debezium",
                      .order = "strict",
                      .max_in_flight = 10'000,
                      .max_in_flight_bytes = 64ULL << 20,
                      .pack = "transaction",
                      .max_message = 64ULL << 20,
                      .oversize = "split"};
  expected.tables = {{.schema = "public",
                      .table = "*",
                      .pattern = true,
                      .exclude = {"secret", "A b"},
                      .snapshot = false},
                     {.schema = "public",
                      .table = "orders",
                      .columns = {"id", "email"},
                      .mask = {{"email", Mask::hash}, {"A b", Mask::redact}},
                      .ops = {.update = false, .truncate = false},
                      .where = "id > 5",
                      .key = {"email", "id"},
                      .snapshot = false}};
  expected.snapshot = {.workers = 16, .chunk_rows = 7};
  expected.log = {.level = "trace", .format = "json", .keys = true};
  EXPECT_TRUE(parse_config(every_key, "f.toml") == expected);
}

TEST(Config, UnitsAreExact) {
  const std::pair<const char*, std::int64_t> durations[] = {{"0", 0},
                                                            {"0s", 0},
                                                            {"250ms", 250},
                                                            {"30s", 30'000},
                                                            {"2m", 120'000},
                                                            {"3h", 10'800'000},
                                                            {"36500d", 36'500LL * 86'400'000}};
  for (const auto& [text, ms] : durations) {
    EXPECT_EQ(
        parsed("source.replay_window = \"" + std::string(text) + "\"").source.replay_window.count(),
        ms);
  }
  const std::pair<const char*, std::uint64_t> sizes[] = {
      {"0", 0},
      {"512B", 512},
      {"64KiB", 65'536},
      {"8MiB", 8ULL << 20},
      {"10GiB", 10ULL << 30},
      {"1TiB", 1ULL << 40},
      {"9223372036854775807B", 9'223'372'036'854'775'807ULL}};
  for (const auto& [text, bytes] : sizes) {
    EXPECT_EQ(
        parsed("source.replay_window_max = \"" + std::string(text) + "\"").source.replay_window_max,
        bytes);
  }
  EXPECT_EQ(parsed("stream.max_bytes = 5").stream.max_bytes, 5);
}

TEST(Config, BadDurationsAndSizesAreRefused) {
  for (const char* text : {"", "5", "-1s", "1.5s", " 1s", "1s ", "1 s", "1S", "1w", "36501d", "s",
                           "+1s", "99999999999999999999s", "18446744073709551615d"}) {
    EXPECT_THAT(problems_of(with("source.replay_window = \"" + std::string(text) + "\"")),
                ElementsAre(HasSubstr("is no duration; write a whole number and ms, s, m, h or d")))
        << text;
  }
  for (const char* text : {"", "5", "-1B", "1MB", "1mib", "1 MiB", "1.5GiB", "9223372036854775808B",
                           "8388608TiB", "18446744073709551616B"}) {
    EXPECT_THAT(problems_of(with("source.replay_window_max = \"" + std::string(text) + "\"")),
                ElementsAre(HasSubstr("is no size; write a whole number and B, KiB, MiB")))
        << text;
  }
}

TEST(Config, PublicationIsTheSlotUnlessNamed) {
  EXPECT_EQ(parsed("source.slot = \"one\"").source.publication, "one");
  EXPECT_EQ(parsed("source.publication = \"two\"").source.publication, "two");
  const std::string longest(56, 'p');
  EXPECT_EQ(parsed("source.slot = \"" + longest + "\"").source.publication, longest);
}

TEST(Config, ExactNameBesidePatternIsNoDuplicate) {
  const Config c =
      parse_config(with_in_table("[[table]]\nname = \"public.*\"\nsnapshot = \"never\"\n"
                                 "[[table]]\nname = 'public.\"*\"'\nsnapshot = \"never\""),
                   "f.toml");
  std::vector<std::string> names;
  for (const TableConfig& table : c.tables) {
    names.push_back(table.schema + "." + table.table + (table.pattern ? ", a pattern" : ""));
    EXPECT_FALSE(table.snapshot);
  }
  EXPECT_THAT(names, ElementsAre("public.a", "public.*, a pattern", "public.*"));
}

TEST(Config, EnvironmentIsSubstitutedInStringsAndArrays) {
  const Variable one("WALFERRY_TEST_ONE", "first");
  const Variable empty("WALFERRY_TEST_EMPTY", "");
  EXPECT_EQ(
      parsed("nats = { user = \"u\", password = \"a${WALFERRY_TEST_ONE}b$${x}$\" }").nats.password,
      "afirstb${x}$");
  EXPECT_EQ(parsed("nats.token = \"${WALFERRY_TEST_EMPTY}\"").nats.token, "");
  EXPECT_THAT(
      parsed("stream.subjects = [\"${WALFERRY_TEST_ONE}.${WALFERRY_TEST_ONE}\"]").stream.subjects,
      ElementsAre("first.first"));
}

TEST(Config, EnvironmentThatIsUnsetOrMalformedIsRefused) {
  EXPECT_THAT(problems_of(with("nats.token = \"${WALFERRY_TEST_UNSET}\"")),
              ElementsAre(StartsWith("f.toml:1: nats.token: uses the environment variable "
                                     "WALFERRY_TEST_UNSET, which is not set")));
  for (const char* text : {"${", "${}", "${A", "${1A}", "${A-B}", "${ A}"}) {
    EXPECT_THAT(problems_of(with("nats.token = \"" + std::string(text) + "\"")),
                ElementsAre(HasSubstr("has a ${ that begins no variable")))
        << text;
  }
}

TEST(ConfigError, SaysAllProblemsLineByLine) {
  const ConfigError error({"a", "b"});
  EXPECT_STREQ(error.what(), "a\nb");
  EXPECT_THAT(error.problems(), ElementsAre("a", "b"));
}

TEST(TableName, PartsAreLiteralOrQuoted) {
  const std::pair<const char*, TableConfig> names[] = {
      {"public.orders", {.schema = "public", .table = "orders"}},
      {"Public.Ördérs 2", {.schema = "Public", .table = "Ördérs 2"}},
      {R"("a.b"."c""d")", {.schema = "a.b", .table = "c\"d"}},
      {R"(public."*")", {.schema = "public", .table = "*"}},
      {R"("*".x)", {.schema = "*", .table = "x"}},
      {"public.*", {.schema = "public", .table = "*", .pattern = true}},
      {R"("a b".*)", {.schema = "a b", .table = "*", .pattern = true}},
  };
  for (const auto& [name, table] : names) EXPECT_EQ(parse_table_name(name), table) << name;
}

TEST(TableName, MalformedNamesSayWhy) {
  const std::pair<std::string, const char*> names[] = {
      {"", "is empty"},
      {"orders", "has no schema"},
      {"\"a.b\"", "has no schema"},
      {".orders", "has an empty part"},
      {"public.", "has an empty part"},
      {"public.\"\"", "has an empty part"},
      {"a.b.c", "has more than two parts"},
      {"a.\"b", "never closed"},
      {"a.\"", "never closed"},
      {"a.\"b\"\"", "never closed"},
      {"a.\"b\"c", "goes on behind a closing double quote"},
      {"a.b\"c\"", "has a double quote inside of a bare name"},
      {"a.ord*", "is no pattern that is known"},
      {"*.*", "is no pattern that is known"},
      {"a." + std::string(64, 'x'), "more than 63 bytes"},
      {std::string("a.b\0c", 5), "has a NUL in it"},
  };
  for (const auto& [name, reason] : names) {
    try {
      parse_table_name(name);
      ADD_FAILURE() << name << " was accepted";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(reason)) << name;
    }
  }
}

}  // namespace
}  // namespace connector
