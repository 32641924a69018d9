// The pump's outboxes: rows that are inserted into one, and logical messages of one's prefix, are
// events. Each is a change like any other, counted, in its place, under the id of its position;
// only what goes out is what the row says instead of a record about it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connector/pump.h"
#include "connector/stop.h"
#include "connector/subject.h"
#include "connector/when.h"

namespace connector {
namespace {

constexpr std::uint32_t bytea = 17;

[[noreturn]] void refuse(const std::string& what, pg::Position position, const BadValue& bad,
                         const char* way_out) {
  throw Stop(Exit::precondition,
             fmt::format("{}, position {}: the event cannot be published: {}", what,
                         to_string(position), bad.what()),
             way_out);
}

}  // namespace

std::optional<OutboxRouter> Pump::router_of(const TableConfig& config,
                                            const pg::Relation& relation) {
  if (!config.outbox) return std::nullopt;
  std::vector<OutboxRouter::Column> columns;
  for (const pg::Column& column : relation.columns) {
    columns.push_back({column.name, types_.shape(column.type)->base.value == bytea});
  }
  return OutboxRouter(*config.outbox, columns);
}

// What is stored already was made of the settings of then. Those of today may not fit the rows of
// then, and need not: such an event is compared with what is stored by its place alone.
bool Pump::is_stored_otherwise(pg::Position position) const {
  return !session_.replay && position <= session_.reread.anchor().change;
}

void Pump::event(const pg::Insert& change) {
  const pg::Position position = count(change.relation->id);
  const Table& table = tables_.at(change.relation->id.value);
  const std::vector<std::string>& missing = table.outbox->missing();
  if (!missing.empty()) {
    if (is_stored_otherwise(position)) return;
    throw Stop(Exit::precondition,
               fmt::format("{}, an outbox, has no column {} at position {}", table.source,
                           fmt::join(missing, ", "), to_string(position)),
               "name its columns of then in the [[outbox]] (id, aggregate_type, aggregate_id, "
               "event_type, payload, headers, and those in subject) until walferry is past that "
               "position; where `run` refuses that since the table has others by now, rename them "
               "back for so long");
  }
  try {
    table.outbox->route(change.row, event_);
  } catch (const BadValue& bad) {
    if (is_stored_otherwise(position)) return;
    refuse(table.source, position, bad,
           "set payload, headers or subject of its [[outbox]] so that the row fits: headers = \"\" "
           "publishes none");
  }
  hold_event(table.source, position, true);
}

void Pump::event(const pg::Message& message, const OutboxConfig& outbox, pg::Position position) {
  const std::string source = outbox_name(outbox);
  try {
    route_message(outbox, message.content, event_);
  } catch (const BadValue& bad) {
    if (is_stored_otherwise(position)) return;
    refuse(source, position, bad,
           "name the prefix in source.messages instead of an [[outbox]] until walferry is past it: "
           "then its messages go out as they are");
  }
  hold_event(source, position, message.transactional);
}

void Pump::hold_event(const std::string& source, pg::Position position, bool committed) {
  HeldRecord& held = writer_.hold(position);
  held.source = source;
  held.subject = event_.subject;
  held.raw = true;
  std::swap(held.body, event_.body);
  held.headers.emplace_back("Walferry-Event-Id", event_.event_id);
  if (committed) held.headers.emplace_back(commit_time_header, iso_time(commit_time_));
  std::swap(held.event_headers, event_.headers);
}

}  // namespace connector
