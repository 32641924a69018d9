// An nkey is base32 of: prefix bits, 32 bytes, CRC-16/XMODEM of what precedes it, little endian. In
// a seed the prefix is two bytes: five bits that say "seed", eight that are the public key's own
// prefix. Source: github.com/nats-io/nkeys, README.md.
#include "publisher/nkey.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string_view>
#include <vector>

#include "publisher/error.h"
#include "publisher/handles.h"

namespace publisher {
namespace {

using Bytes = std::vector<unsigned char>;
using Key = std::unique_ptr<EVP_PKEY, Closer<EVP_PKEY_free>>;

constexpr std::string_view base32_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr unsigned seed_prefix = 18U << 3;
constexpr std::size_t key_bytes = 32;

std::uint16_t crc16(const Bytes& bytes, std::size_t size) {
  unsigned crc = 0;
  for (std::size_t i = 0; i < size; ++i) {
    crc ^= static_cast<unsigned>(bytes[i]) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
  }
  return static_cast<std::uint16_t>(crc);
}

Bytes base32_decode(std::string_view text) {
  Bytes bytes;
  unsigned bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const auto digit = base32_digits.find(c);
    if (digit == std::string_view::npos) return {};
    bits = (bits << 5) | static_cast<unsigned>(digit);
    held += 5;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<unsigned char>(bits >> held));
    }
  }
  return bytes;
}

std::string base32_encode(const Bytes& bytes) {
  std::string text;
  unsigned bits = 0;
  unsigned held = 0;
  for (const unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    held += 8;
    while (held >= 5) {
      held -= 5;
      text += base32_digits[(bits >> held) & 31U];
    }
  }
  if (held > 0) text += base32_digits[(bits << (5 - held)) & 31U];
  return text;
}

void put_crc(Bytes& bytes) {
  const std::uint16_t crc = crc16(bytes, bytes.size());
  bytes.push_back(static_cast<unsigned char>(crc & 0xFF));
  bytes.push_back(static_cast<unsigned char>(crc >> 8));
}

bool is_seed(const Bytes& raw) {
  if (raw.size() != 2 + key_bytes + 2 || (raw[0] & 0xF8U) != seed_prefix) return false;
  const std::size_t body = raw.size() - 2;
  return crc16(raw, body) == (raw[body] | (static_cast<unsigned>(raw[body + 1]) << 8));
}

}  // namespace

std::string nkey_public(const std::string& seed_file, const std::string& setting) {
  std::ifstream in(seed_file);
  std::string word;
  Bytes raw;
  while (raw.empty() && in >> word) {
    Bytes candidate = base32_decode(word);
    if (is_seed(candidate)) raw = std::move(candidate);
  }
  OPENSSL_cleanse(word.data(), word.size());
  if (raw.empty()) {
    throw Error(Failure::bad_settings,
                fmt::format("{}: {} holds no valid nkey seed", setting, seed_file));
  }
  const unsigned char prefix =
      static_cast<unsigned char>(((raw[0] & 7U) << 5) | ((raw[1] & 0xF8U) >> 3));
  const Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw.data() + 2, key_bytes));
  OPENSSL_cleanse(raw.data(), raw.size());
  std::array<unsigned char, key_bytes> point{};
  std::size_t length = point.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), point.data(), &length) != 1) {
    throw Error(Failure::bad_settings,
                fmt::format("{}: {} holds a seed that makes no key", setting, seed_file));
  }
  Bytes encoded{prefix};
  encoded.insert(encoded.end(), point.begin(), point.end());
  put_crc(encoded);
  return base32_encode(encoded);
}

}  // namespace publisher
