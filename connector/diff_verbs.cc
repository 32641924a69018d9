#include "connector/diff_verbs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "connector/attach.h"
#include "connector/diff_findings.h"
#include "connector/diff_store.h"
#include "connector/slotless.h"
#include "connector/slotless_check.h"
#include "connector/stop.h"
#include "outbox/checked_file.h"
#include "pg/conninfo.h"

namespace connector {
namespace {

bool has_rounds(const std::string& folder) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(folder, error);
  return std::any_of(begin(entries), end(entries),
                     [](const auto& entry) { return entry.path().extension() == ".round"; });
}

std::string what_run_does(const Config& config, const SlotlessResume& resume) {
  if (resume.position.work.is_null()) {
    if (resume.anew || !has_rounds(diff_folder(config))) {
      return "run begins with each table's first round";
    }
    throw Stop(
        Exit::position_lost,
        fmt::format("{} has rounds that were published, and their position and their stream "
                    "are gone",
                    diff_folder(config)),
        std::string("restore the stream and the bucket `walferry`; ") + DiffWork::begin_again);
  }
  const DiffWork work = DiffWork::parse(resume.position.work);
  if (work.restart) return "run begins again: every table with every row as a snapshot";
  if (work.rounds.empty()) return "run begins with each table's first round";
  const DiffWork::Round& newest = work.rounds.back();
  if (!newest.end) return fmt::format("run goes on with the round at {}", to_string(newest.lsn));
  const std::string folder = diff_folder(config);
  std::error_code error;
  if (!std::filesystem::exists(fmt::format("{}/{}.round", folder, pg::to_hex16(newest.lsn)),
                               error)) {
    return fmt::format(
        "the files of the round at {} are not in {} (on this machine): run begins "
        "again, every table with every row as a snapshot",
        to_string(newest.lsn), folder);
  }
  return fmt::format("run goes on behind the round at {}, message {}", to_string(newest.lsn),
                     newest.end->value);
}

}  // namespace

Findings check_diff_postgres(const Config& config, PostgresView& seen) {
  Findings found;
  try {
    seen.sql = attach_postgres(config);
    found.push_back({Verdict::ok, "postgres", pg::describe(config.source.dsn), ""});
    seen.server = pg::server_info(*seen.sql);
    append(found, slotless_server_findings(*seen.server, true));
    append(found, diff_findings(config, *seen.sql));
    seen.identity = pg::system_identity(*seen.sql);
  } catch (const std::exception& error) {
    found.push_back(failed("postgres", error));
  }
  return found;
}

Findings check_diff_position(const Config& config, PostgresView& postgres, const NatsView& nats,
                             Exit& code) {
  return check_slotless_position(
      config, "diff", postgres, nats,
      [&](const SlotlessResume& resume) { return what_run_does(config, resume); }, code);
}

DiffWork saved_diff_work(const publisher::KeyValueEntry& saved) {
  if (!saved.value) return {};
  return DiffWork::parse(parse_slotless_position(*saved.value, "diff").work);
}

void remove_diff_files(const Config& config) {
  std::error_code ignored;
  if (!std::filesystem::exists(diff_folder(config), ignored)) return;
  {
    const DiffStore store(config);
    store.remove_all_but({}, nullptr);
    std::filesystem::remove(store.folder() + "/lock", ignored);
  }
  std::filesystem::remove(diff_folder(config), ignored);
}

}  // namespace connector
