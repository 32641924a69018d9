#include "pg/conninfo.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "pg/error.h"
#include "pg/handles.h"

namespace pg {
namespace {

using Options = std::unique_ptr<PQconninfoOption, Closer<PQconninfoFree>>;

// datestyle to search_path decide how values read as text; DESIGN.md, "Reading".
constexpr const char* text_settings =
    "-c datestyle=ISO -c intervalstyle=iso_8601 -c extra_float_digits=3 -c timezone=UTC "
    "-c bytea_output=hex -c lc_monetary=C -c search_path=pg_catalog -c xmloption=content "
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 "
    "-c standard_conforming_strings=on";

Options parse(const std::string& dsn) {
  char* error = nullptr;
  Options options(PQconninfoParse(dsn.c_str(), &error));
  if (!options) {
    // libpq's text can quote parts of the dsn, so it is not passed on.
    PQfreemem(error);
    throw Error("source.dsn is not a valid libpq conninfo string or URI", "");
  }
  return options;
}

void put(ConnectParams& params, const std::string& keyword, const std::string& value) {
  for (std::size_t i = 0; i < params.keywords.size(); ++i) {
    if (params.keywords[i] == keyword) {
      params.values[i] = value;
      return;
    }
  }
  params.keywords.push_back(keyword);
  params.values.push_back(value);
}

const std::string* find(const ConnectParams& params, const std::string& keyword) {
  for (std::size_t i = 0; i < params.keywords.size(); ++i) {
    if (params.keywords[i] == keyword) return &params.values[i];
  }
  return nullptr;
}

void put_default(ConnectParams& params, const std::string& keyword, const std::string& value) {
  if (find(params, keyword) == nullptr) put(params, keyword, value);
}

ConnectParams written(const std::string& dsn) {
  ConnectParams params;
  const Options options = parse(dsn);
  for (const PQconninfoOption* o = options.get(); o->keyword != nullptr; ++o) {
    if (o->val != nullptr) put(params, o->keyword, o->val);
  }
  return params;
}

}  // namespace

ConnectParams connect_params(const std::string& dsn, Session session) {
  ConnectParams params = written(dsn);
  const std::string* options = find(params, "options");
  put(params, "options", (options ? *options + " " : std::string()) + text_settings);
  put(params, "client_encoding", "UTF8");
  if (session == Session::replication) put(params, "replication", "database");
  put_default(params, "application_name", "walferry");
  put_default(params, "connect_timeout", "10");
  put_default(params, "keepalives_idle", "10");
  put_default(params, "keepalives_interval", "5");
  put_default(params, "keepalives_count", "3");
  put_default(params, "tcp_user_timeout", "30000");
  return params;
}

std::vector<ConnectParams> for_each_host(const ConnectParams& params) {
  const auto list = [&](const char* keyword) {
    std::vector<std::string> parts;
    const std::string* value = find(params, keyword);
    if (value == nullptr || value->empty()) return parts;
    for (std::size_t begin = 0; begin <= value->size();) {
      const auto end = std::min(value->find(',', begin), value->size());
      parts.push_back(value->substr(begin, end - begin));
      begin = end + 1;
    }
    return parts;
  };
  const auto hosts = list("host");
  const auto addresses = list("hostaddr");
  const auto ports = list("port");
  const std::size_t count = std::max(hosts.size(), addresses.size());
  const auto fits = [&](const auto& parts) { return parts.empty() || parts.size() == count; };
  // Where the lists do not agree, libpq says so.
  const bool one_port = ports.size() == 1;
  if (count <= 1 || !fits(hosts) || !fits(addresses) || !(fits(ports) || one_port)) return {params};
  std::vector<ConnectParams> all(count, params);
  for (std::size_t i = 0; i < count; ++i) {
    if (!hosts.empty()) put(all[i], "host", hosts[i]);
    if (!addresses.empty()) put(all[i], "hostaddr", addresses[i]);
    if (!ports.empty()) put(all[i], "port", ports[one_port ? 0 : i]);
  }
  return all;
}

std::string conninfo(const ConnectParams& params) {
  std::string result;
  for (std::size_t i = 0; i < params.keywords.size(); ++i) {
    result += params.keywords[i] + "='";
    for (const char c : params.values[i]) {
      if (c == '\'' || c == '\\') result += '\\';
      result += c;
    }
    result += "' ";
  }
  return result;
}

std::string describe(const std::string& dsn) {
  const ConnectParams params = written(dsn);
  std::string result;
  for (const char* keyword : {"service", "host", "hostaddr", "port", "dbname", "user"}) {
    const std::string* value = find(params, keyword);
    if (value == nullptr || value->empty()) continue;
    if (!result.empty()) result += ' ';
    result += fmt::format("{}={}", keyword, *value);
  }
  return result.empty() ? "libpq's defaults" : result;
}

}  // namespace pg
