// Any bytes are a row's text or a BadValue: never a crash, never another exception. What was
// accepted is written again with the quotes that it had, and must be the same bytes: nothing was
// guessed. And whatever the text, a value of a composite type is JSON. The first byte is the
// number of fields.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "connector/composite_text.h"
#include "connector/structured_value.h"

namespace {

constexpr std::uint32_t text_type = 25;
constexpr std::uint32_t row_type = 20000;    // of text fields
constexpr std::uint32_t rows_type = 20001;   // arrays of them
constexpr std::uint32_t outer_type = 20002;  // (row, rows)

std::string again(std::string_view text, std::size_t fields) {
  std::string scratch;
  connector::CompositeText row(text, scratch);
  std::string out = "(";
  for (std::size_t i = 0; i < fields; ++i) {
    if (i > 0) out += ',';
    const auto field = row.next();
    if (!field) continue;
    const bool quoted = text[out.size()] == '"';
    if (quoted) out += '"';
    for (const char c : *field) {
      if (quoted && (c == '"' || c == '\\')) out += c;
      out += c;
    }
    if (quoted) out += '"';
  }
  row.finish(fields);
  return out + ")";
}

std::optional<pg::TypeRow> lookup(pg::TypeId type, std::size_t fields) {
  pg::TypeRow row{.type = 'c'};
  switch (type.value) {
    case row_type:
      for (std::size_t i = 0; i < fields; ++i) {
        row.fields.push_back({.name = "f" + std::to_string(i), .type = pg::TypeId(text_type)});
      }
      return row;
    case rows_type: return pg::TypeRow{.below = pg::TypeId(row_type), .array = true};
    case outer_type:
      row.fields = {{.name = "r", .type = pg::TypeId(row_type)},
                    {.name = "rs", .type = pg::TypeId(rows_type)}};
      return row;
    default: return std::nullopt;
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t fields = data[0] % 8;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (again(text, fields) != text) std::abort();
  } catch (const connector::BadValue&) {
  }
  pg::TypeCatalog types([&](pg::TypeId type) { return lookup(type, fields); });
  connector::StructuredValues values(types);
  for (const std::uint32_t type : {row_type, rows_type, outer_type}) {
    std::string json;
    try {
      values.append(json, *types.shape(pg::TypeId(type)), text);
    } catch (const connector::BadValue&) {
      continue;  // not UTF-8
    }
    if (!nlohmann::json::accept(json)) std::abort();
  }
  return 0;
}
