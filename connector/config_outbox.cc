#include "connector/config_outbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "connector/config_values.h"
#include "connector/subject.h"
#include "connector/subject_template.h"

namespace connector {
namespace {

using std::chrono::milliseconds;

std::string check_outbox_table(std::string_view text) {
  if (text.empty()) return "";
  std::string problem = check_table_name(text);
  if (problem.empty() && parse_table_name(text).pattern) {
    problem = "is a pattern; an outbox is one table, as schema.table";
  }
  return problem;
}

std::string check_outbox_prefix(std::string_view text) {
  if (text == "*") return "takes all messages; name one prefix";
  return check_message_prefix(text);
}

// Where its events come from: a table, or the logical messages of a prefix.
void read_origin(Section& section, OutboxConfig& outbox) {
  std::string table;
  bool good = section.text("table", table, check_outbox_table);
  good &= section.text("message_prefix", outbox.message_prefix, check_outbox_prefix);
  if (!good) return;
  if (table.empty() == outbox.message_prefix.empty()) {
    section.problem(table.empty() ? "table" : "message_prefix",
                    table.empty() ? "is missing; write table = \"schema.table\", or "
                                    "message_prefix = \"…\" for an outbox of logical messages"
                                  : "does not go together with table; use one of them");
    return;
  }
  if (table.empty()) return;
  const TableConfig named = parse_table_name(table);
  outbox.schema = named.schema;
  outbox.table = named.table;
}

void read_columns(Section& section, OutboxConfig& outbox) {
  section.text("id", outbox.id, check_column_name);
  section.text("aggregate_type", outbox.aggregate_type, check_column_name);
  section.text("aggregate_id", outbox.aggregate_id, check_column_name);
  section.text("event_type", outbox.event_type, check_column_name);
  section.text("payload", outbox.payload, check_column_name);
  section.text("headers", outbox.headers, [](std::string_view text) {
    return text.empty() ? std::string() : check_column_name(text);
  });
}

void read_outbox(Section& section, OutboxConfig& outbox) {
  read_origin(section, outbox);
  section.one_of("capture", outbox.capture, {"wal", "poll"});
  if (outbox.capture == "poll" && !outbox.message_prefix.empty()) {
    section.problem("message_prefix", "is read from WAL; leave out capture = \"poll\"");
  }
  section.text("subject", outbox.subject, check_subject_template);
  read_columns(section, outbox);
  section.boolean("delete_after_publish", outbox.delete_after_publish);
  section.duration("poll_interval", outbox.poll_interval, milliseconds(1));
  if (outbox.capture != "wal") return;
  if (outbox.delete_after_publish) {
    section.problem("delete_after_publish",
                    "needs capture = \"poll\"; from WAL a row is published though the transaction "
                    "that inserts it deletes it too, so let the application do that");
  }
  if (outbox.poll_interval != OutboxConfig().poll_interval) {
    section.problem("poll_interval", "needs capture = \"poll\"; leave it out");
  }
}

TableConfig as_table(const OutboxConfig& outbox) {
  TableConfig table;
  table.schema = outbox.schema;
  table.table = outbox.table;
  table.ops = {.insert = true, .update = false, .remove = false, .truncate = false};
  table.snapshot = false;
  table.outbox = outbox;
  return table;
}

// Polling has a stream of its own, since the stream's tail must tell where to go on; and what is no
// function of WAL cannot do what only that can.
std::string not_with_polling(const Config& config) {
  const auto needs_wal = [](const char* key) {
    return fmt::format(
        "\"poll\" does not go together with {}, which needs WAL; give it a "
        "configuration, a stream and a slot name of its own",
        key);
  };
  if (!config.tables.empty()) return needs_wal("[[table]]");
  if (!config.source.messages.empty()) return needs_wal("source.messages");
  if (config.source.streaming == "on") return needs_wal("source.streaming = \"on\"");
  if (config.publish.pack != "none") {
    return "\"poll\" does not go together with publish.pack: an event is a message; leave one out";
  }
  if (config.publish.oversize != "stop") {
    return "\"poll\" does not go together with publish.oversize: an event is not cut; leave one "
           "out";
  }
  return "";
}

// What is wrong with one beside the rest of the configuration, as {key, text}; "": nothing.
std::pair<const char*, std::string> clash(const OutboxConfig& outbox, const Config& config) {
  if (outbox.capture == "poll") {
    if (std::string text = not_with_polling(config); !text.empty()) return {"capture", text};
  }
  const auto other_capture = [&](const auto& other) { return other.capture != outbox.capture; };
  if (std::any_of(config.outboxes.begin(), config.outboxes.end(), other_capture)) {
    return {"capture",
            "is another one than that of an [[outbox]] before; each capture has a configuration, a "
            "stream and a slot name of its own"};
  }
  const std::string records = config.stream.subject_prefix + ".>";
  if (subjects_overlap(outbox_filter(outbox), records)) {
    return {"subject", fmt::format("\"{}\" is among the subjects of records ({}); let it "
                                   "begin with another word",
                                   outbox.subject, records)};
  }
  for (const OutboxConfig& other : config.outboxes) {
    const std::string theirs = outbox_filter(other);
    const std::string ours = outbox_filter(outbox);
    if (subjects_overlap(ours, theirs) && !subject_covers(ours, theirs) &&
        !subject_covers(theirs, ours)) {
      return {"subject", fmt::format("\"{}\" and another outbox's \"{}\" have subjects in common, "
                                     "and no stream takes both {} and {}; let one cover the other, "
                                     "or let them begin otherwise",
                                     outbox.subject, other.subject, ours, theirs)};
    }
  }
  const auto& raw = config.source.messages;
  if (!outbox.message_prefix.empty()) {
    const auto same = std::count_if(
        config.outboxes.begin(), config.outboxes.end(),
        [&](const OutboxConfig& other) { return other.message_prefix == outbox.message_prefix; });
    if (same > 0 || std::find(raw.begin(), raw.end(), outbox.message_prefix) != raw.end()) {
      return {"message_prefix",
              fmt::format("\"{}\" is named by {}; name it once", outbox.message_prefix,
                          same > 0 ? "two outboxes" : "source.messages too")};
    }
  }
  const auto is_named = [&](const auto& other) {
    return !outbox.table.empty() && other.schema == outbox.schema && other.table == outbox.table;
  };
  if (std::any_of(config.outboxes.begin(), config.outboxes.end(), is_named)) {
    return {"table", "is an outbox already; name it once"};
  }
  if (std::any_of(config.tables.begin(), config.tables.end(), is_named)) {
    return {"table", "is a [[table]] too; name it once"};
  }
  return {"", ""};
}

}  // namespace

void read_outboxes(Section& root, Config& config) {
  root.each("outbox", [&](Section& section) {
    OutboxConfig outbox;
    read_outbox(section, outbox);
    const auto [key, text] = clash(outbox, config);
    if (!text.empty()) section.problem(key, text);
    config.outboxes.push_back(std::move(outbox));
  });
  for (const OutboxConfig& outbox : config.outboxes) {
    if (outbox.capture == "wal" && !outbox.table.empty()) config.tables.push_back(as_table(outbox));
  }
}

}  // namespace connector
