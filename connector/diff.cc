#include "connector/diff.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "connector/diff_findings.h"
#include "connector/diff_position.h"
#include "connector/diff_round.h"
#include "connector/diff_schedule.h"
#include "connector/session.h"
#include "connector/stream_setup.h"
#include "pg/error.h"

namespace connector {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A stop was requested while a round was made: what there is of it is dropped.
struct Interrupted {};

class DiffRun {
 public:
  DiffRun(const Config& config, SlotlessSession& session, Wakeup& wakeup)
      : config_(config),
        session_(session),
        wakeup_(wakeup),
        position_(config, session, wakeup),
        reader_(pg::SqlSession::open(config.source.dsn)) {
    require_same_server(config, session, reader_);
  }

  SlotlessEnded run(bool once) {
    position_.begin();
    if (!position_.catch_up()) return SlotlessEnded::stopped;
    while (!wakeup_.stop_requested() && !wakeup_.reload_requested()) {
      const auto due = schedule_.due(*session_.sql, once);
      if (!due.empty()) {
        if (!round(due)) return SlotlessEnded::stopped;
      }
      position_.tidy();
      if (once) return SlotlessEnded::finished;
      wait();
    }
    return SlotlessEnded::stopped;
  }

 private:
  bool round(const std::vector<DueTable>& due) {
    const auto began = Clock::now();
    std::set<std::string> captured;
    for (const DueTable& table : schedule_.captured()) captured.insert(table.name);
    const std::optional<DiffManifest> before = position_.before(captured, schedule_.names());
    const auto tick = [this] {
      if (wakeup_.stop_requested()) throw Interrupted();
      position_.outlet().keep_alive();
    };
    reader_.when_idle(tick);
    DiffRound round(config_, position_.store(), *session_.sql, reader_, before ? &*before : nullptr,
                    tick);
    std::optional<DiffManifest> made;
    try {
      made = round.run(due, schedule_.names(), position_.newest());
    } catch (const Interrupted&) {
      reader_.cancel();
      return false;
    }
    for (const auto& [name, table] : round.tables()) position_.work().tables[name] = table;
    if (!made) {
      position_.save();
      return true;
    }
    const std::uint64_t messages = made->messages;
    if (!position_.publish(std::move(*made))) return false;
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    spdlog::debug("round at {}: {} messages, {:.3f} s", to_string(round.lsn()), messages, seconds);
    return true;
  }

  void wait() {
    const auto left = std::chrono::ceil<milliseconds>(schedule_.next() - Clock::now());
    if (left > milliseconds(0)) wakeup_.wait_for(std::min(left, milliseconds(1000)));
    position_.outlet().settle();
  }

  const Config& config_;
  SlotlessSession& session_;
  Wakeup& wakeup_;
  DiffPosition position_;
  pg::SqlSession reader_;
  DiffSchedule schedule_{config_};
};

}  // namespace

SlotlessCapture diff_capture(const Config& config) {
  const auto look = [&config](pqxx::connection& sql, bool running) {
    const Findings findings = diff_findings(config, sql, running);
    warn(findings);
    require(findings);
  };
  return {.name = "diff",
          .reads_standbys = true,
          .settings = record_settings(config, {}),
          .look = [look](pqxx::connection& sql) { look(sql, false); },
          .look_again = [look](pqxx::connection& sql) { look(sql, true); },
          .run = [&config](SlotlessSession& session, Wakeup& wakeup,
                           bool once) { return DiffRun(config, session, wakeup).run(once); }};
}

}  // namespace connector
