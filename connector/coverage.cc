#include "connector/coverage.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "connector/config_values.h"
#include "connector/failpoint.h"
#include "connector/remedy.h"
#include "connector/server_choice.h"
#include "connector/session.h"

namespace connector {
namespace {

bool contains(const std::vector<std::pair<std::string, std::string>>& names,
              const std::pair<std::string, std::string>& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

using Names = std::vector<std::pair<std::string, std::string>>;

// No snapshot has what is in them when they join.
Names unread(const TableSelection& selection, const Names& tables) {
  Names unread;
  std::copy_if(tables.begin(), tables.end(), std::back_inserter(unread), [&](const auto& name) {
    const TableConfig* const chosen = selection.find(name.first, name.second);
    return chosen != nullptr && !chosen->snapshot;
  });
  return unread;
}

// Through a slot that is there already, so that JoinedTables knows the place.
void alter(const TableSelection& selection, Session& session, const Coverage& coverage) {
  const pg::PublicationPlan& plan = coverage.plan;
  Names joining;
  std::copy_if(plan.added.begin(), plan.added.end(), std::back_inserter(joining),
               [&](const auto& name) { return !contains(plan.unowned, name); });
  Names touched = joining;
  touched.insert(touched.end(), plan.removed.begin(), plan.removed.end());
  if (!coverage.has_slot || touched.empty()) {
    pg::apply(*session.sql, plan);
    return;
  }
  const pg::Alteration with{.prefix = std::string(publication_prefix),
                            .content = session.joined.will_alter(*session.nats, touched),
                            .quiet = unread(selection, joining)};
  bool quiet = false;
  try {
    quiet = pg::apply(*session.sql, plan, with);
  } catch (const pqxx::sql_error&) {
    session.joined.gave_up(*session.nats, with.content);
    throw;
  }
  pass(Failpoint::publication_altered);
  for (const auto& [schema, table] : with.quiet) {
    if (quiet) break;
    spdlog::warn(
        "table {}.{}: transactions that were open may have written into it when it joined the "
        "publication: what they wrote before that is not published, though they commit later",
        schema, table);
  }
}

}  // namespace

Coverage coverage_of(const Config& config, pqxx::connection& sql) {
  Coverage coverage;
  coverage.resolved = TableSelection(config).resolve(sql);
  Chosen chosen = choose(config, sql, coverage.resolved);
  coverage.plan = pg::plan_publications(sql, config.source.publication, coverage.resolved.tables,
                                        true, chosen.narrowings);
  coverage.findings = table_findings(coverage.resolved);
  append(coverage.findings, snapshot_findings(config, coverage.resolved));
  append(coverage.findings, std::move(chosen.problems));
  coverage.notes = std::move(chosen.notes);
  append(coverage.findings, publication_findings(coverage.plan));
  append(coverage.findings, rights_findings(coverage.plan));
  coverage.has_slot = pg::slot_info(sql, config.source.slot).has_value();
  return coverage;
}

void cover(const Config& config, Session& session, const Coverage& coverage, bool always) {
  const TableSelection selection(config);
  const auto say = [](const Finding& finding) {
    spdlog::warn("{}. What to do: {}", finding.detail, finding.fix);
  };
  for (const Finding& finding : coverage.findings) say(finding);
  alter(selection, session, coverage);
  if (coverage.plan.statements.empty() && !always) return;
  for (const std::string& statement : coverage.plan.statements) {
    spdlog::info("publication: {}", statement);
  }
  for (const auto& [schema, table] : coverage.plan.added) {
    const TableConfig* chosen = selection.find(schema, table);
    const bool read_first = chosen != nullptr && chosen->snapshot;
    if (!coverage.has_slot || read_first || contains(coverage.plan.unowned, {schema, table})) {
      continue;
    }
    spdlog::warn(
        "table {}.{} is published from now on: what was committed on it before is not in "
        "the stream",
        schema, table);
  }
  for (const Finding& finding : identity_findings(config, coverage.resolved, coverage.plan))
    say(finding);
  for (const Finding& finding : coverage.notes) {
    if (finding.verdict == Verdict::warn) say(finding);
  }
}

void refresh_publications(const Config& config, Session& session) {
  const auto say = [](const std::exception& error) {
    const Remedy remedy = remedy_for(error);
    spdlog::error("the publications could not be changed: {}{}{}", one_line(error.what()),
                  remedy.hint.empty() ? "" : ". What to do: ", remedy.hint);
  };
  try {
    cover(config, session, coverage_of(config, *session.sql), false);
  } catch (const pqxx::transaction_rollback& error) {  // libpqxx 7: a kind of sql_error
    say(error);
  } catch (const pqxx::sql_error& error) {
    say(error);
  }
}

}  // namespace connector
