#include "connector/snapshot_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "connector/failpoint.h"
#include "connector/marks.h"
#include "connector/preconditions.h"
#include "connector/table_selection.h"

namespace connector {

// What the stream has lost is done again; a change that a snapshot contains was left out of a
// stream that may have lost the snapshot, so that is known before anything is compared.
void load_snapshots(const Config& config, Session& session, const Observed& seen, Resume& plan) {
  const publisher::KeyValueEntry entry = session.snapshots_key.get(*session.nats);
  session.snapshots_revision = entry.revision;
  if (entry.value) session.snapshots = SnapshotProgress::parse(*entry.value);
  if (session.snapshots.take_back(seen.stream.created, seen.stream.last)) {
    spdlog::warn("the stream has lost rows of snapshots: they are read again");
    session.save_snapshots();
  }
  plan.known.snapshots = session.snapshots.may_have_rows_behind(plan.known.anchor_sequence);
  const auto marks = marks_of(*session.sql, config.source.slot);
  const auto points = replay_points(config.source.slot, seen.slot, marks);
  const pg::Lsn read_from = std::min(plan.start, oldest(points).value_or(pg::Lsn()));
  const bool dropped = session.snapshots.drop_whole_before(read_from);
  const bool signs = !session.snapshots.secret.empty();
  if (!signs) session.snapshots.secret = random_hex(32);
  if (dropped || !signs) session.save_snapshots();
}

void Session::save_snapshots() {
  snapshots.thin();
  snapshots_revision = snapshots_key.put(*nats, snapshots.to_json(), snapshots_revision);
}

bool Session::take_order(const pg::Message& message, const std::string& slot) {
  if (!is_order_for(message.content, slot)) return false;
  const auto order = parse_order(message.content, snapshots.secret);
  if (!order) {
    spdlog::warn(
        "a request at {} for snapshots is not signed as `walferry snapshot` does: it is "
        "left alone",
        to_string(message.lsn));
    return false;
  }
  pass(Failpoint::order_read);
  if (!snapshots.take(*order, message.lsn)) return false;
  snapshots.forget(saved.confirmed, saved.rests_on.value_or(publisher::StreamSequence()));
  save_snapshots();
  pass(Failpoint::order_saved);
  for (const SnapshotRequest& request : snapshots.requests()) {
    if (request.id != order->id) continue;
    spdlog::info("asked for: {} of {}{}{}{}", name_of(request.action),
                 request.schema.empty() ? "all tables"
                                        : readable_name(quoted_name(request.schema, request.table)),
                 request.where.empty() ? "" : ", of some of its rows",
                 request.joined ? ", which is under way already" : "",
                 request.reading.note.empty() ? "" : ": " + request.reading.note);
  }
  return true;
}

}  // namespace connector
