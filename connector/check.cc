#include "connector/check.h"
#include "connector/interrupt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "connector/observe.h"
#include "connector/poll_verbs.h"
#include "connector/remedy.h"
#include "connector/resume.h"
#include "connector/session.h"
#include "connector/verbs.h"

namespace connector {
namespace {

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::warn: return "warn";
    case Verdict::fail: return "fail";
  }
  return "";
}

std::size_t count(const Findings& findings, Verdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& finding) { return finding.verdict == verdict; }));
}

void add_lines(std::string& out, std::string_view text, const char* before,
               const std::string& between) {
  out += before;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    out += printable(text.substr(0, end)) + between;
    text.remove_prefix(end + 1);
  }
  out += printable(text);
}

std::string what_run_does(const Config& config, const Resume& plan) {
  if (plan.create_slot) {
    return fmt::format("run begins: it makes slot \"{}\", and publishes what commits from then on",
                       config.source.slot);
  }
  const MessagePosition tail = plan.known.anchor;
  return fmt::format(
      "run goes on after message {}{}", plan.known.last.value,
      tail == MessagePosition{} ? "" : fmt::format(", position {}", to_string(tail)));
}

}  // namespace

Findings check_position(const Config& config, PostgresView& postgres, const NatsView& nats,
                        Exit& code) {
  if (!postgres.identity || !postgres.publications || !nats.complete) return {};
  if (postgres.slot &&
      !slot_findings(config.source.slot, *postgres.slot, *postgres.server).empty()) {
    return {};  // somebody else's slot says nothing about ours
  }
  try {
    const Wakeup never_stopped;
    Observed seen = observe(config, {}, *postgres.sql, *postgres.replication, *postgres.identity,
                            *nats.nats, never_stopped)
                        .seen;
    seen.settings = record_settings(config, *postgres.publications);
    const Resume plan = decide(seen);
    Finding finding{Verdict::ok, "position", what_run_does(config, plan), ""};
    if (!plan.notes.empty()) {
      finding.verdict = Verdict::warn;
      finding.detail += fmt::format("; {}", fmt::join(plan.notes, "; "));
    }
    return {finding};
  } catch (const std::exception& error) {
    code = remedy_for(error).code;
    return {failed("position", error)};
  }
}

Finding failed(const std::string& name, const std::exception& error) {
  const Remedy remedy = remedy_for(error);
  std::string fix = remedy.hint;
  if (fix.empty() && remedy.retry)
    fix = "see whether the server runs, and can be reached from here";
  return {Verdict::fail, name, one_line(error.what()), fix};
}

std::string check_text(const Findings& findings, const Palette& palette) {
  std::string out;
  std::size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.name.size());
  width = std::min<std::size_t>(width, 32);
  const std::string indent(width + 8, ' ');
  for (const Finding& finding : findings) {
    const char* colour = finding.verdict == Verdict::ok     ? palette.green
                         : finding.verdict == Verdict::warn ? palette.yellow
                                                            : palette.red;
    out += fmt::format("{}{:<4}{}  {}{:<{}}{}  ", colour, word(finding.verdict), palette.plain,
                       palette.bold, printable(finding.name), width, palette.plain);
    add_lines(out, finding.detail, "", "\n" + indent);
    out += '\n';
    if (finding.fix.empty()) continue;
    out += indent + palette.cyan;
    add_lines(out, finding.fix, "fix: ", "\n" + indent + "     ");
    out += fmt::format("{}\n", palette.plain);
  }
  const std::size_t fails = count(findings, Verdict::fail);
  const std::size_t warns = count(findings, Verdict::warn);
  const std::string warned =
      warns == 0 ? "" : fmt::format(", {} warning{}", warns, warns == 1 ? "" : "s");
  out += fails == 0 ? fmt::format("\nall that run needs is there{}\n", warned)
                    : fmt::format("\n{} of {} checks failed{}\n", fails, findings.size(), warned);
  return out;
}

std::string check_json(const Findings& findings) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    checks.push_back({{"name", finding.name},
                      {"result", word(finding.verdict)},
                      {"detail", finding.detail},
                      {"fix", finding.fix}});
  }
  const nlohmann::ordered_json all{{"ok", count(findings, Verdict::fail) == 0},
                                   {"checks", std::move(checks)}};
  return all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Exit check_exit(const Findings& findings, Exit position) {
  const std::size_t fails = count(findings, Verdict::fail);
  if (fails == 0) return Exit::done;
  return fails == 1 && position == Exit::position_lost ? Exit::position_lost : Exit::precondition;
}

int check(const Config& config, const CheckCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup, "stopped before all was looked at");
  PostgresView postgres;
  NatsView nats;
  Exit position = Exit::done;
  const bool polls = config.polls();
  Findings findings =
      polls ? check_polled_postgres(config, postgres) : check_postgres(config, postgres);
  append(findings, check_nats(config, nats));
  append(findings, polls ? check_polled_position(config, postgres, nats, position)
                         : check_position(config, postgres, nats, position));
  fmt::print("{}",
             command.json ? check_json(findings) : check_text(findings, palette_for_stdout()));
  return static_cast<int>(check_exit(findings, position));
}

}  // namespace connector
