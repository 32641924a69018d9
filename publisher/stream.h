// The stream: made as configured, or checked.
//
// Settings go out as raw JSON on the API's subject, so that those newer than nats.c are reachable,
// and what the server echoes is compared with what was asked: an old server ignores a field that it
// does not know, and says nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "publisher/connection.h"
#include "publisher/types.h"

namespace publisher {

struct StreamSettings {
  std::string name;
  std::vector<std::string> subjects;  // all that it must take
  std::string storage;                // "file", "memory"
  std::string discard;                // "old", "new"
  std::string compression;            // "none", "s2"
  int replicas = 1;
  std::chrono::milliseconds max_age{0};
  std::int64_t max_bytes = 0;
  std::chrono::milliseconds duplicate_window{0};
  std::vector<std::string> placement_tags;
  std::int64_t largest_message = 0;  // bytes, headers included, that it must take
};

struct StreamInfo {
  std::string created;  // as the server writes it; another value is another stream
  StreamSequence first, last;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  int replicas = 1;
  std::string leader;    // empty where the server is not clustered
  bool thinned = false;  // its own settings remove messages between others
  std::string config;    // JSON
};

// Nothing when there is no such stream. Answered by the stream's leader.
std::optional<StreamInfo> stream_info(Connection& nats, const std::string& name);

// Throws Failure::api, also when the server did not take every setting: then none is left behind.
StreamInfo create_stream(Connection& nats, const StreamSettings& settings);

// What an existing stream has that the promises do not allow (`fails`), or that differs from the
// configuration without breaking one (`warns`). Each says the setting, what it is and what it
// should be.
struct StreamFindings {
  std::vector<std::string> fails;
  std::vector<std::string> warns;
};
StreamFindings check_stream(const StreamInfo& info, const StreamSettings& wanted);

// True when every subject that matches `subject` matches `filter`; both may hold wildcards.
bool covers(std::string_view filter, std::string_view subject);

}  // namespace publisher
