#include "connector/polled_outbox.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "connector/stop.h"
#include "connector/subject.h"

namespace connector {
namespace {

OutboxRouter::Column as_column(const outbox::PolledColumn& column) {
  return {column.name, column.is_bytea};
}

}  // namespace

PolledOutbox::PolledOutbox(const OutboxConfig& config)
    : config_(&config),
      table_{.schema = config.schema,
             .name = config.table,
             .id = config.id,
             .columns = {},
             .typed = {},
             .identity = {}},
      name_(polled_name(config.schema, config.table)) {}

void PolledOutbox::choose(const std::vector<outbox::PolledColumn>& columns) {
  std::vector<OutboxRouter::Column> all;
  all.reserve(columns.size());
  for (const outbox::PolledColumn& column : columns) all.push_back(as_column(column));
  const OutboxRouter router(*config_, all);
  if (!router.missing().empty()) {
    throw Stop(Exit::precondition,
               fmt::format("{} has no column {}", outbox_name(*config_),
                           fmt::join(router.missing(), ", ")),
               "name its columns in the [[outbox]] (id, aggregate_type, aggregate_id, event_type, "
               "payload, headers, and those in subject)");
  }
  std::vector<OutboxRouter::Column> used;
  table_.columns.clear();
  table_.typed.reset();
  for (const std::size_t i : router.used()) {
    if (columns[i].name == config_->id) id_ = used.size();
    if (columns[i].name == config_->payload) table_.typed = used.size();
    used.push_back(all[i]);
    table_.columns.push_back(columns[i]);
  }
  router_.emplace(*config_, used);
  table_.identity.clear();
  for (const std::string& name : {config_->id, std::string("xid"), std::string("created_at")}) {
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const auto& column) { return column.name == name; });
    if (found != columns.end()) table_.identity.push_back(*found);
  }
  table_.columns.insert(table_.columns.end(), table_.identity.begin(), table_.identity.end());
}

std::string PolledOutbox::route(pg::Row row, OutboxEvent& event) const {
  router_->route(row, event);
  const auto* id = std::get_if<std::string_view>(&row[id_]);
  return id == nullptr ? std::string() : std::string(*id);
}

std::string polled_name(const std::string& schema, const std::string& table) {
  return guard_header(escape_token(schema) + "." + escape_token(table));
}

std::vector<PolledOutbox> polled_outboxes(const Config& config) {
  std::vector<PolledOutbox> outboxes;
  for (const OutboxConfig& outbox : config.outboxes) {
    if (outbox.capture == "poll") outboxes.emplace_back(outbox);
  }
  return outboxes;
}

std::vector<outbox::PolledTable> choose_columns(std::vector<PolledOutbox>& outboxes,
                                                outbox::Poller& poller) {
  std::vector<outbox::PolledTable> tables;
  tables.reserve(outboxes.size());
  for (PolledOutbox& outbox : outboxes) {
    outbox.choose(poller.columns(outbox.table()));
    tables.push_back(outbox.table());
  }
  return tables;
}

}  // namespace connector
