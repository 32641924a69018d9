// Base64 (RFC 4648, with padding), as JetStream's API writes bodies and headers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace publisher {

std::optional<std::string> base64_decode(std::string_view text);

}  // namespace publisher
