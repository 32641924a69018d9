#include "connector/slotless_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connector/remedy.h"
#include "connector/session.h"
#include "connector/slotless.h"
#include "publisher/tail.h"

namespace connector {

Findings check_slotless_position(const Config& config, const std::string& capture,
                                 PostgresView& postgres, const NatsView& nats,
                                 const std::function<std::string(SlotlessResume&)>& what_run_does,
                                 Exit& code) {
  if (!postgres.identity || !nats.complete) return {};
  try {
    SlotlessObserved seen = observe_database(config, capture, record_settings(config, {}),
                                             *postgres.sql, postgres.identity->timeline);
    seen.stream = nats.stream.value_or(publisher::StreamInfo{});
    if (nats.saved.value) seen.saved = parse_slotless_position(*nats.saved.value, capture);
    seen.window = publisher::read_back(*nats.nats, config.stream.name, seen.stream.first,
                                       seen.stream.last, 1, config.publish.max_message);
    SlotlessResume resume = decide_slotless(seen);
    Finding finding{Verdict::ok, "position", what_run_does(resume), ""};
    if (!resume.notes.empty()) {
      finding.verdict = Verdict::warn;
      finding.detail += fmt::format("; {}", fmt::join(resume.notes, "; "));
    }
    return {finding};
  } catch (const std::exception& error) {
    code = remedy_for(error).code;
    return {failed("position", error)};
  }
}

}  // namespace connector
