#include "publisher/ack.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace publisher {
namespace {

// The answer to nearly every publish: {"stream":"CDC", "seq":42}. Scanned, since a parser that
// builds a tree for each would cost more than the publish itself. Anything else goes to the parser.
bool scan_plain(std::string_view body, StreamSequence& sequence) {
  constexpr std::string_view open = "{\"stream\":\"";
  if (body.substr(0, open.size()) != open) return false;
  const auto quote = body.find('"', open.size());
  if (quote == std::string_view::npos) return false;
  std::string_view rest = body.substr(quote + 1);
  for (const std::string_view next : {std::string_view(","), std::string_view(" ")}) {
    if (rest.substr(0, 1) == next) rest.remove_prefix(1);
  }
  constexpr std::string_view key = "\"seq\":";
  if (rest.substr(0, key.size()) != key) return false;
  const char* end = rest.data() + rest.size();
  const auto [after, error] = std::from_chars(rest.data() + key.size(), end, sequence.value);
  return error == std::errc() && after + 1 == end && *after == '}';
}

Ack not_an_ack() {
  Ack ack;
  ack.error = -1;
  ack.description = "an answer that is not JetStream's";
  return ack;
}

}  // namespace

Ack parse_ack(std::string_view body) {
  Ack ack;
  if (scan_plain(body, ack.sequence)) return ack;
  ack.sequence = {};
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return not_an_ack();
  // Anybody can answer on a subject, so no field's type is taken for granted.
  const auto number = [](const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<int>() : 0;
  };
  if (const auto error = json.find("error"); error != json.end()) {
    if (!error->is_object()) return not_an_ack();
    ack.error = number(*error, "err_code");
    if (ack.error == 0) ack.error = number(*error, "code");
    if (ack.error == 0) ack.error = -1;
    const auto text = error->find("description");
    ack.description = text != error->end() && text->is_string() ? text->get<std::string>()
                                                                : "an error without a text";
    return ack;
  }
  const auto sequence = json.find("seq");
  if (sequence == json.end() || !sequence->is_number_unsigned()) return not_an_ack();
  ack.sequence = StreamSequence(sequence->get<std::uint64_t>());
  const auto duplicate = json.find("duplicate");
  ack.duplicate = duplicate != json.end() && *duplicate == true;
  return ack;
}

Ack parse_ack(natsMsg* reply) {
  if (natsMsg_IsNoResponders(reply)) {
    Ack ack;
    ack.error = 503;
    ack.description = "nobody takes the message: the stream is gone or has no leader";
    return ack;
  }
  return parse_ack(
      {natsMsg_GetData(reply), static_cast<std::size_t>(natsMsg_GetDataLength(reply))});
}

}  // namespace publisher
