#include "pg/pgoutput.h"

#include <fmt/format.h>

namespace pg {
namespace {

Timestamp read_time(ByteReader& in) {
  return Timestamp{static_cast<std::int64_t>(in.read<std::uint64_t>())};
}
Lsn read_lsn(ByteReader& in) { return Lsn(in.read<std::uint64_t>()); }

[[noreturn]] void unknown(const char* what, char tag, std::size_t offset) {
  throw ProtocolError(fmt::format("unknown {} '{}' (0x{:02X}) at byte {}", what,
                                  tag >= ' ' && tag <= '~' ? tag : '?',
                                  static_cast<unsigned char>(tag), offset));
}

Begin read_begin(ByteReader& in) {
  Begin begin;
  begin.commit_lsn = read_lsn(in);
  begin.commit_time = read_time(in);
  begin.xid = TransactionId(in.read<std::uint32_t>());
  return begin;
}

Commit read_commit(ByteReader& in) {
  in.read<std::uint8_t>();  // flags, none defined
  Commit commit;
  commit.commit_lsn = read_lsn(in);
  commit.end_lsn = read_lsn(in);
  commit.commit_time = read_time(in);
  return commit;
}

Message read_message(ByteReader& in) {
  Message message;
  message.transactional = (in.read<std::uint8_t>() & 1) != 0;
  message.lsn = read_lsn(in);
  message.prefix = in.c_string();
  message.content = in.bytes(in.read<std::uint32_t>());
  return message;
}

TypeSeen read_type(ByteReader& in) {
  TypeSeen type;
  type.type = TypeId(in.read<std::uint32_t>());
  type.schema = in.c_string();
  type.name = in.c_string();
  return type;
}

Origin read_origin(ByteReader& in) {
  Origin origin;
  origin.origin_lsn = read_lsn(in);
  origin.name = in.c_string();
  return origin;
}

ReplicaIdentity read_identity(ByteReader& in) {
  const char identity = in.tag();
  switch (identity) {
    case 'd':
    case 'n':
    case 'f':
    case 'i': return static_cast<ReplicaIdentity>(identity);
    default: unknown("replica identity", identity, in.offset() - 1);
  }
}

void expect_tag(ByteReader& in, char expected) {
  const char tag = in.tag();
  if (tag != expected) unknown("tuple kind", tag, in.offset() - 1);
}

}  // namespace

Change PgoutputDecoder::decode(std::string_view message) {
  ByteReader in(message);
  const char tag = in.tag();
  Change change;
  switch (tag) {
    case 'B': change = read_begin(in); break;
    case 'C': change = read_commit(in); break;
    case 'M': change = read_message(in); break;
    case 'Y': change = read_type(in); break;
    case 'O': change = read_origin(in); break;
    case 'R': change = decode_relation(in); break;
    case 'U': change = decode_update(in); break;
    case 'D': change = decode_delete(in); break;
    case 'T': change = decode_truncate(in); break;
    case 'I': {
      const Relation* rel = relation(RelationId(in.read<std::uint32_t>()));
      expect_tag(in, 'N');
      change = Insert{rel, read_row(in, *rel, new_row_)};
      break;
    }
    default: unknown("message", tag, 0);
  }
  if (in.remaining() != 0) {
    throw ProtocolError(fmt::format("message '{}' has {} bytes beyond its end at byte {}", tag,
                                    in.remaining(), in.offset()));
  }
  return change;
}

Change PgoutputDecoder::decode_relation(ByteReader& in) {
  auto rel = std::make_unique<Relation>();
  rel->id = RelationId(in.read<std::uint32_t>());
  rel->schema = in.c_string();
  // The protocol writes pg_catalog as the empty string.
  if (rel->schema.empty()) rel->schema = "pg_catalog";
  rel->name = in.c_string();
  rel->identity = read_identity(in);
  const auto count = in.read<std::uint16_t>();
  rel->columns.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    Column column;
    column.key = (in.read<std::uint8_t>() & 1) != 0;
    column.name = in.c_string();
    column.type = TypeId(in.read<std::uint32_t>());
    column.modifier = static_cast<std::int32_t>(in.read<std::uint32_t>());
    rel->columns.push_back(std::move(column));
  }
  auto& slot = relations_[rel->id.value];
  slot = std::move(rel);
  return RelationSeen{slot.get()};
}

Change PgoutputDecoder::decode_update(ByteReader& in) {
  Update update;
  update.relation = relation(RelationId(in.read<std::uint32_t>()));
  char tag = in.tag();
  if (tag == 'K' || tag == 'O') {
    update.old_kind = tag == 'K' ? OldRow::key : OldRow::full;
    update.old = read_row(in, *update.relation, old_row_);
    tag = in.tag();
  }
  if (tag != 'N') unknown("tuple kind", tag, in.offset() - 1);
  update.row = read_row(in, *update.relation, new_row_);
  return update;
}

Change PgoutputDecoder::decode_delete(ByteReader& in) {
  Delete del;
  del.relation = relation(RelationId(in.read<std::uint32_t>()));
  const char tag = in.tag();
  if (tag != 'K' && tag != 'O') unknown("tuple kind", tag, in.offset() - 1);
  del.old_kind = tag == 'K' ? OldRow::key : OldRow::full;
  del.old = read_row(in, *del.relation, old_row_);
  return del;
}

Change PgoutputDecoder::decode_truncate(ByteReader& in) {
  const auto count = in.read<std::uint32_t>();
  Truncate truncate;
  const auto options = in.read<std::uint8_t>();
  truncate.cascade = (options & 1) != 0;
  truncate.restart_identity = (options & 2) != 0;
  truncated_.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    truncated_.push_back(relation(RelationId(in.read<std::uint32_t>())));
  }
  truncate.relations = truncated_;
  return truncate;
}

const Relation* PgoutputDecoder::relation(RelationId id) const {
  const auto found = relations_.find(id.value);
  if (found == relations_.end()) {
    throw ProtocolError(
        fmt::format("a change to relation {}, which was never announced", id.value));
  }
  return found->second.get();
}

Row PgoutputDecoder::read_row(ByteReader& in, const Relation& relation,
                              std::vector<Value>& into) const {
  const auto count = in.read<std::uint16_t>();
  if (count != relation.columns.size()) {
    throw ProtocolError(fmt::format("a row of {} columns at byte {}, where {}.{} has {}", count,
                                    in.offset() - 2, relation.schema, relation.name,
                                    relation.columns.size()));
  }
  into.clear();
  for (unsigned i = 0; i < count; ++i) {
    const char kind = in.tag();
    switch (kind) {
      case 'n': into.emplace_back(Null{}); break;
      case 'u': into.emplace_back(Unchanged{}); break;
      case 't': into.emplace_back(in.bytes(in.read<std::uint32_t>())); break;
      default: unknown("column kind", kind, in.offset() - 1);
    }
  }
  return into;
}

}  // namespace pg
