// What a round publishes, as it stands in its file: records that are encoded already, so that a
// round which is published again, after whatever, is the same again.
//
//   round file   messages… manifest
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "connector/diff_store.h"
#include "connector/message_writer.h"
#include "outbox/bytes.h"
#include "outbox/checked_file.h"
#include "pg/types.h"

namespace connector {

// One record on its way to a message.
struct DiffMessage {
  HeldRecord record;    // `snapshot` and `body` as MessageWriter::alone() takes them
  bool schema = false;  // the schema record in front of it instead: its subject, its body
};

class RoundWriter {
 public:
  explicit RoundWriter(const std::string& path) : file_(path, "rond") {}

  void add(const DiffMessage& message);
  std::uint64_t messages() const { return messages_; }
  void commit(DiffManifest& manifest);

 private:
  void flush();
  outbox::CheckedWriter file_;
  std::string block_;
  std::uint64_t messages_ = 0;
};

class RoundReader {
 public:
  explicit RoundReader(const std::string& path) : file_(path, "rond") {}

  // False at the end. `message` is filled anew, at the round's place.
  bool next(pg::Lsn lsn, DiffMessage& message);

 private:
  outbox::CheckedReader file_;
  std::string_view rest_;
};

}  // namespace connector
