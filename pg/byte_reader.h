// Reads big-endian integers and strings from a borrowed buffer. Reading past the end throws in
// every build: wire input is never a programmer's error. Results point into the buffer.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "pg/error.h"

namespace pg {

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  template <std::unsigned_integral T>
  T read() {
    const std::string_view raw = bytes(sizeof(T));
    T value = 0;
    for (const char c : raw) {
      value =
          static_cast<T>((static_cast<std::uint64_t>(value) << 8) | static_cast<unsigned char>(c));
    }
    return value;
  }
  char tag() { return bytes(1).front(); }

  std::string_view bytes(std::size_t n) {
    if (n > remaining()) {
      throw ProtocolError(
          fmt::format("message ends at byte {}, where {} more bytes from byte {} on "
                      "were announced",
                      bytes_.size(), n, offset_));
    }
    const std::string_view result = bytes_.substr(offset_, n);
    offset_ += n;
    return result;
  }

  // A zero-terminated string, without its terminator.
  std::string_view c_string() {
    const std::size_t end = bytes_.find('\0', offset_);
    if (end == std::string_view::npos) {
      throw ProtocolError(fmt::format("string at byte {} has no end", offset_));
    }
    const std::string_view result = bytes_.substr(offset_, end - offset_);
    offset_ = end + 1;
    return result;
  }

  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }

 private:
  std::string_view bytes_;
  std::size_t offset_ = 0;
};

}  // namespace pg
