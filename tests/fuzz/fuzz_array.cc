// Any bytes are an array's text or a BadValue: never a crash, never another exception. What was
// accepted is written again as array_out writes it, and must be the same bytes: nothing was
// guessed. And the JSON that comes of it is JSON. The first byte chooses the delimiter.
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "connector/array_text.h"
#include "connector/structured_value.h"

namespace {

using Token = connector::ArrayText::Token;

bool needs_quotes(std::string_view element, char delimiter) {
  std::string upper(element);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::string special = std::string("\"\\{} \t\n\v\f\r") + delimiter;
  return element.empty() || upper == "NULL" || element.find_first_of(special) != element.npos;
}

std::string again(std::string_view text, char delimiter) {
  std::string scratch;
  connector::ArrayText array(text, delimiter, scratch);
  std::string out;
  bool first = true;
  for (Token token = array.next(); token != Token::end; token = array.next()) {
    if (!first && token != Token::close) out += delimiter;
    first = token == Token::open;
    switch (token) {
      case Token::open: out += '{'; break;
      case Token::close: out += '}'; break;
      case Token::null: out += "NULL"; break;
      case Token::end: break;
      case Token::element: {
        // Needless quotes are taken, needed ones must be there.
        const bool quoted = text[out.size()] == '"';
        if (!quoted && needs_quotes(array.element(), delimiter)) std::abort();
        if (quoted) out += '"';
        for (const char c : array.element()) {
          if (quoted && (c == '"' || c == '\\')) out += '\\';
          out += c;
        }
        if (quoted) out += '"';
      }
    }
  }
  return out;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool box = data[0] == ';';
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (again(text, box ? ';' : ',') != text) std::abort();
  } catch (const connector::BadValue&) {
  }
  pg::TypeCatalog types([](pg::TypeId) { return std::nullopt; });
  connector::StructuredValues values(types);
  constexpr std::uint32_t text_array = 1009;
  constexpr std::uint32_t box_array = 1020;
  std::string json;
  try {
    values.append(json, *types.shape(pg::TypeId(box ? box_array : text_array)), text);
  } catch (const connector::BadValue&) {
    return 0;
  }
  if (!nlohmann::json::accept(json)) std::abort();
  return 0;
}
