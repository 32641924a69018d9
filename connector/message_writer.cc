#include "connector/message_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/record.h"
#include "connector/stop.h"

namespace connector {

MessageWriter::MessageWriter(const Config& config, Finish finish, Describe describe, Send send)
    : config_(config),
      finish_(std::move(finish)),
      describe_(std::move(describe)),
      send_(std::move(send)),
      pack_subject_(config.stream.subject_prefix + "._transaction") {}

HeldRecord& MessageWriter::hold(pg::Position position) {
  if (holds_) release(false);
  holds_ = true;
  held_.position = position;
  held_.body.clear();
  held_.headers.clear();
  held_.raw = false;
  return held_;
}

void MessageWriter::schema(pg::Position before, const std::string& source,
                           const std::string& subject, std::string_view body) {
  if (holds_) release(false);
  send_pack();
  set_id(before);
  id_ += ":schema";
  add_header(position_header, to_string({before.commit_lsn, before.ordinal - 1}));
  send({before, MessagePosition::schema}, source, subject, body);
}

void MessageWriter::alone(const HeldRecord& record) { send_whole(record); }

void MessageWriter::schema_alone(const HeldRecord& before, const std::string& subject,
                                 std::string_view body) {
  set_id(before);
  id_ += ":schema";
  send(before.position, before.source, subject, body);
}

void MessageWriter::commit() {
  if (holds_) release(true);
  send_pack();
}

void MessageWriter::release(bool last) {
  holds_ = false;
  if (!held_.raw) {
    finish_(held_.body, last);
  } else if (last) {
    held_.headers.emplace_back("Walferry-Tx-Last", "true");
  }
  if (config_.publish.pack == "transaction" && !held_.raw) {
    pack(held_);
  } else {
    send_pack();
    send_whole(held_);
  }
}

void MessageWriter::pack(HeldRecord& record) {
  const std::uint64_t limit = config_.publish.max_message;
  const bool crosses = pack_last_ <= cut_after_ && record.position > cut_after_;
  const bool fits = pack_.body.size() + 1 + record.body.size() <= limit;
  if (packed_ > 0 && (crosses || !fits)) send_pack();
  if (packed_ == 0) {
    std::swap(pack_, record);
  } else {
    pack_.body += '\n';
    pack_.body += record.body;
    pack_last_ = record.position;
  }
  if (packed_++ == 0) pack_last_ = pack_.position;
  if (pack_.body.size() > limit) send_pack();
}

void MessageWriter::send_pack() {
  if (packed_ == 0) return;
  const std::uint64_t changes = std::exchange(packed_, 0);
  if (pack_.body.size() > config_.publish.max_message) {
    send_whole(pack_);  // one change alone
    return;
  }
  set_id(pack_.position);
  add_header(position_header, to_string(pack_last_));
  add_header(changes_header, std::to_string(changes));
  send(pack_last_, pack_.source, pack_subject_, pack_.body);
}

void MessageWriter::send_whole(const HeldRecord& record) {
  if (record.body.size() > config_.publish.max_message) {
    if (config_.publish.oversize != "split") refuse(record);
    send_parts(record);
    return;
  }
  set_id(record);
  add_headers_of(record);
  send(record.position, record.source, record.subject, record.body);
}

void MessageWriter::send_parts(const HeldRecord& record) {
  const std::size_t limit = config_.publish.max_message;
  const std::string_view body = record.body;
  const std::size_t parts = (body.size() + limit - 1) / limit;
  pg::Position covered = record.position;
  if (covered.ordinal > 0) --covered.ordinal;
  for (std::size_t part = 1; part <= parts; ++part) {
    const bool last = part == parts;
    set_id(record);
    id_ += fmt::format(".{}", part);
    if (record.snapshot.empty()) {
      add_header(position_header, to_string(last ? record.position : covered));
    }
    add_header(part_header, std::to_string(part));
    add_header(parts_header, std::to_string(parts));
    add_headers_of(record);
    const bool ends = last || !record.snapshot.empty();
    send({record.position, ends ? MessagePosition::whole : static_cast<std::uint32_t>(part)},
         record.source, record.subject, body.substr((part - 1) * limit, limit));
  }
}

std::string MessageWriter::key_for_log(const HeldRecord& record) const {
  const bool named = config_.log.keys && !record.raw && config_.publish.format != "debezium";
  const std::string_view key = named ? key_in(record.body) : std::string_view();
  return key.empty() ? "" : fmt::format(", key {}", key);
}

void MessageWriter::refuse(const HeldRecord& record) const {
  throw Stop(
      Exit::precondition,
      fmt::format("{}, position {}{}: the record has {} bytes, and publish.max_message is {}",
                  record.source, to_string(record.position), key_for_log(record),
                  record.body.size(), config_.publish.max_message),
      "raise publish.max_message (and max_payload of nats-server), set publish.oversize to "
      "\"split\" or \"omit\", or leave the table out");
}

void MessageWriter::send(const MessagePosition& position, const std::string& source,
                         const std::string& subject, std::string_view body) {
  headers_.clear();
  for (const auto& [name, value] : values_) headers_.push_back({name, value.c_str()});
  send_({.position = position,
         .source = source,
         .envelope = {.subject = subject.c_str(),
                      .message_id = id_.c_str(),
                      .payload = body,
                      .headers = headers_}});
}

void MessageWriter::set_id(pg::Position position) {
  id_.clear();
  fmt::format_to(std::back_inserter(id_), "{}:{:016X}:{}", config_.source.slot,
                 position.commit_lsn.value, position.ordinal);
  values_.clear();
}

void MessageWriter::set_id(const HeldRecord& record) {
  set_id(record.position);
  if (record.snapshot.empty()) return;
  id_.clear();
  fmt::format_to(std::back_inserter(id_), "{}:{:016X}:{}", config_.source.slot,
                 record.position.commit_lsn.value, record.snapshot);
  add_header(position_header, to_string(record.position));
}

void MessageWriter::add_header(const char* name, std::string value) {
  values_.emplace_back(name, std::move(value));
}

void MessageWriter::add_headers_of(const HeldRecord& record) {
  for (const auto& [name, value] : record.headers) add_header(name, value);
  if (record.raw) return;
  for (const auto& [name, value] : describe_(record, id_.c_str())) add_header(name, value);
}

}  // namespace connector
