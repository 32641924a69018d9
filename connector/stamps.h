// What the stream's messages say of their place and time, for seek.h.
//
// The commit time stands in the record's text, the same for all records of a transaction:
// "commit_ts" in the JSON format and in CloudEvents, source.ts_us in Debezium's. What has none is
// stepped over: one by one at first, then, since a snapshot may be a billion rows, by asking the
// server for the next message of a subject that has one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "connector/config.h"
#include "connector/seek.h"
#include "publisher/connection.h"
#include "publisher/stream.h"
#include "publisher/tail.h"

namespace connector {

class Stamps {
 public:
  Stamps(publisher::Connection& nats, const Config& config) : nats_(nats), config_(config) {}

  std::optional<Stamp> next(publisher::StreamSequence from, Wanted wanted);
  // Where a reader must begin who wants the record at `stamp`: its table's shape may be announced
  // just before.
  Stamp with_schema_before(Stamp stamp);

  std::uint64_t messages_read() const { return read_; }

 private:
  std::optional<publisher::StoredMessage> jump(publisher::StreamSequence from, Wanted wanted);
  std::optional<Stamp> stamp_of(const publisher::StoredMessage& message, Wanted wanted);
  std::optional<publisher::StoredMessage> get(publisher::StreamSequence sequence);
  std::optional<publisher::StoredMessage> get_next(publisher::StreamSequence from,
                                                   const std::string& filter);

  publisher::Connection& nats_;
  const Config& config_;
  std::uint64_t read_ = 0;
};

// The commit time that a record's text says (the last one, of several lines); nothing: none.
std::optional<pg::Timestamp> commit_time_in(std::string_view text);

// The first message at or after a position or a time, of a stream as `info` describes it.
using SeekTarget = std::variant<pg::Lsn, pg::Timestamp>;
std::optional<Stamp> seek(Stamps& stamps, const publisher::StreamInfo& info,
                          const SeekTarget& target);

}  // namespace connector
