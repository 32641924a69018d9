// An outbox that is polled, as the configuration has it, and the messages that its rows become.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connector/config.h"
#include "outbox/poller.h"
#include "pg/change.h"
#include "publisher/types.h"

namespace connector {

// Borrows from its outbox, until the next event().
struct PolledEvent {
  const char* subject = nullptr;
  std::string_view payload;
  std::vector<publisher::Header> headers;
  std::string row_id;
};

class PolledOutbox {
 public:
  explicit PolledOutbox(const OutboxConfig& config, const Config& all);

  const outbox::PolledTable& table() const { return table_; }
  const std::string& name() const { return name_; }  // as in the header
  bool removes() const { return config_->delete_after_publish; }
  std::chrono::milliseconds interval() const { return config_->poll_interval; }

  // Of the table's columns, before the first event().
  void set_shape(pg::Relation shape);
  // Throws Stop(precondition) where the row makes no message.
  const PolledEvent& event(const pg::Row& row) const;

 private:
  const OutboxConfig* config_;
  outbox::PolledTable table_;
  std::string name_;
};

// Those with capture = "poll", in their order.
std::vector<PolledOutbox> polled_outboxes(const Config& config);

}  // namespace connector
