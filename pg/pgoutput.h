// Decodes pgoutput, protocol 1: bytes in, Change out, no I/O and no copy of a row's bytes.
//
// Source: PostgreSQL's documentation, "Logical Replication Message Formats". Every message is read
// to its last byte: a short one, a long one and an unknown tag throw ProtocolError with the offset.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pg/byte_reader.h"
#include "pg/change.h"

namespace pg {

class PgoutputDecoder {
 public:
  // Borrows `message`; what the result refers to is valid until the next call. A change to a
  // relation that no Relation message has announced is a ProtocolError.
  Change decode(std::string_view message);

 private:
  Change decode_relation(ByteReader& in);
  Change decode_update(ByteReader& in);
  Change decode_delete(ByteReader& in);
  Change decode_truncate(ByteReader& in);
  const Relation* relation(RelationId id) const;
  Row read_row(ByteReader& in, const Relation& relation, std::vector<Value>& into) const;

  // The newest Relation message wins. unique_ptr: changes point at them while the map grows.
  std::unordered_map<std::uint32_t, std::unique_ptr<Relation>> relations_;
  std::vector<Value> new_row_;
  std::vector<Value> old_row_;
  std::vector<const Relation*> truncated_;
};

}  // namespace pg
