// The verbs, their options and help. What CONTRACT.md names and this version does not have yet is
// known here only to be refused by name, never taken for a typing error and never ignored.
#include "connector/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "connector/cli_values.h"
#include "connector/config_values.h"

namespace connector {
namespace {

constexpr int usage_error = 2;

const std::vector<std::string> verbs{"run",  "check",    "status", "tail",     "seek",   "replay",
                                     "mark", "snapshot", "verify", "teardown", "version"};
const std::vector<std::string> unbuilt_verbs{"init"};

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

int refuse(std::string_view verb, std::string_view problem) {
  const std::string name = verb.empty() ? "walferry" : fmt::format("walferry {}", verb);
  fmt::print(stderr, "{}: {}\nTry: {} --help\n", name, problem, name);
  return usage_error;
}

// What the parser fills in; one for all verbs, since only one of them is given.
struct Given {
  std::string config_file, until_lsn, until, subject, last, from_lsn, to_lsn, target, mark, drop;
  RunCommand run;
  CheckCommand check;
  StatusCommand status;
  TailCommand tail;
  SeekCommand seek;
  MarkCommand mark_command;
  ReplayCommand replay;
  VerifyCommand verify;
  SnapshotCommand snapshot;
  TeardownCommand teardown;
  bool pause = false, resume = false, cancel = false, no_wait = false;
  bool list = false;
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

CLI::Option* add_lsn(CLI::App& verb, std::string& given, const std::string& option,
                     const std::string& description) {
  return verb.add_option(option, given, description)->type_name("LSN")->check(check_lsn);
}

void add_run(CLI::App& app, Given& given) {
  CLI::App& run = add_verb(app, given, "run", "Publish committed changes until stopped (SIGTERM)",
                           "walferry run --config walferry.toml");
  run.add_flag("--adopt", given.run.adopt, "Take over a slot that has no saved position");
  run.add_flag("--accept-gap", given.run.accept_gap,
               "Go on where both sides can after a loss, and say what was lost");
  CLI::Option* until_lsn =
      add_lsn(run, given.until_lsn, "--until-lsn",
              "End with 0 once all that was committed at or before LSN is stored");
  run.add_option("--until", given.until,
                 "\"current\": the same, with the server's position at the start")
      ->type_name("current")
      ->check(check_until)
      ->excludes(until_lsn);
  run.add_flag(
      "--once", given.run.once,
      "Without a slot (polling, snapshot-diff): end with 0 once what there is now is stored");
  add_lsn(run, given.from_lsn, "--from-lsn",
          "Begin an empty stream at LSN, as far back as slot and marks reach");
}

void add_tail(CLI::App& app, Given& given) {
  CLI::App& tail = add_verb(app, given, "tail", "Follow the stream's records",
                            "walferry tail --config walferry.toml --last 10 'cdc.public.orders.>'");
  tail.add_option("SUBJECT", given.subject,
                  "Only these subjects, * and > as in NATS, or a table: public.orders")
      ->type_name("")
      ->check(check_filter);
  tail.add_flag("--json", given.tail.json, "The records as they are, one a line");
  tail.add_flag("--diff", given.tail.diff, "Updates column by column, the old value and the new")
      ->excludes("--json");
  CLI::Option* last = tail.add_option("--last", given.last, "Begin with the last N records")
                          ->type_name("N")
                          ->check(check_count);
  add_lsn(tail, given.from_lsn, "--from-lsn", "Begin with the first record at or after LSN")
      ->excludes(last);
}

void add_seek(CLI::App& app, Given& given) {
  CLI::App& seek = add_verb(app, given, "seek", "Where in the stream an LSN or a time is",
                            "walferry seek --config walferry.toml 2026-11-23T10:00:00Z");
  seek.add_option("LSN-or-TIME", given.target,
                  "0/16B3748; ISO 8601, UTC unless it says otherwise; or \"5m ago\"")
      ->type_name("")
      ->check(check_target)
      ->required();
  seek.add_flag("--json", given.seek.json, "As JSON");
}

void add_mark(CLI::App& app, Given& given) {
  CLI::App& mark = add_verb(app, given, "mark", "Replay points that hold their WAL",
                            "walferry mark --config walferry.toml before_migration");
  CLI::Option* name = mark.add_option("NAME", given.mark, "Make one, at the slot's position")
                          ->type_name("")
                          ->check(check_mark_name);
  CLI::Option* list = mark.add_flag("--list", given.list, "Show them (also without any option)");
  CLI::Option* drop = mark.add_option("--drop", given.drop, "Drop one, and free its WAL")
                          ->type_name("NAME")
                          ->check(check_mark_name);
  mark.add_flag("--json", given.mark_command.json, "As JSON");
  name->excludes(list)->excludes(drop);
  list->excludes(drop);
}

void add_replay(CLI::App& app, Given& given) {
  CLI::App& replay =
      add_verb(app, given, "replay", "Publish again, to another stream, what was committed before",
               "walferry replay --config walferry.toml --from-lsn 0/16B3748");
  add_lsn(replay, given.from_lsn, "--from-lsn", "From here on")->required();
  add_lsn(replay, given.to_lsn, "--to-lsn", "Up to before here (default: all that is there now)");
  replay.add_option("--stream", given.replay.stream, "To this stream (default: {name}_REPLAY)")
      ->type_name("NAME")
      ->check([](const std::string& text) { return check_with(check_stream_name, text); });
  replay
      .add_option("--subject-prefix", given.replay.subject_prefix,
                  "Under this prefix (default: replay.{prefix})")
      ->type_name("PREFIX")
      ->check([](const std::string& text) { return check_with(check_subject_prefix, text); });
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

void add_snapshot(CLI::App& app, Given& given) {
  CLI::App& snapshot =
      add_verb(app, given, "snapshot", "Ask the daemon to publish the rows of tables (again)",
               "walferry snapshot --config walferry.toml public.orders --where \"id > 1000\"");
  snapshot.add_option("TABLE", given.snapshot.tables, "These, as schema.table")
      ->type_name("")
      ->check(check_table);
  CLI::Option* where =
      snapshot.add_option("--where", given.snapshot.where, "Only rows that this holds for")
          ->type_name("SQL")
          ->check([](const std::string& text) {
            return text.empty() ? "the condition is empty; leave it out instead" : "";
          });
  CLI::Option* pause =
      snapshot.add_flag("--pause", given.pause, "Pause those of these tables, or all");
  CLI::Option* resume =
      snapshot.add_flag("--resume", given.resume, "Go on with those that are paused");
  CLI::Option* cancel =
      snapshot.add_flag("--cancel", given.cancel, "End those of these tables, or all, for good");
  snapshot.add_flag("--no-wait", given.no_wait, "Return once the daemon has taken it");
  for (CLI::Option* option : {pause, resume, cancel}) option->excludes(where);
  pause->excludes(resume)->excludes(cancel);
  resume->excludes(cancel);
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
  add_seek(app, given);
  add_replay(app, given);
  add_mark(app, given);
  add_snapshot(app, given);
  add_verify(app, given);
  CLI::App& teardown =
      add_verb(app, given, "teardown", "Drop slot, publications and saved position",
               "walferry teardown --config walferry.toml --yes");
  teardown.add_flag("--yes", given.teardown.yes, "Do not ask");
  app.add_subcommand("version", "Version and linked libraries")
      ->group("Verbs")
      ->footer("Example:\n  walferry version");
}

MarkCommand mark_command(const Given& given) {
  using Action = MarkCommand::Action;
  MarkCommand mark = given.mark_command;
  mark.name = given.mark + given.drop;
  mark.action = !given.mark.empty()  ? Action::add
                : given.drop.empty() ? Action::list
                                     : Action::drop;
  return mark;
}

SnapshotCommand snapshot_command(const Given& given) {
  using Action = SnapshotOrder::Action;
  SnapshotCommand snapshot = given.snapshot;
  snapshot.action = given.pause    ? Action::pause
                    : given.resume ? Action::resume
                    : given.cancel ? Action::cancel
                                   : Action::snapshot;
  snapshot.wait = !given.no_wait;
  return snapshot;
}

Invocation invocation(const std::string& verb, const Given& given) {
  Invocation result{.config_file = given.config_file, .command = VersionCommand{}};
  if (verb == "run") {
    RunCommand run = given.run;
    run.until_lsn = pg::parse_lsn(given.until_lsn);
    run.until_current = given.until == "current";
    run.from_lsn = pg::parse_lsn(given.from_lsn);
    result.command = run;
  } else if (verb == "check") {
    result.command = given.check;
  } else if (verb == "status") {
    result.command = given.status;
  } else if (verb == "tail") {
    TailCommand tail = given.tail;
    tail.subject = given.subject;
    tail.last = parse_count(given.last);
    tail.from_lsn = pg::parse_lsn(given.from_lsn);
    result.command = tail;
  } else if (verb == "seek") {
    SeekCommand seek = given.seek;
    seek.target = parse_target(given.target).value();
    result.command = seek;
  } else if (verb == "mark") {
    result.command = mark_command(given);
  } else if (verb == "replay") {
    ReplayCommand replay = given.replay;
    replay.from = pg::parse_lsn(given.from_lsn).value();
    replay.to = pg::parse_lsn(given.to_lsn);
    result.command = replay;
  } else if (verb == "snapshot") {
    result.command = snapshot_command(given);
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
  const bool controls = given.pause || given.resume || given.cancel;
  if (verb == "snapshot" && given.snapshot.tables.empty() && !controls) {
    return refuse(verb, "no table; name those whose rows are to be published");
  }
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
