#include "connector/coverage.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

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
  const bool joins = coverage.has_slot && !coverage.plan.added.empty();
  if (joins) session.joined.will_join(*session.nats, coverage.plan.added);
  pg::apply(*session.sql, coverage.plan);
  pass(Failpoint::publication_altered);
  if (joins) session.joined.have_joined(*session.nats, pg::inserted_wal_lsn(*session.sql));
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
