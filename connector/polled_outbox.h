// An outbox that is polled: the configuration's [[outbox]] as a table to read and messages to make.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/outbox_router.h"
#include "outbox/poller.h"
#include "pg/change.h"

namespace connector {

class PolledOutbox {
 public:
  // `config` must outlive it.
  explicit PolledOutbox(const OutboxConfig& config);

  const OutboxConfig& config() const { return *config_; }
  const outbox::PolledTable& table() const { return table_; }
  const std::string& name() const { return name_; }  // as in the header
  bool is(const std::string& schema, const std::string& table) const {
    return config_->schema == schema && config_->table == table;
  }

  // Before rows are read: of the table's columns, those that messages are made of, and, last, those
  // that tell rows apart.
  void choose(const std::vector<outbox::PolledColumn>& columns);
  // Fills `event` from a row of table().columns, and gives its id as it is in the database. Throws
  // BadValue.
  std::string route(pg::Row row, OutboxEvent& event) const;
  // The part of such a row that tells it from others.
  pg::Row identity(pg::Row row) const { return row.last(table_.identity.size()); }

 private:
  const OutboxConfig* config_;
  outbox::PolledTable table_;
  std::string name_;
  std::optional<OutboxRouter> router_;
  std::size_t id_ = 0;  // in table().columns
};

// As it stands in the header: "public.outbox", escaped as in subjects.
std::string polled_name(const std::string& schema, const std::string& table);

// Those with capture = "poll", in their order. `config` must outlive them.
std::vector<PolledOutbox> polled_outboxes(const Config& config);

// Their tables, once each has chosen of the columns that its table has now. Throws Stop and
// pg::Error.
std::vector<outbox::PolledTable> choose_columns(std::vector<PolledOutbox>& outboxes,
                                                outbox::Poller& poller);

}  // namespace connector
