#include "connector/base64.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace connector {

// Blockwise: OpenSSL writes a zero behind its output, for which `out` has no room.
void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::size_t block = 3 * 256;
  std::array<unsigned char, block / 3 * 4 + 1> encoded{};
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, block);
    const int length =
        EVP_EncodeBlock(encoded.data(), reinterpret_cast<const unsigned char*>(part.data()),
                        static_cast<int>(part.size()));
    out.append(reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length));
    bytes.remove_prefix(part.size());
  }
}

}  // namespace connector
