#include "connector/snapshot_order.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

namespace connector {
namespace {

constexpr std::array<const char*, 4> action_names{"snapshot", "pause", "resume", "cancel"};

std::string hex(std::span<const unsigned char> bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::string signature(std::string_view text, const std::string& secret) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
           &length) == nullptr) {
    throw std::runtime_error("libcrypto cannot compute HMAC-SHA-256");
  }
  return hex(std::span(digest).first(length));
}

// "{slot} {signature} {JSON}"; a slot's name has no spaces.
struct Parts {
  std::string_view slot, signature, text;
};
std::optional<Parts> parts_of(std::string_view content) {
  const auto first = content.find(' ');
  const auto second = content.find(' ', first == content.npos ? first : first + 1);
  if (second == content.npos) return std::nullopt;
  return Parts{.slot = content.substr(0, first),
               .signature = content.substr(first + 1, second - first - 1),
               .text = content.substr(second + 1)};
}

bool same(std::string_view one, std::string_view other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace

const char* name_of(SnapshotOrder::Action action) {
  return action_names[static_cast<std::size_t>(action)];
}

std::optional<SnapshotOrder::Action> parse_action(std::string_view name) {
  for (std::size_t i = 0; i < action_names.size(); ++i) {
    if (name == action_names[i]) return static_cast<SnapshotOrder::Action>(i);
  }
  return std::nullopt;
}

std::string signed_order(const SnapshotOrder& order, const std::string& secret) {
  const nlohmann::ordered_json json{{"slot", order.slot},
                                    {"id", order.id},
                                    {"action", name_of(order.action)},
                                    {"tables", order.tables},
                                    {"where", order.where}};
  const std::string text = json.dump();
  return fmt::format("{} {} {}", order.slot, signature(text, secret), text);
}

bool is_order_for(std::string_view content, std::string_view slot) {
  const auto parts = parts_of(content);
  return parts && parts->slot == slot;
}

std::optional<SnapshotOrder> parse_order(std::string_view content, const std::string& secret) {
  const auto parts = parts_of(content);
  if (secret.empty() || !parts || !same(parts->signature, signature(parts->text, secret))) {
    return std::nullopt;
  }
  try {
    const auto json = nlohmann::json::parse(parts->text);
    SnapshotOrder order;
    const auto action = parse_action(json.at("action").get<std::string>());
    if (!action) return std::nullopt;
    order.action = *action;
    order.slot = json.at("slot").get<std::string>();
    order.id = json.at("id").get<std::string>();
    order.tables = json.at("tables").get<std::vector<std::pair<std::string, std::string>>>();
    order.where = json.at("where").get<std::string>();
    if (order.slot != parts->slot || order.id.empty()) return std::nullopt;
    return order;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string random_hex(std::size_t bytes) {
  std::array<unsigned char, 64> random{};
  if (bytes > random.size() || RAND_bytes(random.data(), static_cast<int>(bytes)) != 1) {
    throw std::runtime_error("libcrypto has no random bytes");
  }
  return hex(std::span(random).first(bytes));
}

}  // namespace connector
