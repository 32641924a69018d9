// PROVISIONAL
#include "connector/polled_event.h"
#include "connector/poll_resume.h"
#include "connector/subject.h"

namespace connector {

PolledOutbox::PolledOutbox(const OutboxConfig& config, const Config&)
    : config_(&config),
      table_{config.schema,
             config.table,
             config.id,
             {config.id, "aggregate_type", "event_type", config.payload}},
      name_(outbox_name(config.schema, config.table)) {}

void PolledOutbox::set_shape(pg::Relation) {}

const PolledEvent& PolledOutbox::event(const pg::Row& row) const {
  static PolledEvent event;
  static std::string subject, id;
  const auto text = [&](int i) {
    const auto* v = std::get_if<std::string_view>(&row[static_cast<std::size_t>(i)]);
    return v ? *v : std::string_view();
  };
  subject = "events." + escape_token(text(1)) + "." + escape_token(text(2));
  event.row_id = std::string(text(0));
  id = escape_token(text(0));
  event.subject = subject.c_str();
  event.payload = text(3);
  event.headers = {{"Walferry-Event-Id", id.c_str()}};
  return event;
}

std::vector<PolledOutbox> polled_outboxes(const Config& config) {
  std::vector<PolledOutbox> v;
  for (const auto& o : config.outboxes)
    if (o.capture == "poll") v.emplace_back(o, config);
  return v;
}

}  // namespace connector
