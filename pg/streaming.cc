#include "pg/streaming.h"

#include <fmt/format.h>

#include "pg/byte_reader.h"

namespace pg {
namespace {

// Those with an xid; Origin has none.
constexpr std::string_view tags_in_stream = "RYIUDTM";

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
}

StreamMessage read_stream_message(char tag, ByteReader& in) {
  switch (tag) {
    case 'S': {
      StreamStart start;
      start.xid = TransactionId(in.read<std::uint32_t>());
      start.first = in.read<std::uint8_t>() != 0;
      return start;
    }
    case 'c': {
      StreamCommit committed;
      committed.xid = TransactionId(in.read<std::uint32_t>());
      in.read<std::uint8_t>();  // flags, none defined
      committed.commit.commit_lsn = Lsn(in.read<std::uint64_t>());
      committed.commit.end_lsn = Lsn(in.read<std::uint64_t>());
      committed.commit.commit_time = Timestamp{static_cast<std::int64_t>(in.read<std::uint64_t>())};
      return committed;
    }
    case 'A': {
      StreamAbort aborted;
      aborted.xid = TransactionId(in.read<std::uint32_t>());
      aborted.sub = TransactionId(in.read<std::uint32_t>());
      return aborted;
    }
    default: return StreamStop{};
  }
}

}  // namespace

std::optional<StreamMessage> parse_stream_message(std::string_view message) {
  if (message.empty() || std::string_view("SEcA").find(message.front()) == std::string_view::npos) {
    return std::nullopt;
  }
  ByteReader in(message);
  const char tag = in.tag();
  StreamMessage parsed = read_stream_message(tag, in);
  if (in.remaining() != 0) {
    throw ProtocolError(fmt::format("message '{}' has {} bytes beyond its end at byte {}", tag,
                                    in.remaining(), in.offset()));
  }
  return parsed;
}

InStream split_in_stream(std::string_view message, TransactionId top) {
  ByteReader in(message);
  const char tag = in.tag();
  if (tag == 'O') return {top, message.substr(0, 1), message.substr(1)};
  if (tags_in_stream.find(tag) == std::string_view::npos) {
    throw ProtocolError(fmt::format("message '{}' (0x{:02X}) within the stream of transaction {}",
                                    tag >= ' ' && tag <= '~' ? tag : '?',
                                    static_cast<unsigned char>(tag), top.value));
  }
  InStream split;
  split.xid = TransactionId(in.read<std::uint32_t>());
  split.tag = message.substr(0, 1);
  split.rest = message.substr(in.offset());
  return split;
}

std::optional<RelationId> relation_described(std::string_view message) {
  if (message.empty() || message.front() != 'R') return std::nullopt;
  ByteReader in(message.substr(1));
  return RelationId(in.read<std::uint32_t>());
}

std::string begin_message(const StreamCommit& commit) {
  std::string message = "B";
  put(message, commit.commit.commit_lsn.value, 8);
  put(message, static_cast<std::uint64_t>(commit.commit.commit_time.micros), 8);
  put(message, commit.xid.value, 4);
  return message;
}

std::string commit_message(const StreamCommit& commit) {
  std::string message("C\0", 2);
  put(message, commit.commit.commit_lsn.value, 8);
  put(message, commit.commit.end_lsn.value, 8);
  put(message, static_cast<std::uint64_t>(commit.commit.commit_time.micros), 8);
  return message;
}

}  // namespace pg
