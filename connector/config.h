// The configuration as the rest of walferry sees it: parsed, defaulted and validated, nothing left
// to interpret. CONTRACT.md, "Configuration", names the keys; config/reference.toml explains them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace connector {

struct SourceConfig {
  std::string dsn;  // libpq conninfo or URI; may hold a password: never log it as it is
  std::string slot = "walferry";
  std::string publication;                  // never empty: the slot's name by default
  std::vector<std::string> exclude_tables;  // as written: schema.table or schema.*
  std::vector<std::string> messages;        // prefixes of logical messages; {"*"}: all
  std::string origin = "any";               // "none": what replication applied is left out
  std::chrono::milliseconds replay_window{std::chrono::minutes(5)};  // 0: off
  std::uint64_t replay_window_max = 4ULL << 30;                      // bytes of WAL
  std::string streaming = "off";          // "on": transactions in progress are received, spilled
  std::string spill_dir;                  // empty: pg::default_spill_dir()
  std::uint64_t spill_max = 10ULL << 30;  // bytes, of all transactions in progress
  friend bool operator==(const SourceConfig&, const SourceConfig&) = default;
};

struct NatsConfig {
  std::string url = "nats://127.0.0.1:4222";  // several, comma separated
  std::string creds, nkey_seed_file, user, password, token;
  std::string tls_ca, tls_cert, tls_key;
  std::string domain;
  friend bool operator==(const NatsConfig&, const NatsConfig&) = default;
};

struct StreamConfig {
  std::string name = "CDC";
  std::string subject_prefix = "cdc";
  bool create = true;
  std::string storage = "file";       // "file", "memory"
  std::vector<std::string> subjects;  // more than {prefix}.>
  std::string discard = "old";        // "old", "new"
  std::string compression = "none";   // "none", "s2"
  int replicas = 1;
  std::chrono::milliseconds max_age{0};  // 0: unlimited
  std::int64_t max_bytes = 0;            // 0: unlimited
  std::chrono::milliseconds duplicate_window{std::chrono::minutes(2)};
  std::vector<std::string> placement_tags;
  friend bool operator==(const StreamConfig&, const StreamConfig&) = default;
};

struct PublishConfig {
  std::string format = "json";         // "json", "debezium", "cloudevents"
  std::string order = "strict";        // "strict", "dedup"
  std::uint32_t max_in_flight = 4096;  // messages
  std::uint64_t max_in_flight_bytes = 8ULL << 20;
  std::string pack = "none";  // "none", "transaction"
  std::uint64_t max_message = 1000ULL << 10;
  std::string oversize = "stop";  // "stop", "omit", "split"
  friend bool operator==(const PublishConfig&, const PublishConfig&) = default;
};

enum class Mask { none, hash, redact };

// Which records of a table are published, by their op.
struct Operations {
  bool insert = true, update = true, remove = true, truncate = true;
  friend bool operator==(const Operations&, const Operations&) = default;
};

// An [[outbox]]: whose rows (or, with a prefix, which logical messages) are events.
struct OutboxConfig {
  std::string schema = {}, table = {};  // empty: the logical messages of `message_prefix`
  std::string message_prefix = {};
  std::string capture = "wal";                                   // "poll"
  std::string subject = "events.{aggregate_type}.{event_type}";  // see SubjectTemplate
  // The columns' names (of a message: its JSON members'). Where one of the defaults is missing,
  // that of Debezium's event router stands for it; no headers are needed.
  std::string id = "id";
  std::string aggregate_type = "aggregate_type", aggregate_id = "aggregate_id";
  std::string event_type = "event_type";
  std::string payload = "payload";
  std::string headers = "headers";  // empty: none
  bool delete_after_publish = false;
  std::chrono::milliseconds poll_interval{std::chrono::seconds(1)};
  std::string replay_prefix = {};  // of a replay: stands in front of the subject, with its dot
  friend bool operator==(const OutboxConfig&, const OutboxConfig&) = default;
};

// A [[table]]: its `name`, taken apart: each part literal or double-quoted; table "*" (unquoted) is
// the pattern that takes every table of the schema; and what of its rows is published, how.
struct TableConfig {
  std::string schema = {};
  std::string table = {};
  bool pattern = false;
  std::vector<std::string> columns = {};  // only these; empty: all
  std::vector<std::string> exclude = {};  // all but these; not together with `columns`
  std::map<std::string, Mask> mask = {};
  Operations ops = {};
  std::string where = {};                   // an SQL expression; empty: all rows
  std::vector<std::string> key = {};        // empty: the replica identity
  bool snapshot = true;                     // "initial": its rows are read first; false: "never"
  std::optional<OutboxConfig> outbox = {};  // its inserts are events, and nothing else is published
  friend bool operator==(const TableConfig&, const TableConfig&) = default;
};

// How tables are read for their snapshots.
struct SnapshotConfig {
  std::uint32_t workers = 2;          // connections that read at once
  std::uint64_t chunk_rows = 10'000;  // a chunk's, at most
  friend bool operator==(const SnapshotConfig&, const SnapshotConfig&) = default;
};

struct LogConfig {
  std::string level = "info";   // trace, debug, info, warn, error
  std::string format = "text";  // "json"
  bool keys = false;            // an error about a row may name its key
  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct Config {
  std::string file;  // where it was read from
  SourceConfig source;
  NatsConfig nats;
  StreamConfig stream;
  PublishConfig publish;
  std::vector<TableConfig> tables;  // outboxes from WAL among them
  std::vector<OutboxConfig> outboxes;
  SnapshotConfig snapshot;
  LogConfig log;
  bool polls() const { return !outboxes.empty() && outboxes.front().capture == "poll"; }
  friend bool operator==(const Config&, const Config&) = default;
};

// Every problem of a configuration at once, one line each ("file:line: key: what, what is
// allowed").
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::vector<std::string> problems);
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  std::vector<std::string> problems_;
};

// Reads, substitutes ${NAME} from the environment, defaults and validates. Throws ConfigError.
Config load_config(const std::string& file);
Config parse_config(std::string_view text, const std::string& file_name);

// Every key that the reader knows, by its full name ("source.dsn", "table.name"), in its order.
std::vector<std::string> known_keys();

// Splits `schema.table`, where a part may be double-quoted ("a.b"."c""d"); throws
// std::invalid_argument, saying what is wrong.
TableConfig parse_table_name(std::string_view name);

}  // namespace connector
