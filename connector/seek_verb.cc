// Where in the stream a position or a time is, with what a consumer needs to begin there.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "connector/attach.h"
#include "connector/interrupt.h"
#include "connector/record.h"
#include "connector/stamps.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "connector/verbs.h"

namespace connector {
namespace {

using Json = nlohmann::ordered_json;

std::string target_text(const SeekTarget& target) {
  if (const auto* lsn = std::get_if<pg::Lsn>(&target)) return to_string(*lsn);
  return iso_time(std::get<pg::Timestamp>(target));
}

std::string consumer_command(const Config& config, const std::string& from) {
  return fmt::format("nats consumer add {} NAME --pull --deliver={} --defaults{}",
                     config.stream.name, from,
                     config.nats.domain.empty() ? "" : " --js-domain=" + config.nats.domain);
}

Json to_json(const Config& config, const publisher::StreamInfo& info, const SeekTarget& target,
             const std::optional<Stamp>& found, std::uint64_t messages_read) {
  Json json{{"stream", config.stream.name}, {"target", target_text(target)}};
  json["sequence"] = found ? Json(found->sequence.value) : Json(nullptr);
  json["position"] = found ? Json(to_string(found->position)) : Json(nullptr);
  json["commit_lsn"] = found ? Json(to_string(found->position.commit_lsn())) : Json(nullptr);
  json["commit_ts"] = found && found->committed ? Json(iso_time(*found->committed)) : Json(nullptr);
  json["first_seq"] = info.first.value;
  json["last_seq"] = info.last.value;
  json["consumer"] =
      consumer_command(config, found ? fmt::format("{}", found->sequence.value) : "new");
  json["messages_read"] = messages_read;
  return json;
}

std::string to_text(const Config& config, const publisher::StreamInfo& info,
                    const SeekTarget& target, const std::optional<Stamp>& found) {
  if (!found) {
    return fmt::format(
        "stream {} has no record at or after {}: its last message is {}\n"
        "a consumer of what comes now:\n  {}\n",
        config.stream.name, target_text(target), info.last.value, consumer_command(config, "new"));
  }
  std::string text = fmt::format("sequence   {}\nposition   {}\n", found->sequence.value,
                                 to_string(found->position));
  if (found->committed) text += fmt::format("committed  {}\n", iso_time(*found->committed));
  if (found->sequence == info.first && info.first.value > 1) {
    text += fmt::format(
        "the stream begins with it: messages 1 to {} have expired or were deleted, and what was "
        "committed before is not there any more\n",
        info.first.value - 1);
  }
  return text + fmt::format("a consumer that begins there:\n  {}\n",
                            consumer_command(config, fmt::format("{}", found->sequence.value)));
}

}  // namespace

int seek(const Config& config, const SeekCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup, "stopped before the place was found");
  const auto nats = attach_nats(config);
  const auto info = publisher::stream_info(*nats, config.stream.name);
  if (!info) {
    throw Stop(Exit::precondition, fmt::format("stream {} does not exist", config.stream.name),
               "`walferry run` creates it; or correct stream.name");
  }
  Stamps stamps(*nats, config);
  const auto found = seek(stamps, *info, command.target);
  fmt::print(
      "{}",
      command.json
          ? to_json(config, *info, command.target, found, stamps.messages_read()).dump(2) + "\n"
          : to_text(config, *info, command.target, found));
  return static_cast<int>(Exit::done);
}

}  // namespace connector
