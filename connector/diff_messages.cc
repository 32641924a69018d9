#include "connector/diff_messages.h"

#include <array>

namespace connector {
namespace {

constexpr std::size_t block_bytes = 256U << 10;

constexpr std::array<const char*, 2> header_names = {"Walferry-Rows", "Walferry-Restart"};

std::uint64_t place_of(std::string_view name) { return name == header_names[0] ? 0 : 1; }

}  // namespace

void RoundWriter::add(const DiffMessage& message) {
  const HeldRecord& record = message.record;
  outbox::put_number(block_, static_cast<std::uint64_t>(record.op));
  outbox::put_number(block_, (record.raw ? 1U : 0U) + (message.schema ? 2U : 0U));
  for (const std::string* text :
       {&record.source, &record.subject, &record.event_subject, &record.snapshot, &record.body}) {
    outbox::put_bytes(block_, *text);
  }
  outbox::put_number(block_, record.headers.size());
  for (const auto& [name, value] : record.headers) {
    outbox::put_number(block_, place_of(name));
    outbox::put_bytes(block_, value);
  }
  ++messages_;
  if (block_.size() >= block_bytes) flush();
}

void RoundWriter::flush() {
  if (block_.empty()) return;
  file_.add(block_);
  block_.clear();
}

void RoundWriter::commit(DiffManifest& manifest) {
  flush();
  manifest.messages = messages_;
  file_.add(manifest.to_json());
  file_.commit();
}

bool RoundReader::next(pg::Lsn lsn, DiffMessage& message) {
  if (rest_.empty()) {
    if (file_.offset() >= file_.last_block()) return false;
    rest_ = file_.next();
  }
  outbox::Bytes in(rest_);
  HeldRecord& record = message.record;
  std::uint64_t op = 0;
  std::uint64_t flags = 0;
  bool good = in.number(op) && in.number(flags);
  for (std::string* text :
       {&record.source, &record.subject, &record.event_subject, &record.snapshot, &record.body}) {
    std::string_view bytes;
    good = good && in.bytes(bytes);
    text->assign(bytes);
  }
  std::uint64_t headers = 0;
  good = good && in.number(headers);
  record.headers.clear();
  for (std::uint64_t i = 0; good && i < headers; ++i) {
    std::uint64_t name = 0;
    std::string_view value;
    good = in.number(name) && name < header_names.size() && in.bytes(value);
    if (good) record.headers.emplace_back(header_names[name], value);
  }
  if (!good) file_.fail("is damaged: a message is cut short");
  rest_ = in.rest();
  record.position = {lsn, 0};
  record.op = static_cast<Op>(op);
  record.raw = (flags & 1U) != 0;
  record.removal.clear();
  message.schema = (flags & 2U) != 0;
  return true;
}

}  // namespace connector
