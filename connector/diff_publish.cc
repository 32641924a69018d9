#include "connector/diff_publish.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "connector/failpoint.h"
#include "connector/stop.h"
#include "pg/catalog.h"

namespace connector {

DiffPublisher::DiffPublisher(const Config& config, SlotlessSession& session, const Wakeup& wakeup)
    : session_(session),
      slot_(config.source.slot),
      max_message_(config.publish.max_message),
      cut_(config),
      types_([&session](pg::TypeId type) { return pg::type_row(*session.sql, type); }),
      format_(config, session.sql->dbname(), types_),
      outlet_(config, session, wakeup),
      writer_(
          cut_, [](std::string&, bool) {},
          [this](const HeldRecord& held, const char* id) {
            return format_.headers(held.op, id, held.event_subject);
          },
          [this](const Message& message) { send(message); }) {
  // Only under "split" has a round records that are larger than its messages.
  cut_.publish.oversize = "split";
}

bool DiffPublisher::publish(const DiffManifest& manifest, const std::string& file,
                            std::uint64_t& stored) {
  counts_ = false;
  skip_ = stored;
  read(manifest, file, [](std::uint64_t) {});
  stored = skip_;
  return outlet_.drain() && !stopped_;
}

std::set<std::string> DiffPublisher::lacking(const DiffManifest& manifest, const std::string& file,
                                             std::uint64_t& stored) {
  counts_ = true;
  skip_ = stored;
  lacks_ = false;
  std::set<std::string> tables;
  const std::vector<const DiffManifest::Entry*> parts = manifest.parts();
  std::size_t part = 0;
  read(manifest, file, [&](std::uint64_t record) {
    while (part < parts.size() && parts[part]->second.to <= record) ++part;
    if (!std::exchange(lacks_, false)) return;
    if (part < parts.size()) tables.insert(parts[part]->first);
    // One of another version of walferry does not say whose it is.
    if (parts.empty()) {
      for (const auto& [name, table] : manifest.tables) tables.insert(name);
    }
  });
  stored = skip_;
  return tables;
}

template <class After>
void DiffPublisher::read(const DiffManifest& manifest, const std::string& file, After after) {
  cut_.publish.max_message = manifest.max_message > 0 ? manifest.max_message : max_message_;
  format_.begin_snapshot({.micros = manifest.read_at});
  RoundReader reader(file);
  stopped_ = false;
  DiffMessage message;
  for (std::uint64_t record = 0; !stopped_ && reader.next(manifest.lsn, message); ++record) {
    hand_on(message);
    after(record);
  }
}

void DiffPublisher::hand_on(DiffMessage& message) {
  try {
    if (message.schema) {
      writer_.schema_alone(message.record, message.record.subject, message.record.body);
    } else {
      writer_.alone(message.record);
    }
  } catch (const Stop&) {
    outlet_.store_what_is_before();
    throw;
  }
}

void DiffPublisher::send(const Message& message) {
  if (stopped_) return;
  if (skip_ > 0) {
    if (--skip_ == 0) require_tail(message.envelope.message_id);
    return;
  }
  lacks_ = true;
  if (!counts_) stopped_ = !outlet_.publish(message.envelope);
}

// The last message that the stream has must be the one that is there by its number.
void DiffPublisher::require_tail(const std::string& id) {
  const SlotlessResume& resume = session_.resume;
  if (!resume.tail || resume.tail->sequence != session_.stream.last) return;
  if (slot_ + ":" + resume.tail_id == id) return;
  throw Stop(Exit::position_lost,
             fmt::format("the stream's last message is {}, and by its place it should be {}",
                         resume.tail_id, id),
             "find out who else writes into the stream; `run --accept-gap` begins again: every "
             "table with every row as a snapshot");
}

}  // namespace connector
