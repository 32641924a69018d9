// Any bytes are a configuration or a ConfigError: never a crash, never another exception, and each
// problem says where it is. The same for table names.
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "connector/config.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const connector::Config config = connector::parse_config(text, "fuzz.toml");
    if (config.tables.empty() || config.source.dsn.empty()) std::abort();
  } catch (const connector::ConfigError& error) {
    if (error.problems().empty()) std::abort();
    for (const std::string& problem : error.problems()) {
      if (problem.rfind("fuzz.toml:", 0) != 0) std::abort();
    }
  }
  try {
    const connector::TableConfig table = connector::parse_table_name(text);
    if (table.schema.empty() || table.table.empty()) std::abort();
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
