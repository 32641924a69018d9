#include "outbox/row_hash.h"

#include <cstring>
#include <random>

namespace outbox {
namespace {

constexpr std::uint32_t rotate(std::uint32_t x, unsigned k) { return (x << k) | (x >> (32 - k)); }

struct State {
  std::uint32_t a, b, c;

  State(std::uint32_t length, std::uint64_t seed) : a(0x9e3779b9U + length + 3923095U), b(a), c(a) {
    if (seed == 0) return;
    a += static_cast<std::uint32_t>(seed >> 32U);
    b += static_cast<std::uint32_t>(seed);
    mix();
  }
  void mix() {
    a -= c;
    a ^= rotate(c, 4);
    c += b;
    b -= a;
    b ^= rotate(a, 6);
    a += c;
    c -= b;
    c ^= rotate(b, 8);
    b += a;
    a -= c;
    a ^= rotate(c, 16);
    c += b;
    b -= a;
    b ^= rotate(a, 19);
    a += c;
    c -= b;
    c ^= rotate(b, 4);
    b += a;
  }
  std::uint64_t finish() {
    c ^= b;
    c -= rotate(b, 14);
    a ^= c;
    a -= rotate(c, 11);
    b ^= a;
    b -= rotate(a, 25);
    c ^= b;
    c -= rotate(b, 16);
    a ^= c;
    a -= rotate(c, 4);
    b ^= a;
    b -= rotate(a, 14);
    c ^= b;
    c -= rotate(b, 24);
    return (static_cast<std::uint64_t>(b) << 32U) | c;
  }
};

std::uint32_t word(const char* at) {
  std::uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  State state(static_cast<std::uint32_t>(bytes.size()), seed);
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 12; left -= 12, at += 12) {
    state.a += word(at);
    state.b += word(at + 4);
    state.c += word(at + 8);
    state.mix();
  }
  // The lowest byte of `c` is reserved for the length.
  char rest[13] = {};
  std::memcpy(rest, at, left < 8 ? left : 8);
  if (left > 8) std::memcpy(rest + 9, at + 8, left - 8);
  state.a += word(rest);
  state.b += word(rest + 4);
  state.c += word(rest + 8);
  return state.finish();
}

std::uint64_t hash_uint32(std::uint32_t number, std::uint64_t seed) {
  State state(sizeof number, seed);
  state.a += number;
  return state.finish();
}

Seeds draw_seeds() {
  std::random_device device;
  const auto number = [&] { return (static_cast<std::uint64_t>(device()) << 32U) | device(); };
  return {.text = number(), .columns = number() >> 1U};
}

}  // namespace outbox
