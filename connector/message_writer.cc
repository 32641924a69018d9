#include "connector/message_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/record.h"
#include "connector/stop.h"

namespace connector {
namespace {

// The last change that is stored whole where only a part of the one at `position` is.
pg::Position covered_before(pg::Position position) {
  if (position.ordinal > 0) --position.ordinal;
  return position;
}

}  // namespace

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
  held_.removal.clear();
  held_.headers.clear();
  held_.event_headers.clear();
  held_.raw = false;
  return held_;
}

void MessageWriter::schema(pg::Position before, const std::string& source,
                           const std::string& subject, std::string_view body) {
  if (holds_) release(false);
  send_pack();
  set_id(before);
  id_ += ":schema";
  add_header(position_header, to_string(covered_before(before)));
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
    if (!held_.removal.empty()) finish_(held_.removal, false);
    finish_(held_.body, last);
  } else if (last && held_.position.ordinal > 0) {  // 0: a message outside of any transaction
    held_.headers.emplace_back("Walferry-Tx-Last", "true");
  }
  if (config_.publish.pack == "transaction" && !held_.raw && join(held_)) {
    pack(held_);
  } else {
    send_pack();
    send_whole(held_);
  }
}

// Two records of one change have one place in a pack, and so may not be in two. False where they do
// not fit into one: then they are messages of their own.
bool MessageWriter::join(HeldRecord& record) const {
  if (record.removal.empty()) return true;
  if (record.removal.size() + 1 + record.body.size() > config_.publish.max_message) return false;
  record.removal += '\n';
  record.body.insert(0, record.removal);
  return true;
}

void MessageWriter::pack(HeldRecord& record) {
  const std::uint64_t limit = config_.publish.max_message;
  const std::uint64_t lines = record.removal.empty() ? 1 : 2;
  const bool crosses = pack_last_ <= cut_after_ && record.position > cut_after_;
  const bool fits = pack_.body.size() + 1 + record.body.size() <= limit;
  if (packed_ > 0 && (crosses || !fits)) send_pack();
  pack_last_ = record.position;
  if (packed_ == 0) {
    std::swap(pack_, record);
  } else {
    pack_.body += '\n';
    pack_.body += record.body;
  }
  packed_ += lines;
  if (pack_.body.size() > limit) send_pack();
}

void MessageWriter::send_pack() {
  if (packed_ == 0) return;
  const std::uint64_t lines = std::exchange(packed_, 0);
  if (pack_.body.size() > config_.publish.max_message) {
    send_whole(pack_);  // one change alone
    return;
  }
  set_id(pack_.position);
  add_header(position_header, to_string(pack_last_));
  add_header(changes_header, std::to_string(lines));
  send(pack_last_, pack_.source, pack_subject_, pack_.body);
}

void MessageWriter::send_whole(const HeldRecord& record) {
  if (!record.removal.empty()) {
    send_piece(record,
               {":delete", MessagePosition::removal, record.removal_subject, record.removal});
  }
  send_piece(record, {"", MessagePosition::whole, record.subject, record.body});
}

void MessageWriter::send_piece(const HeldRecord& record, const Piece& piece) {
  if (piece.body.size() > config_.publish.max_message) {
    if (config_.publish.oversize != "split") refuse(record, piece);
    send_parts(record, piece);
    return;
  }
  set_id(record);
  id_ += piece.tag;
  if (piece.place != MessagePosition::whole) {
    add_header(position_header, to_string(covered_before(record.position)));
  }
  add_headers_of(record);
  send({record.position, piece.place}, record.source, piece.subject, piece.body);
}

void MessageWriter::send_parts(const HeldRecord& record, const Piece& piece) {
  const std::size_t limit = config_.publish.max_message;
  const std::string_view body = piece.body;
  const std::size_t parts = (body.size() + limit - 1) / limit;
  const std::uint32_t before = piece.place == MessagePosition::whole ? MessagePosition::removal : 0;
  for (std::size_t part = 1; part <= parts; ++part) {
    const bool last = part == parts;
    const bool covers = last && piece.place == MessagePosition::whole;
    set_id(record);
    id_ += piece.tag;
    id_ += fmt::format(".{}", part);
    if (record.snapshot.empty()) {
      add_header(position_header,
                 to_string(covers ? record.position : covered_before(record.position)));
    }
    add_header(part_header, std::to_string(part));
    add_header(parts_header, std::to_string(parts));
    add_headers_of(record);
    const bool ends = last || !record.snapshot.empty();
    send({record.position, ends ? piece.place : before + static_cast<std::uint32_t>(part)},
         record.source, piece.subject, body.substr((part - 1) * limit, limit));
  }
}

std::string MessageWriter::key_for_log(const HeldRecord& record) const {
  const bool named = config_.log.keys && !record.raw && config_.publish.format != "debezium";
  const std::string_view key = named ? key_in(record.body) : std::string_view();
  return key.empty() ? "" : fmt::format(", key {}", key);
}

void MessageWriter::refuse(const HeldRecord& record, const Piece& piece) const {
  throw Stop(
      Exit::precondition,
      fmt::format("{}, position {}{}: the record has {} bytes, and publish.max_message is {}",
                  record.source, to_string(record.position), key_for_log(record), piece.body.size(),
                  config_.publish.max_message),
      record.raw ? "raise publish.max_message (and max_payload of nats-server), or set "
                   "publish.oversize to \"split\" (nothing of it can be left out)"
                 : "raise publish.max_message (and max_payload of nats-server), set "
                   "publish.oversize to \"split\" or \"omit\", or leave the table out");
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
  if (record.snapshot.empty()) {
    set_id(record.position);
    return;
  }
  values_.clear();
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
  for (const auto& [name, value] : record.event_headers) add_header(name.c_str(), value);
  if (record.raw) return;
  for (const auto& [name, value] : describe_(record, id_.c_str())) add_header(name, value);
}

}  // namespace connector
