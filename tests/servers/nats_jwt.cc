// Encoding and signing with libcrypto.
#include "tests/servers/nats_jwt.h"

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace servers {
namespace {

using nlohmann::json;

constexpr std::size_t secret_size = 32;
constexpr unsigned seed_kind = 18;  // S

std::string encode(std::string_view bytes, std::string_view alphabet, unsigned digit_bits) {
  std::string text;
  unsigned bits = 0;
  unsigned held = 0;
  const unsigned mask = (1U << digit_bits) - 1;
  for (const char byte : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(byte);
    for (held += 8; held >= digit_bits;) {
      held -= digit_bits;
      text += alphabet[bits >> held & mask];
    }
    bits &= (1U << held) - 1;
  }
  if (held > 0) {
    text += alphabet[bits << (digit_bits - held) & mask];
  }
  return text;
}

std::string base64url(std::string_view bytes) {
  return encode(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6);
}

constexpr std::string_view base32_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

std::string decode_base32(std::string_view text) {
  std::string bytes;
  unsigned bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    bits = bits << 5U | static_cast<unsigned>(base32_digits.find(c));
    held += 5;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xFFU);
      bits &= (1U << held) - 1;
    }
  }
  return bytes;
}

// With its CRC-16 (XMODEM) behind it, the low byte first.
std::string with_checksum(std::string bytes) {
  unsigned crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(byte)) << 8U;
    for (int bit = 0; bit < 8; ++bit) {
      crc = ((crc & 0x8000U) != 0 ? crc << 1U ^ 0x1021U : crc << 1U) & 0xFFFFU;
    }
  }
  bytes += static_cast<char>(crc & 0xFFU);
  bytes += static_cast<char>(crc >> 8U);
  return bytes;
}

// "prefix byte, key, checksum" in base32: the prefix makes the first letter.
std::string printed(std::string prefix, std::string_view key) {
  return encode(with_checksum(std::move(prefix).append(key)), base32_digits, 5);
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

void require(bool worked) {
  if (!worked) {
    throw std::runtime_error("libcrypto failed");
  }
}

std::string new_secret() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  require(key != nullptr);
  std::array<unsigned char, secret_size> secret{};
  std::size_t size = secret.size();
  const bool worked = EVP_PKEY_get_raw_private_key(key, secret.data(), &size) == 1;
  EVP_PKEY_free(key);
  require(worked);
  return {secret.begin(), secret.end()};
}

std::string jwt(const Nkey& issuer, const std::string& subject, const std::string& name,
                json nats) {
  nats["version"] = 2;
  const json claims = {{"jti", name},  {"iat", 1577836800}, {"iss", issuer.public_key()},
                       {"name", name}, {"sub", subject},    {"nats", std::move(nats)}};
  const json header = {{"typ", "JWT"}, {"alg", "ed25519-nkey"}};
  std::string token = base64url(header.dump()) + "." + base64url(claims.dump());
  const std::string signature = issuer.sign(token);
  return token.append(".").append(signature);
}

json account_limits(int jetstream) {
  return {{"type", "account"},
          {"limits",
           {{"subs", -1},
            {"data", -1},
            {"payload", -1},
            {"imports", -1},
            {"exports", -1},
            {"wildcards", true},
            {"conn", -1},
            {"leaf", -1},
            {"mem_storage", jetstream},
            {"disk_storage", jetstream},
            {"streams", jetstream},
            {"consumer", jetstream}}}};
}

}  // namespace

Nkey::Nkey(Kind kind) : Nkey(kind, new_secret()) {}

Nkey::Nkey(Kind kind, const std::string& secret)
    : kind_(kind),
      key_(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes_of(secret),
                                        secret.size())) {
  require(key_ != nullptr);
  const auto letter = static_cast<unsigned>(kind);
  const std::string prefix = {static_cast<char>(seed_kind << 3U | letter >> 2U),
                              static_cast<char>((letter & 3U) << 6U)};
  seed_ = printed(prefix, secret);
}

Nkey Nkey::from_seed(const std::string& seed) {
  const std::string bytes = decode_base32(seed);
  const auto first = static_cast<unsigned char>(bytes.at(0));
  const auto second = static_cast<unsigned char>(bytes.at(1));
  return {static_cast<Kind>((first & 7U) << 2U | second >> 6U), bytes.substr(2, secret_size)};
}

std::string Nkey::public_key() const {
  std::array<unsigned char, secret_size> key{};
  std::size_t size = key.size();
  require(EVP_PKEY_get_raw_public_key(key_.get(), key.data(), &size) == 1);
  const std::string prefix(1, static_cast<char>(static_cast<unsigned>(kind_) << 3U));
  return printed(prefix, std::string(key.begin(), key.end()));
}

std::string Nkey::sign(std::string_view text) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  std::array<unsigned char, 64> signature{};
  std::size_t size = signature.size();
  require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
          EVP_DigestSign(context.get(), signature.data(), &size, bytes_of(text), text.size()) == 1);
  return base64url(std::string(signature.begin(), signature.end()));
}

NatsTrust::NatsTrust() {
  const Nkey company(Nkey::Kind::company);
  const Nkey system(Nkey::Kind::account);
  const Nkey account(Nkey::Kind::account);
  const Nkey user(Nkey::Kind::user);
  const std::string company_jwt =
      jwt(company, company.public_key(), "O",
          {{"type", "operator"}, {"system_account", system.public_key()}});
  const std::string system_jwt = jwt(company, system.public_key(), "SYS", account_limits(0));
  const std::string account_jwt = jwt(company, account.public_key(), "A", account_limits(-1));
  server_lines.append("operator: ").append(company_jwt);
  server_lines.append("\nsystem_account: ").append(system.public_key());
  server_lines.append("\nresolver: MEMORY\nresolver_preload {\n  ");
  server_lines.append(system.public_key()).append(": ").append(system_jwt).append("\n  ");
  server_lines.append(account.public_key()).append(": ").append(account_jwt).append("\n}");
  const json anything = json::object();
  user_jwt = jwt(account, user.public_key(), "ferry",
                 {{"type", "user"},
                  {"pub", anything},
                  {"sub", anything},
                  {"subs", -1},
                  {"data", -1},
                  {"payload", -1}});
  user_seed = user.seed();
}

std::string NatsTrust::creds() const {
  return "-----BEGIN NATS USER JWT-----\n" + user_jwt +
         "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + user_seed +
         "\n------END USER NKEY SEED------\n";
}

}  // namespace servers
