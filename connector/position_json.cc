#include "connector/position_json.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>

#include "connector/stop.h"

namespace connector {

publisher::StreamSequence sequence_of(const nlohmann::ordered_json& json, const char* key) {
  const auto& number = json.at(key);
  if (!number.is_number_unsigned()) {
    throw std::invalid_argument(std::string(key) + " is no sequence");
  }
  return publisher::StreamSequence(number.get<std::uint64_t>());
}

void read_position(std::string_view text, const char* option,
                   const std::function<void(const nlohmann::ordered_json&)>& read) {
  try {
    const auto json = nlohmann::ordered_json::parse(text);
    if (json.at("version").get<int>() != position_version) {
      throw Stop(Exit::position_lost,
                 fmt::format("the saved position has version {}, and this walferry knows {}",
                             json.at("version").dump(), position_version),
                 "run the walferry that wrote it, or a newer one");
    }
    read(json);
  } catch (const Stop&) {
    throw;
  } catch (const std::exception& error) {
    throw Stop(Exit::position_lost,
               fmt::format("the saved position cannot be read: {}", error.what()),
               fmt::format("restore the key in the bucket `walferry`, or purge it and run with {}",
                           option));
  }
}

}  // namespace connector
