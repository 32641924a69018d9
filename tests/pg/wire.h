// What a real PostgreSQL sent, from tests/wire: bytes, and beside them what Postgres itself said of
// each message as text.
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace pg {

struct Captured {
  std::string lsn;  // as Postgres prints it
  std::string xid;
  std::string commit_time;  // ISO 8601, UTC; "-" outside a transaction
  std::string bytes;
};

inline std::vector<Captured> captured(const std::string& name) {
  const std::string path = WALFERRY_SOURCE_DIR "/tests/wire/" + name + ".hex";
  std::ifstream in(path);
  std::vector<Captured> messages;
  Captured message;
  std::string hex;
  while (in >> message.lsn >> message.xid >> message.commit_time >> hex) {
    message.bytes.clear();
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      message.bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    messages.push_back(message);
  }
  if (messages.empty()) throw std::runtime_error("no messages in " + path);
  return messages;
}

inline constexpr const char* all_captures[] = {"rows",     "toast",    "full",    "by_index",
                                               "truncate", "messages", "altered", "identities",
                                               "origin",   "kinds"};

}  // namespace pg
