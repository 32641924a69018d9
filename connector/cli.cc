// The verbs, their options and help. What CONTRACT.md names and this version does not have yet is
// known here only to be refused by name, never taken for a typing error and never ignored.
#include "connector/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "connector/config.h"
#include "connector/config_values.h"

namespace connector {
namespace {

constexpr int usage_error = 2;

const std::vector<std::string> verbs{"run",    "check",    "status", "tail",
                                     "verify", "teardown", "version"};
const std::vector<std::string> unbuilt_verbs{"init", "seek", "replay", "mark", "snapshot"};

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

int refuse(std::string_view verb, std::string_view problem) {
  const std::string name = verb.empty() ? "walferry" : fmt::format("walferry {}", verb);
  fmt::print(stderr, "{}: {}\nTry: {} --help\n", name, problem, name);
  return usage_error;
}

// Checks of values: "" for what is good, else what is wrong (CLI11 puts the option's name before).

std::string check_lsn(const std::string& text) {
  return pg::parse_lsn(text)
             ? ""
             : fmt::format("\"{}\" is no LSN; write two hexadecimal numbers, such as 0/16B3748",
                           text);
}

std::optional<std::uint64_t> parse_count(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || number == 0) return std::nullopt;
  return number;
}

std::string check_count(const std::string& text) {
  return parse_count(text) ? "" : fmt::format("\"{}\" is no number from 1 on", text);
}

std::string check_until(const std::string& text) {
  return text == "current"
             ? ""
             : fmt::format("\"{}\" is not known; write --until current, or --until-lsn LSN", text);
}

std::string check_filter(const std::string& text) {
  const std::string problem = check_subject(text);
  return problem.empty() ? "" : fmt::format("\"{}\" {}", text, problem);
}

std::string check_table(const std::string& text) {
  try {
    parse_table_name(text);
    return "";
  } catch (const std::invalid_argument& error) {
    return fmt::format("\"{}\": {}", text, error.what());
  }
}

// What the parser fills in; one for all verbs, since only one of them is given.
struct Given {
  std::string config_file, until_lsn, until, subject, last, from_lsn;
  RunCommand run;
  CheckCommand check;
  StatusCommand status;
  TailCommand tail;
  VerifyCommand verify;
  TeardownCommand teardown;
  bool version = false;
};

CLI::App& add_verb(CLI::App& app, Given& given, const std::string& name,
                   const std::string& description, const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->group("Verbs")->footer("Example:\n  " + example);
  verb->add_option("--config", given.config_file,
                   "The configuration, TOML (else WALFERRY_CONFIG names it)")
      ->type_name("FILE");
  return *verb;
}

// Known, so that it can be refused by name, and in no help.
void add_unbuilt(CLI::App& verb, std::string& given, const std::string& option) {
  verb.add_option(option, given)->group("");
}

void add_run(CLI::App& app, Given& given) {
  CLI::App& run = add_verb(app, given, "run", "Publish committed changes until stopped (SIGTERM)",
                           "walferry run --config walferry.toml");
  run.add_flag("--adopt", given.run.adopt, "Take over a slot that has no saved position");
  run.add_flag("--accept-gap", given.run.accept_gap,
               "Go on where both sides can after a loss, and say what was lost");
  CLI::Option* until_lsn =
      run.add_option("--until-lsn", given.until_lsn,
                     "End with 0 once all that was committed at or before LSN is stored")
          ->type_name("LSN")
          ->check(check_lsn);
  run.add_option("--until", given.until,
                 "\"current\": the same, with the server's position at the start")
      ->type_name("current")
      ->check(check_until)
      ->excludes(until_lsn);
  add_unbuilt(run, given.from_lsn, "--from-lsn");
}

void add_tail(CLI::App& app, Given& given) {
  CLI::App& tail = add_verb(app, given, "tail", "Follow the stream's records",
                            "walferry tail --config walferry.toml --last 10 'cdc.public.orders.>'");
  tail.add_option("SUBJECT", given.subject,
                  "Only these subjects, * and > as in NATS (default: all)")
      ->type_name("")
      ->check(check_filter);
  tail.add_flag("--json", given.tail.json, "The records as they are, one a line");
  tail.add_option("--last", given.last, "Begin with the last N records")
      ->type_name("N")
      ->check(check_count);
  add_unbuilt(tail, given.from_lsn, "--from-lsn");
}

void add_verify(CLI::App& app, Given& given) {
  CLI::App& verify =
      add_verb(app, given, "verify", "Compare the stream, folded by key, with the tables",
               "walferry verify --config walferry.toml public.orders");
  verify.add_option("TABLE", given.verify.tables, "Only these, as schema.table (default: all)")
      ->type_name("")
      ->check(check_table);
  verify.add_flag("--partial", given.verify.partial,
                  "Only the rows that occur in the stream: its beginning may be gone");
  verify.add_flag("--json", given.verify.json, "Every difference and every table, a line each");
}

void add_check_and_status(CLI::App& app, Given& given) {
  CLI::App& check =
      add_verb(app, given, "check", "Say what run needs and lacks, each with its remedy",
               "walferry check --config walferry.toml");
  check.add_flag("--json", given.check.json, "As JSON");
  CLI::App& status = add_verb(app, given, "status", "Position, lag, slot and stream at a glance",
                              "walferry status --config walferry.toml --watch");
  status.add_flag("--json", given.status.json, "As JSON");
  status.add_flag("--watch", given.status.watch, "Again and again, until stopped");
}

void describe(CLI::App& app, Given& given) {
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.get_formatter()->column_width(28);
  app.require_subcommand(0, 1);
  app.add_flag("--version", given.version, "As the verb version");
  app.footer(
      "Example:\n"
      "  walferry check --config walferry.toml && walferry run --config walferry.toml\n\n"
      "WALFERRY_CONFIG in the environment stands for --config.\n"
      "Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 a precondition is not met\n"
      "(walferry check says which); 4 the position is lost (the message says the way out).");
  add_run(app, given);
  add_check_and_status(app, given);
  add_tail(app, given);
  add_verify(app, given);
  CLI::App& teardown =
      add_verb(app, given, "teardown", "Drop slot, publications and saved position",
               "walferry teardown --config walferry.toml --yes");
  teardown.add_flag("--yes", given.teardown.yes, "Do not ask");
  app.add_subcommand("version", "Version and linked libraries")
      ->group("Verbs")
      ->footer("Example:\n  walferry version");
}

Invocation invocation(const std::string& verb, const Given& given) {
  Invocation result{.config_file = given.config_file, .command = VersionCommand{}};
  if (verb == "run") {
    RunCommand run = given.run;
    run.until_lsn = pg::parse_lsn(given.until_lsn);
    run.until_current = given.until == "current";
    result.command = run;
  } else if (verb == "check") {
    result.command = given.check;
  } else if (verb == "status") {
    result.command = given.status;
  } else if (verb == "tail") {
    TailCommand tail = given.tail;
    tail.subject = given.subject;
    tail.last = parse_count(given.last);
    result.command = tail;
  } else if (verb == "verify") {
    result.command = given.verify;
  } else if (verb == "teardown") {
    result.command = given.teardown;
  }
  return result;
}

// The verb comes first, so it can be judged before CLI11 sees the rest.
std::optional<int> refuse_verb(const std::string& verb) {
  if (verb.empty() || verb[0] == '-' || contains(verbs, verb)) return std::nullopt;
  if (contains(unbuilt_verbs, verb)) return refuse("", verb + ": not built yet in this version");
  const std::string best = nearest(verb, verbs);
  return refuse("", fmt::format("\"{}\" is no verb; {}", verb,
                                best.empty() ? fmt::format("there are {}", fmt::join(verbs, ", "))
                                             : fmt::format("did you mean {}?", best)));
}

}  // namespace

std::variant<int, Invocation> parse_command_line(int argc, const char* const* argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (const std::optional<int> refused = refuse_verb(first)) return *refused;
  Given given;
  CLI::App app("walferry publishes PostgreSQL's committed changes to NATS JetStream, each once.",
               "walferry");
  describe(app, given);
  const auto chosen = [&app]() -> std::string {
    const std::vector<CLI::App*> parsed = app.get_subcommands();
    return parsed.empty() ? "" : parsed.front()->get_name();
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    return refuse(chosen(), error.what());
  }
  const std::string verb = chosen();
  if (given.version || verb == "version") return invocation("version", given);
  if (verb.empty()) {
    fmt::print(stderr, "{}", app.help());
    return usage_error;
  }
  if (!given.from_lsn.empty()) return refuse(verb, "--from-lsn: not built yet in this version");
  const char* from_environment = std::getenv("WALFERRY_CONFIG");
  if (given.config_file.empty() && from_environment != nullptr) {
    given.config_file = from_environment;
  }
  if (given.config_file.empty()) {
    return refuse(verb, "no configuration; give --config FILE or set WALFERRY_CONFIG");
  }
  return invocation(verb, given);
}

}  // namespace connector
