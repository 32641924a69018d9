#include "connector/poll_verbs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "connector/attach.h"
#include "connector/poll_findings.h"
#include "connector/poll_resume.h"
#include "connector/polled_outbox.h"
#include "connector/slotless.h"
#include "connector/slotless_check.h"
#include "pg/conninfo.h"

namespace connector {
namespace {

Finding writer_finding(const Config& config, pqxx::connection& sql) {
  const auto holder = pg::advisory_lock_holder(sql, writer_lock_key(config));
  return {Verdict::ok, "writer",
          holder
              ? fmt::format("the session with pid {} holds the writer's lock (run would stand by)",
                            holder->pid)
              : "nobody holds the writer's lock",
          ""};
}

bool has_failures(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.verdict == Verdict::fail; });
}

// As `run` would find its place now: where a writer runs, both sides move on, and where tables are
// unfit, that has been said.
void find_place(const Config& config, SlotlessResume& resume, pqxx::connection& sql,
                const NatsView& nats) {
  if (pg::advisory_lock_holder(sql, writer_lock_key(config))) return;
  if (has_failures(poll_findings(config, sql))) return;
  outbox::Poller poller = outbox::Poller::open(config.source.dsn);
  std::vector<PolledOutbox> outboxes = polled_outboxes(config);
  const auto tables = choose_columns(outboxes, poller);
  const PollStart start = resume_poll(config,
                                      {.resume = resume,
                                       .nats = *nats.nats,
                                       .stream_end = resume.position.last,
                                       .accept_gap = false},
                                      poller, tables);
  resume.notes.insert(resume.notes.end(), start.notes.begin(), start.notes.end());
}

std::string what_run_does(const SlotlessResume& resume) {
  const PollWork work = parse_poll_work(resume.position.work);
  if (work.last == 0) return "run begins with all rows that are there";
  return fmt::format("run goes on after message {}, batch {}", resume.position.last.value,
                     work.last);
}

}  // namespace

Findings check_polled_postgres(const Config& config, PostgresView& seen) {
  Findings found;
  try {
    seen.sql = attach_postgres(config);
    found.push_back({Verdict::ok, "postgres", pg::describe(config.source.dsn), ""});
    seen.server = pg::server_info(*seen.sql);
    append(found, slotless_server_findings(*seen.server, false));
    append(found, poll_findings(config, *seen.sql));
    found.push_back(writer_finding(config, *seen.sql));
    seen.identity = pg::system_identity(*seen.sql);
  } catch (const std::exception& error) {
    found.push_back(failed("postgres", error));
  }
  return found;
}

Findings check_polled_position(const Config& config, PostgresView& postgres, const NatsView& nats,
                               Exit& code) {
  return check_slotless_position(
      config, "poll", postgres, nats,
      [&](SlotlessResume& resume) {
        find_place(config, resume, *postgres.sql, nats);
        return what_run_does(resume);
      },
      code);
}

std::uint64_t pending_rows(const Config& config, PollWork work, outbox::Poller& poller,
                           std::uint64_t most) {
  std::vector<std::pair<std::string, std::string>> configured;
  for (const PolledOutbox& outbox : polled_outboxes(config)) {
    configured.emplace_back(outbox.config().schema, outbox.config().table);
  }
  const bool open = work.open.has_value();
  if (open) --work.last;
  work.open.reset();
  work.take_tables(configured);
  std::uint64_t rows = 0;
  for (const PolledOutbox& outbox : polled_outboxes(config)) {
    const auto known = std::find_if(work.tables.begin(), work.tables.end(), [&](const auto& table) {
      return outbox.is(table.schema, table.name);
    });
    rows += poller.count_behind(outbox.table(), work.seen(*known), most - rows);
    if (rows >= most) return most;
  }
  return rows;
}

void require_slot(const Config& config, const char* verb) {
  if (!config.slotless()) return;
  throw Stop(Exit::usage,
             fmt::format("{} needs WAL, and capture = \"{}\" has no slot to read it from", verb,
                         config.polls() ? "poll" : "diff"),
             "walferry status, tail, check and teardown work without a slot");
}

void require_tables(const Config& config) {
  if (!config.polls()) return;
  throw Stop(Exit::usage,
             "verify compares tables, and outboxes are not verified: their rows are events, which "
             "do not add up to a table",
             "count the events by their header Walferry-Event-Id instead");
}

std::string needs_slot(const RunCommand& command) {
  const char* option = command.from_lsn    ? "--from-lsn"
                       : command.until_lsn ? "--until-lsn"
                       : command.adopt     ? "--adopt"
                                           : "";
  return *option == 0 ? "" : fmt::format("{} needs a slot, and this capture has none", option);
}

}  // namespace connector
