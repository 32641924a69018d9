// One CDC record, taken apart by the letter of its format: fields and their order, no space between
// tokens, id, subject and position that agree with each other.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/servers/jetstream.h"

namespace servers {

struct Record {
  std::uint64_t sequence = 0;  // of the stream
  std::string op;
  std::string schema;
  std::string table;
  nlohmann::ordered_json key;
  nlohmann::ordered_json before;
  nlohmann::ordered_json after;
  std::vector<std::string> unchanged;
  std::uint64_t commit_lsn = 0;
  std::uint64_t ordinal = 0;
  bool tx_last = false;
  std::uint32_t xid = 0;
  std::string commit_ts;
  std::string payload;
};

struct Naming {
  std::string slot = "walferry";
  std::string prefix = "cdc";
};

// Throws std::runtime_error that says what is wrong with the record.
Record parse_record(const Stored& stored, const Naming& naming = {});

// The announcement of a table's shape.
struct SchemaRecord {
  std::string subject;
  std::string id;
  nlohmann::ordered_json json;
};
bool is_schema_record(const Stored& stored, const Naming& naming = {});
// Throws like parse_record().
SchemaRecord parse_schema_record(const Stored& stored);

// The records under the prefix, parsed; walferry's other messages are left out.
std::vector<Record> parse_records(const std::vector<Stored>& stored, const Naming& naming = {});

// A name as part of a subject: every byte outside A-Z a-z 0-9 _ - is %XX, and so is a schema's
// leading _.
std::string subject_token(std::string_view name, bool is_schema = false);
std::string hex16(std::uint64_t lsn);

}  // namespace servers
