// Any bytes are a value of any kind as JSON, or a BadValue: never a crash, never another
// exception. A string comes back from an independent parser as it was, and so do bytes; where the
// text of a json value was JSON, it still is, and says the same. The first byte chooses the kind.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "connector/json_value.h"

namespace {

using connector::JsonKind;
using nlohmann::json;

void expect(bool holds) {
  if (!holds) std::abort();
}

void check(JsonKind kind, const std::string& text, const std::string& out) {
  const json parsed = json::parse(out, nullptr, false);
  switch (kind) {
    case JsonKind::string: expect(parsed.is_string() && parsed.get<std::string>() == text); return;
    case JsonKind::boolean: expect(parsed.is_boolean()); return;
    case JsonKind::bytes: expect(parsed.is_string()); return;
    case JsonKind::timestamp:
    case JsonKind::timestamptz: expect(parsed.is_string()); return;
    // Digits are Postgres's to vouch for (007); nothing but digits comes through.
    case JsonKind::number:
      expect(out == text && out.find_first_not_of("-0123456789") == std::string::npos);
      return;
    case JsonKind::floating: expect(parsed.is_string() || out == text); return;
    case JsonKind::json:
      if (json::accept(text)) expect(parsed == json::parse(text));
      expect(out.size() <= text.size());
      return;
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr int kinds = static_cast<int>(JsonKind::timestamptz) + 1;
  const auto kind = static_cast<JsonKind>(data[0] % kinds);
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string out;
  try {
    connector::append_json_value(out, kind, text);
  } catch (const connector::BadValue&) {
    return 0;
  }
  check(kind, text, out);
  return 0;
}
