// One key of a NATS key-value bucket, laid out as the `nats kv` tool and the client libraries
// expect, written only with the expected revision: two writers cannot both succeed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "publisher/connection.h"

namespace publisher {

struct KeyValueEntry {
  std::uint64_t revision = 0;        // 0: the key was never written
  std::optional<std::string> value;  // nothing: never written, or deleted
};

class KeyValue {
 public:
  // `key` must be legal for NATS: A-Z a-z 0-9 - _ = / and dots between.
  KeyValue(std::string bucket, std::string key)
      : bucket_(std::move(bucket)), key_(std::move(key)) {}

  // Makes the bucket when there is none: file storage, one value a key. Throws Failure::api when
  // the one that is there would lose or forget values. Returns its replicas.
  int ensure_bucket(Connection& nats, int replicas) const;

  // From the leader. A bucket that does not exist reads like a key that was never written.
  KeyValueEntry get(Connection& nats) const;

  // Writes when the revision is still `expected`, and returns the new one; throws
  // Failure::unexpected_ack when somebody else has written.
  std::uint64_t put(Connection& nats, std::string_view value, std::uint64_t expected) const;

  // Deletes as `nats kv purge` does.
  void purge(Connection& nats) const;

  const std::string& name() const { return subject_; }  // "$KV.{bucket}.{key}"
  // Where values are published to. Within a JetStream domain that may be on the other side of a
  // leaf node, which passes on the API's subjects only.
  std::string put_subject(const Connection& nats) const;

 private:
  std::string bucket_;
  std::string key_;
  std::string subject_ = "$KV." + bucket_ + "." + key_;
};

}  // namespace publisher
