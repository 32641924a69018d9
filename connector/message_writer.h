// Records become messages: mostly one each, many in one (a pack), or one in many (its parts).
//
//   change ─▶ hold() ─▶ (next change, or commit: is it the last?) ─▶ pack, cut ─▶ Send
//
// A record's last fields wait until it is known whether it is its transaction's last; so one record
// is held back. What a message holds, and where it is cut, is a function of WAL and configuration
// alone, so that what is read again is cut again at the same places: sizes are compared with
// publish.max_message, never with a server's limit, and a pack never crosses a transaction's end.
//
// One thread; no I/O; buffers are reused.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connector/config.h"
#include "connector/message_position.h"
#include "connector/record.h"
#include "publisher/types.h"

namespace connector {

// One change, encoded.
struct HeldRecord {
  pg::Position position;
  std::string source;   // "table public.orders", for errors
  std::string subject;  // of its own
  std::string body;     // without what finish() appends
  // Where one change is two records, the first of them: that the row under the old key is gone.
  std::string removal_subject;
  std::string removal;  // empty: none
  bool raw = false;     // a logical message's content: neither finished nor packed
  Op op = Op::insert;   // of a record that is not raw
  std::string event_subject;
  // Of a snapshot: "snapshot:public.orders:17", the end of its id. Empty: a change's.
  std::string snapshot;
  std::vector<std::pair<const char*, std::string>> headers;
  // What an event brings along, whose names are data too.
  std::vector<std::pair<std::string, std::string>> event_headers;
};

// One message, whole. Borrows; valid within the call.
struct Message {
  MessagePosition position;
  std::string_view source;
  publisher::Envelope envelope;
};

class MessageWriter {
 public:
  using Finish = std::function<void(std::string& body, bool last)>;
  using Describe =
      std::function<std::span<const publisher::Header>(const HeldRecord&, const char* message_id)>;
  using Send = std::function<void(const Message&)>;

  // `finish` completes a record's body, `describe` gives the headers that its format adds (valid
  // until it is called again), `send` takes each message, in order. All are called within the calls
  // below, and may throw.
  MessageWriter(const Config& config, Finish finish, Describe describe, Send send);

  // The place for the next record, emptied but for what is filled in here. The record held before
  // is finished first: it was not its transaction's last.
  HeldRecord& hold(pg::Position position);

  // A message of its own in front of the record at `before`, which is not held yet.
  void schema(pg::Position before, const std::string& source, const std::string& subject,
              std::string_view body);

  // A snapshot's message, in no transaction: whole or in parts, with its place in a header. The
  // body is complete.
  void alone(const HeldRecord& record);
  // In front of a snapshot's message, with the same place.
  void schema_alone(const HeldRecord& before, const std::string& subject, std::string_view body);

  // The transaction is over: what is held was its last.
  void commit();

  // No pack reaches across it: the last change of what is stored already. Where the settings are
  // those that it was stored under, a pack ends there anyway.
  void cut_after(pg::Position position) { cut_after_ = position; }

 private:
  void release(bool last);
  bool join(HeldRecord& record) const;
  void pack(HeldRecord& record);
  void send_pack();
  // One of the messages that a held record is.
  struct Piece {
    std::string_view tag;  // behind its id
    std::uint32_t place;
    const std::string& subject;
    const std::string& body;
  };
  void send_whole(const HeldRecord& record);
  void send_piece(const HeldRecord& record, const Piece& piece);
  void send_parts(const HeldRecord& record, const Piece& piece);
  std::string key_for_log(const HeldRecord& record) const;
  [[noreturn]] void refuse(const HeldRecord& record, const Piece& piece) const;
  void send(const MessagePosition& position, const std::string& source, const std::string& subject,
            std::string_view body);
  void set_id(pg::Position position);
  void set_id(const HeldRecord& record);
  void add_header(const char* name, std::string value);
  void add_headers_of(const HeldRecord& record);

  const Config& config_;
  Finish finish_;
  Describe describe_;
  Send send_;
  const std::string pack_subject_;
  HeldRecord held_;
  bool holds_ = false;
  HeldRecord pack_;  // lines of body; position: of its first change
  pg::Position pack_last_;
  std::uint64_t packed_ = 0;  // lines
  pg::Position cut_after_;
  std::string id_;
  std::vector<std::pair<const char*, std::string>> values_;
  std::vector<publisher::Header> headers_;
};

}  // namespace connector
