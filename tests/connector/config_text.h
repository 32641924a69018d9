// Documents for the configuration's tests, and an environment that is put back.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "connector/config.h"

namespace connector {

inline std::vector<std::string> problems_of(const std::string& text) {
  try {
    parse_config(text, "f.toml");
    return {};
  } catch (const ConfigError& error) {
    return error.problems();
  }
}

// A whole document with `setting`, a dotted key, on its first line.
inline std::string with(const std::string& setting) {
  const bool has_dsn = setting.find("source.dsn") != std::string::npos;
  return setting + "\n" + (has_dsn ? "" : "source.dsn = \"dbname=app\"\n") +
         "[[table]]\nname = \"public.a\"\nsnapshot = \"never\"\n";
}

// A whole document with `setting` on line 5, in its [[table]].
inline std::string with_in_table(const std::string& setting) {
  return "source.dsn = \"dbname=app\"\n[[table]]\nname = \"public.a\"\nsnapshot = \"never\"\n" +
         setting + "\n";
}

// Sets a variable of the environment for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

}  // namespace connector
