#include "connector/stamps.h"

#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "connector/observe.h"
#include "connector/session.h"
#include "connector/subject_template.h"
#include "connector/when.h"

namespace connector {
namespace {

using publisher::StoredMessage;
using publisher::StreamSequence;

constexpr int steps_before_jumps = 8;

// What stands behind the last `label`; empty when there is none.
std::string_view behind_last(std::string_view text, std::string_view label) {
  const auto found = text.rfind(label);
  return found == std::string_view::npos ? std::string_view() : text.substr(found + label.size());
}

// Rows of a snapshot have a place by their own kind of id, "{slot}:{LSN}:snapshot:…".
std::optional<MessagePosition> place_of(const StoredMessage& message, const std::string& slot) {
  const StoredMessage head{.sequence = message.sequence,
                           .subject = "",
                           .headers = message.headers,
                           .payload = "",
                           .time = ""};
  if (const auto position = to_records({head}, slot).front().position) return position;
  const std::string* id = message.header("Nats-Msg-Id");
  const std::string prefix = slot + ":";
  if (id == nullptr || !id->starts_with(prefix) || id->size() < prefix.size() + 17 ||
      (*id)[prefix.size() + 16] != ':') {
    return std::nullopt;
  }
  const auto lsn = pg::parse_hex16(std::string_view(*id).substr(prefix.size(), 16));
  if (!lsn) return std::nullopt;
  return pg::Position{*lsn, 0};
}

}  // namespace

std::optional<pg::Timestamp> commit_time_in(std::string_view text) {
  // A record ends with it; what a row's own columns and JSON call so stands before.
  if (const auto json = behind_last(text, R"("commit_ts":")"); !json.empty()) {
    const auto end = json.find('"');
    const std::string_view rest = json.substr(std::min(end, json.size()));
    if (rest == "\"}" || rest == "\"}\n") return parse_when(json.substr(0, end), {});
  }
  const auto source = behind_last(text, R"("source":{"version":"walferry",)");
  constexpr std::string_view label = R"("ts_us":)";
  const auto found = source.find(label);
  if (found == std::string_view::npos) return std::nullopt;
  const std::string_view number = source.substr(found + label.size());
  std::int64_t micros = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), micros);
  if (parsed.ec != std::errc() || micros == 0) return std::nullopt;  // 0: of no transaction
  constexpr std::int64_t epoch_of_postgres = 946'684'800'000'000;
  return pg::Timestamp{micros - epoch_of_postgres};
}

std::optional<Stamp> Stamps::next(StreamSequence from, Wanted wanted) {
  for (int step = 0;; ++step) {
    const auto message = step < steps_before_jumps ? get_next(from, ">") : jump(from, wanted);
    if (!message) return std::nullopt;
    const auto stamp = stamp_of(*message, wanted);
    if (stamp && (wanted == Wanted::place || stamp->committed)) return stamp;
    from = StreamSequence(message->sequence.value + 1);
  }
}

// The first message from there on whose subject is one of those that have what is wanted.
std::optional<StoredMessage> Stamps::jump(StreamSequence from, Wanted wanted) {
  const std::string& prefix = config_.stream.subject_prefix;
  std::vector<std::string> subjects = stream_subjects(config_);
  if (wanted == Wanted::time) {
    subjects.clear();
    for (const char* kind :
         {".*.*.insert", ".*.*.update", ".*.*.delete", ".*.*.truncate", "._transaction"}) {
      subjects.push_back(prefix + kind);
    }
    for (const OutboxConfig& outbox : config_.outboxes) subjects.push_back(outbox_filter(outbox));
    // Elsewhere they are published as they are.
    if (config_.publish.format == "debezium") subjects.push_back(prefix + "._message.>");
  }
  std::optional<StoredMessage> nearest;
  for (const std::string& subject : subjects) {
    auto message = get_next(from, subject);
    if (message && (!nearest || message->sequence < nearest->sequence))
      nearest = std::move(message);
  }
  return nearest;
}

Stamp Stamps::with_schema_before(Stamp stamp) {
  while (stamp.sequence.value > 1) {
    const auto message = get(StreamSequence(stamp.sequence.value - 1));
    if (!message) break;
    const auto before = stamp_of(*message, Wanted::place);
    if (!before || before->position.part != MessagePosition::schema ||
        before->position.commit_lsn() != stamp.position.commit_lsn()) {
      break;
    }
    stamp.sequence = before->sequence;
    stamp.position = before->position;
  }
  return stamp;
}

std::optional<Stamp> Stamps::stamp_of(const StoredMessage& message, Wanted wanted) {
  const auto place = place_of(message, config_.source.slot);
  if (!place) return std::nullopt;
  Stamp stamp{.sequence = message.sequence, .position = *place, .committed = std::nullopt};
  if (wanted == Wanted::place || place->part == MessagePosition::schema) return stamp;
  const std::string* id = message.header("Nats-Msg-Id");
  if (id != nullptr && id->find(":snapshot:") != std::string::npos) return stamp;  // it has none
  if (message.header("Walferry-Event-Id") != nullptr) {
    const std::string* time = message.header(commit_time_header);
    if (time != nullptr) stamp.committed = parse_when(*time, {});
    return stamp;
  }
  // What a logical message says of itself is its writer's, and may look like anything.
  const bool raw = message.header("Walferry-Prefix") != nullptr;
  if (raw && config_.publish.format != "debezium") return stamp;
  const std::string* part = message.header(part_header);
  const std::string* parts = message.header(parts_header);
  if (part == nullptr || parts == nullptr) {
    stamp.committed = commit_time_in(message.payload);
    return stamp;
  }
  // Of a record in parts the time stands in the last, or across the border of the last two.
  std::uint64_t number = 0;
  std::uint64_t count = 0;
  const auto read = [](const std::string& text, std::uint64_t& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
  };
  if (!read(*part, number) || !read(*parts, count) || number == 0 || number > count) return stamp;
  const StreamSequence last(message.sequence.value + count - number);
  std::string end;
  if (count > 1) {
    if (const auto before = get(StreamSequence(last.value - 1))) end = before->payload;
  }
  if (const auto final_part = get(last)) end += final_part->payload;
  stamp.committed = commit_time_in(end);
  return stamp;
}

std::optional<StoredMessage> Stamps::get(StreamSequence sequence) {
  ++read_;
  return publisher::get_message(nats_, config_.stream.name, sequence);
}

std::optional<StoredMessage> Stamps::get_next(StreamSequence from, const std::string& filter) {
  ++read_;
  return publisher::next_message(nats_, config_.stream.name, from, filter);
}

std::optional<Stamp> seek(Stamps& stamps, const publisher::StreamInfo& info,
                          const SeekTarget& target) {
  const StreamRange range{info.first, info.last};
  const auto next = [&](StreamSequence from, Wanted wanted) { return stamps.next(from, wanted); };
  if (const auto* time = std::get_if<pg::Timestamp>(&target)) {
    const auto stamp = seek_time(range, next, *time);
    return stamp ? std::optional(stamps.with_schema_before(*stamp)) : std::nullopt;
  }
  auto stamp = seek_lsn(range, next, std::get<pg::Lsn>(target));
  if (!stamp) return std::nullopt;
  const auto timed = stamps.next(stamp->sequence, Wanted::time);
  if (timed && timed->position.commit_lsn() == stamp->position.commit_lsn()) {
    stamp->committed = timed->committed;
  }
  return stamp;
}

}  // namespace connector
