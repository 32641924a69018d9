// How results look to people: colours where standard output is a terminal that wants them, and
// numbers with units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace connector {

// Escape sequences, or nothing: text is put between one of them and `plain`.
struct Palette {
  const char* bold = "";
  const char* dim = "";
  const char* red = "";
  const char* green = "";
  const char* yellow = "";
  const char* magenta = "";
  const char* cyan = "";
  const char* plain = "";
};

// Without colours where standard output is no terminal, NO_COLOR is set, or TERM is "dumb".
Palette palette_for_stdout();
Palette colours();

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();

std::string human_bytes(std::uint64_t bytes);    // "812 B", "1.5 MiB"
std::string human_number(std::uint64_t number);  // "1,234,567"
std::string human_age(double seconds);           // "0.2 s", "3 min 20 s", "2 d 4 h"

// The text with everything escaped that a terminal would obey: control characters, as \u00XX.
std::string printable(std::string_view text);

}  // namespace connector
