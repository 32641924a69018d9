// Any bytes are an hstore's text or a BadValue: never a crash, never another exception. What was
// accepted is written again as hstore_out writes it, and must be the same bytes: nothing was
// guessed. And the JSON that comes of it is an object of strings and nulls.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "connector/hstore_text.h"
#include "connector/structured_value.h"

namespace {

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

std::string again(std::string_view text) {
  std::string keys;
  std::string values;
  connector::HstoreText hstore(text, keys, values);
  std::string out;
  while (const auto pair = hstore.next()) {
    if (!out.empty()) out += ", ";
    append_quoted(out, pair->key);
    out += "=>";
    if (pair->value) {
      append_quoted(out, *pair->value);
    } else {
      out += "NULL";
    }
  }
  return out;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    if (again(text) != text) std::abort();
  } catch (const connector::BadValue&) {
  }
  pg::TypeCatalog types([](pg::TypeId) { return pg::TypeRow{.hstore = true}; });
  connector::StructuredValues values(types);
  std::string json;
  try {
    values.append(json, *types.shape(pg::TypeId(20000)), text);
  } catch (const connector::BadValue&) {
    return 0;
  }
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) std::abort();
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string() && !value.is_null()) std::abort();
  }
  return 0;
}
