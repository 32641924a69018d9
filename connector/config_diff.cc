#include "connector/config_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace connector {
namespace {

constexpr std::chrono::milliseconds shortest_interval{100};

std::string written(const TableConfig& table) {
  return table.schema + "." + (table.pattern ? "*" : table.table);
}

void refuse_settings_of_wal(Section& root, const Config& config) {
  const auto refuse = [&](const char* key, bool used, const char* why) {
    if (!used) return;
    root.problem(
        key, fmt::format("does not go together with capture = \"diff\", {}; leave it out", why));
  };
  const SourceConfig& source = config.source;
  refuse("source", !source.messages.empty(), "which reads no logical messages (messages)");
  refuse("source", source.streaming != "off", "which has no slot to stream from (streaming)");
  refuse("source", source.origin != "any", "which cannot tell who wrote a row (origin)");
  refuse("publish", config.publish.pack != "none", "whose changes are of no transaction (pack)");
}

}  // namespace

void read_capture(Section& section, TableConfig& table) {
  std::string capture = "wal";
  const bool known = section.one_of("capture", capture, {"wal", "diff"});
  DiffSettings settings;
  std::string first = "baseline";
  {
    Section diff = section.table("diff");
    diff.duration("interval", settings.interval, shortest_interval);
    diff.one_of("first", first, {"baseline", "snapshot"});
    diff.boolean("before", settings.before);
  }
  settings.first_is_snapshot = first == "snapshot";
  if (capture == "diff") {
    table.diff = settings;
    if (section.given("snapshot")) {
      section.problem("snapshot",
                      "does not go together with capture = \"diff\"; [table.diff] says with first "
                      "whether the rows that are there are published");
    }
  } else if (known && section.given("diff") && settings != DiffSettings{}) {
    section.problem("diff", "needs capture = \"diff\"; write that, or leave this table out");
  }
}

void read_state_dir(Section section, Config& config) {
  section.text("state_dir", config.state_dir, [](std::string_view text) -> std::string {
    return text.starts_with('/') ? ""
                                 : "is no absolute path; write one, such as \"/var/lib/walferry\"";
  });
}

void check_captures(Section& root, const Config& config) {
  const auto is_diff = [](const TableConfig& table) { return table.diff.has_value(); };
  const auto diff = std::find_if(config.tables.begin(), config.tables.end(), is_diff);
  if (diff == config.tables.end()) return;
  const auto wal =
      std::find_if(config.tables.begin(), config.tables.end(),
                   [](const TableConfig& table) { return !table.diff && !table.outbox; });
  constexpr const char* apart =
      "each capture needs a configuration, a stream and a source.slot of its own";
  if (wal != config.tables.end()) {
    root.problem("table", fmt::format("{} has capture = \"diff\" and {} has \"wal\"; {}",
                                      written(*diff), written(*wal), apart));
  }
  if (root.given("outbox")) {
    root.problem("outbox", fmt::format("does not go together with a [[table]] whose capture is "
                                       "\"diff\"; {}",
                                       apart));
  }
  refuse_settings_of_wal(root, config);
}

}  // namespace connector
