#include "connector/replay.h"

#include <fmt/format.h>

#include "connector/stop.h"

namespace connector {

std::string replay_id(const std::string& slot, pg::Lsn from) {
  return fmt::format("{}_replay_{}", slot, to_hex16(from));
}

namespace {

// Whether all subjects under `prefix` are under `other` too.
bool is_under(const std::string& prefix, const std::string& other) {
  return (prefix + ".").starts_with(other + ".");
}

// No subject may belong to two streams.
std::string default_prefix(const std::string& published) {
  const std::string prefix = "replay." + published;
  return is_under(prefix, published) ? "replay_of." + published : prefix;
}

}  // namespace

Config replay_config(const Config& config, const ReplayCommand& command) {
  Config target = config;
  target.stream.name = command.stream.empty() ? config.stream.name + "_REPLAY" : command.stream;
  const std::string& published = config.stream.subject_prefix;
  std::string& prefix = target.stream.subject_prefix;
  prefix = command.subject_prefix.empty() ? default_prefix(published) : command.subject_prefix;
  if (target.stream.name == config.stream.name) {
    throw Stop(Exit::usage,
               fmt::format("--stream {} is the stream that is replayed: its order would be broken",
                           config.stream.name),
               "name another stream; into the same one only order = \"dedup\" allows a replay, "
               "which is not built yet in this version");
  }
  if (is_under(prefix, published) || is_under(published, prefix)) {
    throw Stop(Exit::usage,
               fmt::format("the subjects under --subject-prefix {} overlap those under {}, which "
                           "stream {} takes",
                           prefix, published, config.stream.name),
               "choose a prefix that begins otherwise");
  }
  target.stream.subjects.clear();  // those of the other stream
  for (OutboxConfig& outbox : target.outboxes) outbox.replay_prefix = prefix + ".";
  for (TableConfig& table : target.tables) {
    if (table.outbox) table.outbox->replay_prefix = prefix + ".";
  }
  target.stream.create = true;
  target.source.slot = replay_id(config.source.slot, command.from);
  return target;
}

Reread::Known replayed(const std::string& stream, const publisher::StreamInfo& info,
                       std::vector<StoredRecord> window, pg::Lsn wal_end) {
  const std::string way_out =
      fmt::format("delete it (nats stream rm {}), or name another one with --stream", stream);
  Reread::Known known;
  known.first = info.first;
  known.last = info.last;
  known.anchor_sequence = info.last;
  known.wal_end = wal_end;
  // Compared by order alone: under which settings they were stored is not known.
  known.strict_from = publisher::StreamSequence(info.last.value + 1);
  known.thinned = info.thinned;
  if (info.last.value == 0) return known;
  if (const auto lost = lost_from(stream, info)) throw Stop(Exit::failed, *lost, way_out);
  if (window.empty() || window.back().sequence != info.last) {
    throw Stop(Exit::precondition,
               fmt::format("stream {} is no longer whole: its last message, {}, was deleted or has "
                           "expired, so that it cannot tell how far a replay has come",
                           stream, info.last.value),
               way_out);
  }
  for (const StoredRecord& record : window) {
    if (record.position) continue;
    throw Stop(Exit::precondition,
               fmt::format("stream {} holds other messages than those of a replay from this "
                           "position (message {} is one)",
                           stream, record.sequence.value),
               way_out);
  }
  known.anchor = *window.back().position;
  known.stored = std::move(window);
  return known;
}

std::optional<std::string> lost_from(const std::string& stream, const publisher::StreamInfo& info) {
  if (info.messages == info.last.value) return std::nullopt;
  const std::string which =
      info.first.value > 1
          ? fmt::format("the beginning, messages 1 to {},", info.first.value - 1)
          : fmt::format("{} messages in between,", info.last.value - info.messages);
  return fmt::format(
      "stream {} has lost a part of this replay: {} of its {}; its limits (max_age, max_bytes, "
      "max_msgs) are too small, or they were deleted",
      stream, which, info.last.value);
}

ReplayPoint require_point(const std::vector<ReplayPoint>& points, pg::Lsn from) {
  if (const auto point = nearest_before(points, from)) return *point;
  const auto first = oldest(points);
  if (!first) {
    throw Stop(Exit::precondition, "there is neither a slot nor a mark to read from",
               "`walferry run` makes the slot");
  }
  throw Stop(Exit::position_lost,
             fmt::format("{} cannot be read any more: slot and marks reach back to {}, the oldest "
                         "position that --from-lsn can name",
                         to_string(from), to_string(*first)),
             fmt::format("--from-lsn {}; a mark (walferry mark NAME) holds what is wanted later",
                         to_string(*first)));
}

}  // namespace connector
