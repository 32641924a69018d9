#include "publisher/stream.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "publisher/error.h"

namespace publisher {
namespace {

using Json = nlohmann::json;

constexpr int stream_not_found = 10059;

std::int64_t nanoseconds(std::chrono::milliseconds duration) {
  return std::chrono::nanoseconds(duration).count();
}

Json to_config(const StreamSettings& settings) {
  Json config{{"name", settings.name},
              {"subjects", settings.subjects},
              {"retention", "limits"},
              {"max_consumers", -1},
              {"max_msgs", -1},
              {"max_msgs_per_subject", -1},
              {"max_bytes", settings.max_bytes > 0 ? settings.max_bytes : -1},
              {"max_age", nanoseconds(settings.max_age)},
              {"max_msg_size", -1},
              {"storage", settings.storage},
              {"discard", settings.discard},
              {"num_replicas", settings.replicas},
              {"duplicate_window", nanoseconds(settings.duplicate_window)}};
  if (settings.compression != "none") config["compression"] = settings.compression;
  if (!settings.placement_tags.empty()) config["placement"] = {{"tags", settings.placement_tags}};
  return config;
}

StreamInfo to_info(const std::string& answer) {
  const Json json = Json::parse(answer);
  const Json& state = json.at("state");
  StreamInfo info;
  info.created = json.at("created").get<std::string>();
  info.first = StreamSequence(state.at("first_seq").get<std::uint64_t>());
  info.last = StreamSequence(state.at("last_seq").get<std::uint64_t>());
  info.messages = state.value("messages", std::uint64_t{0});
  info.bytes = state.value("bytes", std::uint64_t{0});
  info.replicas = json.at("config").value("num_replicas", 1);
  if (json.contains("cluster")) info.leader = json["cluster"].value("leader", "");
  const Json& config = json.at("config");
  info.thinned = config.value("max_msgs_per_subject", std::int64_t{-1}) > 0 ||
                 config.value("allow_msg_ttl", false);
  info.config = config.dump();
  return info;
}

std::vector<std::string_view> tokens(std::string_view subject) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto dot = subject.find('.');
    parts.push_back(subject.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    subject.remove_prefix(dot + 1);
  }
}

// What would make a promise untrue.
void find_breaches(const Json& config, const StreamSettings& wanted, StreamFindings& found) {
  const auto fail = [&](const std::string& text) { found.fails.push_back(text); };
  const auto subjects = config.value("subjects", std::vector<std::string>{});
  for (const std::string& subject : wanted.subjects) {
    const bool taken =
        std::any_of(subjects.begin(), subjects.end(),
                    [&](const std::string& filter) { return covers(filter, subject); });
    if (!taken) {
      fail(fmt::format("it does not take {} (it takes {}): add that subject", subject,
                       fmt::join(subjects, ", ")));
    }
  }
  const auto expect = [&](const char* key, const std::string& value, const std::string& why) {
    const std::string is = config.value(key, value);
    if (is != value) fail(fmt::format("{} is {}, {}: it must be {}", key, is, why, value));
  };
  expect("retention", "limits", "which removes messages that a consumer has acknowledged");
  expect("storage", wanted.storage, "not what stream.storage says");
  if (wanted.discard == "new") expect("discard", "new", "which loses the oldest when it is full");
  expect("persist_mode", "default", "which acknowledges before the message is written");
  const auto forbid = [&](const char* key, const char* why) {
    if (config.contains(key) && !config[key].is_null() && config[key] != Json(false) &&
        !(config[key].is_array() && config[key].empty())) {
      fail(fmt::format("{} is set, {}", key, why));
    }
  };
  forbid("mirror", "and a mirror takes no messages");
  forbid("sources", "and messages from other streams would stand among walferry's");
  forbid("sealed", "and a sealed stream takes no messages");
  forbid("no_ack", "and walferry could not know what is stored");
  forbid("subject_transform", "and messages would not be found under their subjects");
  forbid("subject_delete_marker_ttl", "and the server would write messages of its own");
  forbid("allow_msg_schedules", "and the server would write messages of its own");
  forbid("allow_msg_counter", "and such a stream takes nothing but counters");
  forbid("discard_new_per_subject", "and a subject that is full would stop the stream");
  const auto limit = config.value("max_msg_size", std::int64_t{-1});
  if (limit >= 0 && limit < wanted.largest_message) {
    fail(fmt::format("max_msg_size is {} bytes: publish.max_message needs {} (headers included)",
                     limit, wanted.largest_message));
  }
}

void find_differences(const Json& config, const StreamSettings& wanted, StreamFindings& found) {
  const auto warn = [&](const char* key, const auto& is, const auto& configured) {
    found.warns.push_back(
        fmt::format("{} is {}, where the configuration says {}", key, is, configured));
  };
  const Json asked = to_config(wanted);
  for (const char* key : {"discard", "num_replicas", "max_age", "max_bytes", "duplicate_window"}) {
    const Json is = config.value(key, Json(nullptr));
    if (!is.is_null() && is != asked[key]) warn(key, is.dump(), asked[key].dump());
  }
  const std::string compression = config.value("compression", "none");
  if (compression != wanted.compression) warn("compression", compression, wanted.compression);
  if (config.value("max_msgs_per_subject", std::int64_t{-1}) > 0) {
    found.warns.emplace_back(
        "max_msgs_per_subject is set: older records of a subject are removed, and a consumer that "
        "reads late does not see them");
  }
}

}  // namespace

std::optional<StreamInfo> stream_info(Connection& nats, const std::string& name) {
  try {
    return to_info(nats.api("STREAM.INFO." + name, ""));
  } catch (const Error& error) {
    if (error.api_code() == stream_not_found) return std::nullopt;
    throw;
  }
}

StreamInfo create_stream(Connection& nats, const StreamSettings& settings) {
  const Json asked = to_config(settings);
  StreamInfo info = to_info(nats.api("STREAM.CREATE." + settings.name, asked.dump()));
  const Json got = Json::parse(info.config);
  for (const auto& [key, value] : asked.items()) {
    if (!got.contains(key) || got[key] != value) {
      if (info.last == StreamSequence()) nats.api("STREAM.DELETE." + settings.name, "");
      throw Error(Failure::api,
                  fmt::format("stream {}: the server did not take {} = {} (it says {}): it is too "
                              "old for that setting, or its account's limits forbid it",
                              settings.name, key, value.dump(),
                              got.contains(key) ? got[key].dump() : "nothing"));
    }
  }
  return info;
}

StreamFindings check_stream(const StreamInfo& info, const StreamSettings& wanted) {
  StreamFindings found;
  const Json config = Json::parse(info.config);
  find_breaches(config, wanted, found);
  find_differences(config, wanted, found);
  return found;
}

bool covers(std::string_view filter, std::string_view subject) {
  const auto f = tokens(filter);
  const auto s = tokens(subject);
  for (std::size_t i = 0; i < f.size(); ++i) {
    if (f[i] == ">") return i < s.size();
    if (i >= s.size() || s[i] == ">") return false;
    if (f[i] != "*" && f[i] != s[i]) return false;
  }
  return f.size() == s.size();
}

}  // namespace publisher
