// The version, and those of the libraries that this process runs with: of shared libraries what is
// loaded, not what it was compiled against; of header-only ones there is no difference.
#include <fmt/format.h>
#include <libpq-fe.h>
#include <nats/nats.h>
#include <openssl/crypto.h>
#include <spdlog/version.h>
#include <toml++/toml.h>
#include <CLI/Version.hpp>

#include <nlohmann/json.hpp>
#include <pqxx/version>
#include <string>

#include "connector/verbs.h"

namespace connector {
namespace {

std::string numbers(int major, int minor, int patch) {
  return fmt::format("{}.{}.{}", major, minor, patch);
}

}  // namespace

int version() {
  const auto line = [](const char* name, const std::string& what) {
    fmt::print("  {:<14} {}\n", name, what);
  };
  fmt::print("walferry {}\n", WALFERRY_VERSION);
  line("libpq", fmt::format("{}.{}", PQlibVersion() / 10000, PQlibVersion() % 10000));
  line("libpqxx", PQXX_VERSION);
  line("nats.c", nats_GetVersion());
  line("OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING));
  line("spdlog", numbers(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH));
  line("fmt", numbers(FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  line("toml++", numbers(TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH));
  line("CLI11", CLI11_VERSION);
  line("nlohmann-json", numbers(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                NLOHMANN_JSON_VERSION_PATCH));
  return 0;
}

}  // namespace connector
