// What saved positions, with a slot or without, have in common as JSON.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "publisher/types.h"

namespace connector {

inline constexpr int position_version = 1;

publisher::StreamSequence sequence_of(const nlohmann::ordered_json& json, const char* key);

// Calls `read` with the JSON. Throws Stop(position_lost) when the text is none, is of another
// version or, by an exception of read(), not what was expected; a Stop of read() passes. `option`
// of `run` is what lets it go on when the position is purged.
void read_position(std::string_view text, const char* option,
                   const std::function<void(const nlohmann::ordered_json&)>& read);

}  // namespace connector
