#include "connector/slotless_position.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/position_json.h"
#include "connector/stop.h"

namespace connector {
namespace {

using publisher::StreamSequence;

constexpr const char* accept_hint = "`run --accept-gap` goes on, and says what was lost";

class SlotlessDecision {
 public:
  explicit SlotlessDecision(const SlotlessObserved& seen) : seen_(seen) {}

  SlotlessResume make() {
    if (seen_.saved) {
      plan_.position = *seen_.saved;
      plan_.saved_last = seen_.saved->last;
      plan_.position.accepted = std::min(plan_.position.accepted, seen_.stream.last);
      check_system();
      check_stream();
      check_settings();
    } else {
      begin();
    }
    find_tail();
    SlotlessPosition& position = plan_.position;
    position.capture = seen_.capture;
    position.stream_created = seen_.stream.created;
    position.system_id = seen_.system_id;
    position.timeline = seen_.timeline;
    position.settings = seen_.settings;
    position.last = seen_.stream.last;
    plan_.former_work = position.work;
    if (plan_.anew) position.work = nullptr;
    return std::move(plan_);
  }

 private:
  std::string stream_named() const { return fmt::format("stream {}", seen_.stream_name); }

  void gap(const std::string& what, const std::string& hint) {
    if (!seen_.accept_gap) throw Stop(Exit::position_lost, what, hint);
    plan_.notes.push_back("accepted: " + what);
  }

  void start_anew() {
    plan_.anew = true;
    plan_.position.accepted = seen_.stream.last;
  }

  void begin() {
    if (seen_.window.empty() && seen_.stream.last == StreamSequence()) return;
    const bool any =
        std::any_of(seen_.window.begin(), seen_.window.end(),
                    [&](const auto& message) { return id_of(message, seen_.slot).has_value(); });
    if (!any && seen_.window.empty()) {
      gap(fmt::format("{} has had {} messages, which are gone, and no position is saved: what was "
                      "published is not known",
                      stream_named(), seen_.stream.last.value),
          "restore the key in the bucket `walferry`, or name a new stream; `run --accept-gap` "
          "begins anew");
      start_anew();
      return;
    }
    if (!any) {
      throw Stop(Exit::precondition,
                 fmt::format("{} holds messages that are not walferry's (the last is {})",
                             stream_named(), seen_.window.back().sequence.value),
                 "name an empty stream in stream.name");
    }
    gap(fmt::format("{} holds records of \"{}\", but its position is not saved: what was published "
                    "is not known",
                    stream_named(), seen_.slot),
        "restore the key in the bucket `walferry`; `run --accept-gap` begins anew behind them, and "
        "may publish again what they hold");
    start_anew();
  }

  void check_system() {
    const SlotlessPosition& saved = *seen_.saved;
    if (saved.system_id != seen_.system_id) {
      gap(fmt::format("the server is another one, or the database: its system identifier and "
                      "database are {}, and the position is of {}",
                      seen_.system_id, saved.system_id),
          "point source.dsn at the old server, or name a new stream and slot; `run --accept-gap` "
          "begins anew behind what the stream holds");
      start_anew();
      return;
    }
    // (A standby's is that of its last checkpoint, and may lag.)
    if (seen_.capture == "poll" && seen_.timeline < saved.timeline) {
      gap(fmt::format("the server is on timeline {}, and the position is of {}: it is a primary "
                      "that was left behind, or was put back",
                      seen_.timeline.value, saved.timeline.value),
          "point source.dsn at the server that was promoted; `run --accept-gap` begins anew behind "
          "what the stream holds");
      start_anew();
      return;
    }
    plan_.other_timeline = saved.timeline != seen_.timeline;
  }

  void check_stream() {
    const SlotlessPosition& saved = *seen_.saved;
    if (saved.stream_created != seen_.stream.created) {
      if (saved.last == StreamSequence()) return;  // nothing was in the other one
      gap(fmt::format("{} was deleted, or made anew: the {} messages that it had are in no stream",
                      stream_named(), saved.last.value),
          "restore the stream; `run --accept-gap` begins anew");
      start_anew();
      plan_.position.accepted = StreamSequence();
      return;
    }
    if (seen_.stream.last >= saved.last) return;
    plan_.went_back = true;
    plan_.notes.push_back(
        fmt::format("JetStream has lost acknowledged messages: {} ends at message {}, and had {}",
                    stream_named(), seen_.stream.last.value, saved.last.value));
  }

  void check_settings() {
    if (seen_.saved->settings == seen_.settings || plan_.anew) return;
    plan_.notes.push_back(
        fmt::format("the settings that shape records have changed; from message {} on they hold",
                    seen_.stream.last.value + 1));
  }

  // Every message behind what is accepted must be ours.
  void find_tail() {
    StreamSequence first_foreign;
    for (const publisher::StoredMessage& message : seen_.window) {
      const auto id = id_of(message, seen_.slot);
      if (id) plan_.newest_id = *id;
      if (message.sequence <= plan_.position.accepted) continue;
      if (id) {
        plan_.tail = message;
        plan_.tail_id = *id;
      } else if (first_foreign == StreamSequence()) {
        first_foreign = message.sequence;
      }
    }
    if (first_foreign == StreamSequence()) return;
    const bool between = plan_.tail && plan_.tail->sequence > first_foreign;
    gap(fmt::format("{} holds messages that are not walferry's, from sequence {} on{}",
                    stream_named(), first_foreign.value,
                    between ? " among its records" : "; none of walferry's is missing"),
        std::string("find out who writes into the stream; ") + accept_hint);
    plan_.position.accepted = seen_.stream.last;
  }

  const SlotlessObserved& seen_;
  SlotlessResume plan_;
};

}  // namespace

std::optional<std::string> id_of(const publisher::StoredMessage& message, const std::string& slot) {
  const std::string* id = message.header("Nats-Msg-Id");
  if (id == nullptr || !id->starts_with(slot + ":")) return std::nullopt;
  return id->substr(slot.size() + 1);
}

SlotlessResume decide_slotless(const SlotlessObserved& seen) {
  return SlotlessDecision(seen).make();
}

std::string to_json(const SlotlessPosition& position) {
  const nlohmann::ordered_json json{{"version", position_version},
                                    {"state", position.capture},
                                    {"stream_created", position.stream_created},
                                    {"last_seq", position.last.value},
                                    {"accepted", position.accepted.value},
                                    {"system_id", position.system_id},
                                    {"timeline", position.timeline.value},
                                    {"settings", position.settings},
                                    {"work", position.work}};
  return json.dump();
}

SlotlessPosition parse_slotless_position(std::string_view text, const std::string& capture) {
  SlotlessPosition position;
  read_position(text, "--accept-gap", [&](const nlohmann::ordered_json& json) {
    position.capture = json.at("state").get<std::string>();
    if (position.capture != capture) {
      const bool of_slot = position.capture == "position" || position.capture == "intent";
      throw Stop(Exit::position_lost,
                 fmt::format("the saved position is of capture \"{}\", and this is \"{}\"",
                             of_slot ? "wal" : position.capture, capture),
                 "a capture has a stream and a slot name of its own: name new ones in stream.name "
                 "and source.slot");
    }
    position.stream_created = json.at("stream_created").get<std::string>();
    position.last = sequence_of(json, "last_seq");
    position.accepted = sequence_of(json, "accepted");
    position.system_id = json.at("system_id").get<std::string>();
    position.timeline = pg::Timeline(json.at("timeline").get<std::uint32_t>());
    position.settings = json.at("settings").get<std::string>();
    position.work = json.at("work");
  });
  return position;
}

}  // namespace connector
