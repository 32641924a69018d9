#include "publisher/ack.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace publisher {
namespace {

// The answer to nearly every publish: {"stream":"CDC", "seq":42}. Scanned, since a parser that
// builds a tree for each would cost more than the publish itself. Anything else goes to the parser.
bool scan_plain(std::string_view body, StreamSequence& sequence) {
  constexpr std::string_view key = "\"seq\":";
  const auto at = body.find(key);
  if (at == std::string_view::npos || body.size() < 2 || body.front() != '{') return false;
  const char* begin = body.data() + at + key.size();
  const char* end = body.data() + body.size();
  const auto [rest, error] = std::from_chars(begin, end, sequence.value);
  return error == std::errc() && rest + 1 == end && *rest == '}' &&
         body.find("\"error\"") == std::string_view::npos;
}

}  // namespace

Ack parse_ack(std::string_view body) {
  Ack ack;
  if (scan_plain(body, ack.sequence)) return ack;
  ack.sequence = {};
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) {
    ack.error = -1;
    ack.description = "an answer that is not JetStream's";
    return ack;
  }
  if (json.contains("error") && json["error"].is_object()) {
    const auto& error = json["error"];
    ack.error = error.value("err_code", error.value("code", -1));
    ack.description = error.value("description", "an error without a text");
    return ack;
  }
  ack.duplicate = json.value("duplicate", false);
  ack.sequence = StreamSequence(json.value("seq", std::uint64_t{0}));
  return ack;
}

Ack parse_ack(natsMsg* reply) {
  if (natsMsg_IsNoResponders(reply)) {
    Ack ack;
    ack.error = 503;
    ack.description = "nobody takes the message: the stream is gone or has no leader";
    return ack;
  }
  return parse_ack({natsMsg_GetData(reply), static_cast<std::size_t>(natsMsg_GetDataLength(reply))});
}

}  // namespace publisher
